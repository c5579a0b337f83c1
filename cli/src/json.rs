//! JSON with every token and the order of its members kept: to change one value of a sample and leave the rest as the
//! platform wrote it, or to write a body again as frameworks do.

use std::{collections::HashSet, fmt::Write};

use anyhow::anyhow;
use serde::de::IgnoredAny;

/// A JSON text. Strings (member names too), numbers and words are the tokens as they were written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Json {
    /// `{…}`
    Object(Vec<(String, Json)>),
    /// `[…]`
    Array(Vec<Json>),
    /// Everything else.
    Token(String),
}

/// How a JSON text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// The white space.
    pub space: Space,
    /// How strings are spelled.
    pub escapes: Escapes,
    /// Members in the order of their names.
    pub sorted: bool,
}

/// The white space of a JSON text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Space {
    /// None: `JSON.stringify(x)`, PHP's `json_encode`.
    None,
    /// One behind every comma and colon: Python's `json.dumps`.
    Single,
    /// Lines, indented by this much.
    Lines(usize),
}

/// How the strings of a JSON text are spelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escapes {
    /// As they are.
    Kept,
    /// Only what must be escaped.
    Least,
    /// Every character outside ASCII as `\u`: Python.
    Ascii,
    /// The same, and `/` as `\/`: PHP.
    Php,
    /// `/` as `\/` alone: PHP with `JSON_UNESCAPED_UNICODE`.
    Slash,
    /// `&`, `<`, `>` and the two separators of Unicode as `\u`: Go, Rails.
    Html,
    /// The same, and `=` and `'`: Gson.
    HtmlGson,
    /// Everything outside ASCII, and what HTML may take amiss, as `\u` in upper case, quotes too: `System.Text.Json`.
    DotNet,
}

/// How deep a text may be nested: what reads and writes it here calls itself for every level.
const MAX_LEVELS: usize = 2_000;

impl Json {
    /// None where `text` is not JSON, or is nested more than 2,000 levels deep. Otherwise it is read as an intake reads it:
    /// a lone surrogate, a number of any size and a name that comes twice are JSON too.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        serde_json::from_str::<IgnoredAny>(text).ok()?;
        (levels(text) <= MAX_LEVELS).then(|| value(&mut text.trim_start_matches(SPACE)))
    }

    /// A string.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Json::Token(spell(text, Escapes::Least))
    }

    /// The member of this name. Of two the last, as parsers have it.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Json> {
        let Json::Object(members) = self else { return None };
        members.iter().rev().find(|(token, _)| decoded(token) == name).map(|(_, value)| value)
    }

    /// What the dotted `path` leads to, where that is there and not null.
    #[must_use]
    pub fn at(&self, path: &str) -> Option<&Json> {
        let found = path.split('.').try_fold(self, Json::get)?;
        (*found != Json::Token("null".to_owned())).then_some(found)
    }

    /// What stands there, where it is neither an object nor an array.
    #[must_use]
    pub fn token(&self) -> &str {
        if let Json::Token(token) = self { token } else { "" }
    }

    /// The bytes of a Node.js `Buffer`: <https://nodejs.org/api/buffer.html#buftojson>.
    #[must_use]
    pub fn as_buffer(&self) -> Option<Vec<u8>> {
        let is_buffer = self.at("type").and_then(Json::as_text)? == "Buffer";
        let Json::Array(bytes) = self.at("data").filter(|_| is_buffer)? else { return None };
        bytes.iter().map(|byte| byte.token().parse().ok()).collect()
    }

    /// Where and why a text is not JSON.
    pub(crate) fn fault(text: &[u8]) -> anyhow::Error {
        let place = serde_json::from_slice::<IgnoredAny>(text).err().map(|error| (error.line(), error.column()));
        let (line, column) = place.unwrap_or_default();
        let remedy = "give one JSON value, whole and alone; of an object log json.dumps(it) or JSON.stringify(it)";
        anyhow!("the JSON ends or is broken at line {line}, column {column}: {remedy}")
    }

    /// The string that this is.
    #[must_use]
    pub fn as_text(&self) -> Option<String> {
        let Json::Token(token) = self else { return None };
        token.starts_with('"').then(|| decoded(token))
    }

    /// Puts `value` where the dotted `path` points to (`data.items.0.price`), adding members on the way.
    ///
    /// # Errors
    /// The part of the path at which there is neither an object nor, for a number that is in range, an array.
    pub fn set(&mut self, path: &str, value: Json) -> Result<(), String> {
        let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
        let place = match self {
            Json::Object(members) => {
                let position = members.iter().rposition(|(token, _)| decoded(token) == name).unwrap_or_else(|| {
                    members.push((spell(name, Escapes::Least), Json::Object(Vec::new())));
                    members.len() - 1
                });
                &mut members[position].1
            }
            Json::Array(items) => {
                name.parse::<usize>().ok().and_then(|index| items.get_mut(index)).ok_or_else(|| name.to_owned())?
            }
            Json::Token(_) => return Err(name.to_owned()),
        };
        if let Some(rest) = rest {
            return place.set(rest, value);
        }
        *place = value;
        Ok(())
    }

    /// Changes every value that is neither object nor array.
    pub(crate) fn for_each_token(&mut self, change: &mut impl FnMut(&mut String)) {
        match self {
            Json::Object(members) => members.iter_mut().for_each(|(_, value)| value.for_each_token(change)),
            Json::Array(items) => items.iter_mut().for_each(|item| item.for_each_token(change)),
            Json::Token(token) => change(token),
        }
    }

    /// The text in this style.
    #[must_use]
    pub fn write(&self, style: Style) -> String {
        let mut text = String::new();
        self.write_to(&mut text, style, 0);
        text
    }

    /// The text in the styles of common languages, each with its name, and none twice.
    #[must_use]
    pub fn in_every_style(&self) -> Vec<(String, String)> {
        const SPACES: [(Space, &str); 4] = [
            (Space::None, "compact"),
            (Space::Single, "a space after every comma and colon (Python)"),
            (Space::Lines(2), "indented by 2"),
            (Space::Lines(4), "indented by 4"),
        ];
        const ESCAPES: [(Escapes, &str); 8] = [
            (Escapes::Kept, ""),
            (Escapes::Least, ", without needless escapes"),
            (Escapes::Php, r", with \/ and \u escapes (PHP)"),
            (Escapes::Slash, r", with \/ escapes (PHP)"),
            (Escapes::Ascii, r", with \u escapes"),
            (Escapes::Html, r", with & < > as \u escapes (Go, Rails)"),
            (Escapes::HtmlGson, r", with & < > = ' as \u escapes (Gson)"),
            (Escapes::DotNet, r", with \u escapes in upper case (.NET)"),
        ];
        let orders = [(false, ""), (true, ", members sorted by name")];
        let styles = orders.into_iter().flat_map(|order| ESCAPES.into_iter().map(move |escapes| (order, escapes)));
        let style = |space, escapes, sorted| self.write(Style { space, escapes, sorted });
        // Most texts have nothing that most of these change: a long one is not written 64 times.
        let mut known = HashSet::new();
        let differ = styles.filter(|((sorted, _), (escapes, _))| known.insert(style(Space::None, *escapes, *sorted)));
        let differ: Vec<_> = differ.collect();
        let each = SPACES.into_iter().flat_map(|space| differ.iter().map(move |style| (space, style)));
        each.map(|((space, spaced), ((sorted, ordered), (escapes, escaped)))| {
            (format!("{spaced}{escaped}{ordered}"), style(space, *escapes, *sorted))
        })
        .collect()
    }

    fn write_to(&self, text: &mut String, style: Style, depth: usize) {
        let (opening, closing, length) = match self {
            Json::Token(token) => return text.push_str(&token_as(token, style.escapes)),
            Json::Object(members) => ('{', '}', members.len()),
            Json::Array(items) => ('[', ']', items.len()),
        };
        let colon = if style.space == Space::None { ":" } else { ": " };
        let mut order: Vec<usize> = (0..length).collect();
        if let (Json::Object(members), true) = (self, style.sorted) {
            order.sort_by_cached_key(|&index| decoded(&members[index].0));
        }
        text.push(opening);
        for (position, index) in order.into_iter().enumerate() {
            if position > 0 {
                text.push_str(if style.space == Space::Single { ", " } else { "," });
            }
            new_line(text, style.space, depth + 1);
            match self {
                Json::Object(members) => {
                    let (name, value) = &members[index];
                    text.push_str(&token_as(name, style.escapes));
                    text.push_str(colon);
                    value.write_to(text, style, depth + 1);
                }
                Json::Array(items) => items[index].write_to(text, style, depth + 1),
                Json::Token(_) => {}
            }
        }
        if length > 0 {
            new_line(text, style.space, depth);
        }
        text.push(closing);
    }
}

fn new_line(text: &mut String, space: Space, depth: usize) {
    if let Space::Lines(indent) = space {
        text.push('\n');
        text.extend(std::iter::repeat_n(' ', indent * depth));
    }
}

const SPACE: [char; 4] = [' ', '\t', '\n', '\r'];

/// How deep valid JSON is nested.
fn levels(text: &str) -> usize {
    let (mut depth, mut most, mut rest) = (0_usize, 0, text);
    while let Some(at) = rest.find(['"', '{', '[', '}', ']']) {
        rest = &rest[at..];
        match rest.as_bytes()[0] {
            b'"' => {
                token(&mut rest);
                continue;
            }
            b'{' | b'[' => depth += 1,
            _ => depth = depth.saturating_sub(1),
        }
        most = most.max(depth);
        rest = &rest[1..];
    }
    most
}

/// The value at the start of `rest`, which is valid JSON.
fn value(rest: &mut &str) -> Json {
    match rest.as_bytes().first() {
        Some(b'{') => {
            let mut members = Vec::new();
            while next_item(rest, '}') {
                let name = token(rest);
                *rest = rest.trim_start_matches(SPACE).strip_prefix(':').unwrap_or_default().trim_start_matches(SPACE);
                members.push((name, value(rest)));
            }
            Json::Object(members)
        }
        Some(b'[') => {
            let mut items = Vec::new();
            while next_item(rest, ']') {
                items.push(value(rest));
            }
            Json::Array(items)
        }
        _ => Json::Token(token(rest)),
    }
}

/// Steps over the opening bracket or the comma to the next item. False at the closing bracket, which it steps over.
fn next_item(rest: &mut &str, closing: char) -> bool {
    let next = rest.trim_start_matches(SPACE);
    if let Some(next) = next.strip_prefix(closing) {
        *rest = next;
        return false;
    }
    let next = next.get(1..).unwrap_or_default().trim_start_matches(SPACE);
    let more = !next.is_empty() && !next.starts_with(closing);
    *rest = if more { next } else { next.get(1..).unwrap_or_default() };
    more
}

/// Takes the token at the start of `rest`.
fn token(rest: &mut &str) -> String {
    let mut escaped = false;
    let end = if rest.starts_with('"') {
        let closing = |(at, byte): (usize, u8)| {
            let ends = at > 0 && byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            ends.then_some(at + 1)
        };
        rest.bytes().enumerate().find_map(closing)
    } else {
        rest.find([',', '}', ']', ' ', '\t', '\n', '\r'])
    };
    let (token, behind) = rest.split_at(end.unwrap_or(rest.len()));
    *rest = behind;
    token.to_owned()
}

fn decoded(token: &str) -> String {
    serde_json::from_str(token).unwrap_or_default()
}

fn token_as(token: &str, escapes: Escapes) -> String {
    // These are the same in every style, and most of a text.
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"\" _-.:,".contains(&byte);
    if escapes == Escapes::Kept || !token.starts_with('"') || token.bytes().all(is_plain) {
        return token.to_owned();
    }
    // A lone surrogate has no spelling but its own.
    serde_json::from_str::<String>(token).map_or_else(|_| token.to_owned(), |text| spell(&text, escapes))
}

fn spell(text: &str, escapes: Escapes) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    let (outside_ascii, also) = match escapes {
        Escapes::Kept | Escapes::Least | Escapes::Slash => (false, ""),
        Escapes::Ascii | Escapes::Php => (true, ""),
        Escapes::Html => (false, "&<>\u{2028}\u{2029}"),
        Escapes::HtmlGson => (false, "&<>='\u{2028}\u{2029}"),
        Escapes::DotNet => (true, "&<>'+`"),
    };
    let mut spelled = String::from("\"");
    // What serde escapes starts with a backslash and stays.
    for character in quoted[1..quoted.len() - 1].chars() {
        if character == '/' && matches!(escapes, Escapes::Php | Escapes::Slash) {
            spelled.push_str("\\/");
        } else if also.contains(character) || outside_ascii && !character.is_ascii() {
            for unit in character.encode_utf16(&mut [0; 2]) {
                let _ = match escapes {
                    Escapes::DotNet => write!(spelled, "\\u{unit:04X}"),
                    _ => write!(spelled, "\\u{unit:04x}"),
                };
            }
        } else {
            spelled.push(character);
        }
    }
    spelled.push('"');
    if escapes == Escapes::DotNet { spelled[..].replace("\\\"", "\\u0022") } else { spelled }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEPT: Style = Style { space: Space::None, escapes: Escapes::Kept, sorted: false };

    #[test]
    fn compact_json_comes_back_as_it_was() {
        for text in [
            r#"{"b":1.10,"a":[1,{"x":null},[],{}],"c":"\/\u00e9é \"\\","d":-1e5,"a":true}"#,
            "[]",
            "{}",
            "7",
            r#""a\"}b""#,
            "[[[]]]",
        ] {
            assert_eq!(Json::parse(text.as_bytes()).unwrap().write(KEPT), text);
            let spaced = text.replace(',', " ,\n\t").replace(':', " : ");
            assert_eq!(Json::parse(format!(" {spaced}\r\n").as_bytes()).unwrap().write(KEPT), text, "{spaced}");
        }
        for text in ["", "{", "{]", "[1,]", "é", "{\"a\":1}x", &format!("{}{}", "[".repeat(10_000), "]".repeat(10_000))]
        {
            assert_eq!(Json::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn what_an_intake_reads_is_read() {
        let nested =
            |levels: usize| format!(r#"{{"a":"[[","b":{}{}}}"#, "[".repeat(levels - 1), "]".repeat(levels - 1));
        for text in [
            r#"{"note":"cut \ud83d","\udc00":1}"#,
            r#"{"sum":1e400,"other":-1e-99999}"#,
            r#"{"a":1,"a":2}"#,
            &nested(130),
            &nested(MAX_LEVELS),
        ] {
            let json = Json::parse(text.as_bytes()).unwrap();
            assert_eq!(json.write(KEPT), text);
            let spaced = json.write(Style { space: Space::Single, ..KEPT });
            assert_eq!(Json::parse(spaced.as_bytes()).unwrap(), json);
        }
        assert_eq!(Json::parse(nested(MAX_LEVELS + 1).as_bytes()), None);
    }

    #[test]
    fn styles_are_those_of_the_frameworks() {
        let json = Json::parse(r#"{"b":"a\/é😀\"","a":[1.10,{}]}"#.as_bytes()).unwrap();
        let write = |space, escapes, sorted| json.write(Style { space, escapes, sorted });
        assert_eq!(write(Space::None, Escapes::Least, false), r#"{"b":"a/é😀\"","a":[1.10,{}]}"#);
        assert_eq!(write(Space::None, Escapes::Php, false), r#"{"b":"a\/\u00e9\ud83d\ude00\"","a":[1.10,{}]}"#);
        assert_eq!(write(Space::None, Escapes::Slash, true), r#"{"a":[1.10,{}],"b":"a\/é😀\""}"#);
        assert_eq!(write(Space::Single, Escapes::Ascii, false), r#"{"b": "a/\u00e9\ud83d\ude00\"", "a": [1.10, {}]}"#);
        assert_eq!(
            write(Space::Lines(2), Escapes::Least, true),
            "{\n  \"a\": [\n    1.10,\n    {}\n  ],\n  \"b\": \"a/é😀\\\"\"\n}"
        );
    }

    #[test]
    fn a_path_sets_one_value() {
        let mut json = Json::parse(br#"{"data":{"items":[{"n":1}],"s":"x"}}"#).unwrap();
        json.set("data.items.0.n", Json::Token("2".into())).unwrap();
        json.set("data.new.deep", Json::text("a\"b")).unwrap();
        assert_eq!(json.write(KEPT), r#"{"data":{"items":[{"n":2}],"s":"x","new":{"deep":"a\"b"}}}"#);
        assert_eq!(json.set("data.s.y", Json::text("")), Err("y".to_owned()));
        assert_eq!(json.set("data.items.1.n", Json::text("")), Err("1".to_owned()));
    }
}
