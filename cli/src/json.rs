//! JSON with every token and the order of its members kept: to change one value of a sample and leave the rest as the
//! platform wrote it, or to write a body again as frameworks do.

use std::{
    collections::HashSet,
    fmt::{self, Write},
};

use anyhow::anyhow;
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

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

impl Style {
    /// Compact, with every token as it was written.
    pub const KEPT: Style = Style { space: Space::None, escapes: Escapes::Kept, sorted: false };
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
const MAX_LEVELS: usize = 500;
/// Each level is another pass over its text. A large text gets no more than these: a deep one would take a minute.
const MOST_PASSES: usize = 32;

impl Json {
    /// None where `text` is not JSON, or is nested more than 500 levels deep (fewer, if it is large). Otherwise it is read as
    /// an intake reads it: a lone surrogate, a number of any size and a name that comes twice are JSON too.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        Self::first(text).and_then(|(json, behind)| behind.is_empty().then_some(json))
    }

    /// The JSON at the start of a text, and what stands behind it, without white space.
    #[must_use]
    pub fn first(text: &[u8]) -> Option<(Self, &[u8])> {
        let mut values = serde_json::Deserializer::from_slice(text).into_iter();
        let mut most_bytes = MOST_PASSES * text.len() + (1 << 20);
        let json = Self::within(values.next()?.ok()?, MAX_LEVELS, &mut most_bytes)?;
        Some((json, text[values.byte_offset()..].trim_ascii()))
    }

    /// None where it is nested deeper than this, or needs more bytes to be read.
    fn within(text: &RawValue, levels: usize, most_bytes: &mut usize) -> Option<Self> {
        let (text, levels) = (text.get(), levels.checked_sub(1)?);
        *most_bytes = most_bytes.checked_sub(text.len())?;
        match text.as_bytes().first() {
            Some(b'{') => {
                let mut members = Vec::new();
                for (name, value) in serde_json::from_str::<Members>(text).ok()?.0 {
                    members.push((name.get().to_owned(), Self::within(value, levels, most_bytes)?));
                }
                Some(Json::Object(members))
            }
            Some(b'[') => {
                let mut items = Vec::new();
                for item in serde_json::from_str::<Vec<&RawValue>>(text).ok()? {
                    items.push(Self::within(item, levels, most_bytes)?);
                }
                Some(Json::Array(items))
            }
            _ => Some(Json::Token(text.to_owned())),
        }
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
        path.split('.').try_fold(self, Json::get).filter(|found| !found.is_null())
    }

    /// Whether it is `null`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self, Json::Token(token) if token == "null")
    }

    /// What the array holds that this is.
    #[must_use]
    pub fn items(&self) -> Option<&[Json]> {
        if let Json::Array(items) = self { Some(items) } else { None }
    }

    /// The bytes of a Node.js `Buffer`: <https://nodejs.org/api/buffer.html#buftojson>.
    #[must_use]
    pub fn as_buffer(&self) -> Option<Vec<u8>> {
        let is_buffer = self.at("type").and_then(Json::as_text)? == "Buffer";
        let bytes = self.at("data").filter(|_| is_buffer)?.items()?;
        bytes.iter().map(|byte| byte.as_plain()?.parse().ok()).collect()
    }

    /// Where and why a text is not JSON.
    pub(crate) fn fault(text: &[u8]) -> anyhow::Error {
        let place = serde_json::from_slice::<IgnoredAny>(text).err().map(|error| (error.line(), error.column()));
        let (line, column) = place.unwrap_or_default();
        let remedy = "give one JSON value, whole and alone; of an object log json.dumps(it) or JSON.stringify(it)";
        anyhow!("the JSON ends or is broken at line {line}, column {column}: {remedy}")
    }

    /// The string that this is. None for one with half a character.
    #[must_use]
    pub fn as_text(&self) -> Option<String> {
        if let Json::Token(token) = self { serde_json::from_str(token).ok() } else { None }
    }

    /// The same, or the number or the word as it is written.
    #[must_use]
    pub fn as_plain(&self) -> Option<String> {
        match self {
            Json::Token(token) if !token.starts_with('"') => Some(token.clone()),
            _ => self.as_text(),
        }
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
        let write = |space, escapes, sorted| self.write(Style { space, escapes, sorted });
        let (mut written, mut known) = (Vec::new(), HashSet::new());
        for (sorted, ordered) in [(false, ""), (true, ", members sorted by name")] {
            for (escapes, escaped) in ESCAPES {
                // Most texts have nothing that most of these change: a long one is not written 64 times.
                if !known.insert(write(Space::None, escapes, sorted)) {
                    continue;
                }
                for (space, spaced) in SPACES {
                    written.push((format!("{spaced}{escaped}{ordered}"), write(space, escapes, sorted)));
                }
            }
        }
        written
    }

    fn write_to(&self, text: &mut String, style: Style, depth: usize) {
        let (opening, closing, mut items): (_, _, Vec<(Option<&str>, &Json)>) = match self {
            Json::Token(token) => return text.push_str(&token_as(token, style.escapes)),
            Json::Object(members) => ('{', '}', members.iter().map(|(name, value)| (Some(&**name), value)).collect()),
            Json::Array(items) => ('[', ']', items.iter().map(|item| (None, item)).collect()),
        };
        if style.sorted {
            items.sort_by_cached_key(|(name, _)| name.map(decoded));
        }
        text.push(opening);
        for (position, (name, item)) in items.iter().enumerate() {
            if position > 0 {
                text.push_str(if style.space == Space::Single { ", " } else { "," });
            }
            new_line(text, style.space, depth + 1);
            if let Some(name) = name {
                text.push_str(&token_as(name, style.escapes));
                text.push_str(if style.space == Space::None { ":" } else { ": " });
            }
            item.write_to(text, style, depth + 1);
        }
        if !items.is_empty() {
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

/// The members of an object, each name and value as it is written.
struct Members<'t>(Vec<(&'t RawValue, &'t RawValue)>);

impl<'t> Deserialize<'t> for Members<'t> {
    fn deserialize<D: Deserializer<'t>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'t> Visitor<'t> for InOrder {
            type Value = Members<'t>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'t>>(self, mut map: A) -> Result<Members<'t>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
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
            assert_eq!(Json::parse(text.as_bytes()).unwrap().write(Style::KEPT), text);
            let spaced = text.replace(',', " ,\n\t").replace(':', " : ");
            assert_eq!(Json::parse(format!(" {spaced}\r\n").as_bytes()).unwrap().write(Style::KEPT), text, "{spaced}");
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
            assert_eq!(json.write(Style::KEPT), text);
            let spaced = json.write(Style { space: Space::Single, ..Style::KEPT });
            assert_eq!(Json::parse(spaced.as_bytes()).unwrap(), json);
        }
        assert_eq!(Json::parse(nested(MAX_LEVELS + 1).as_bytes()), None);
        // Reading it would take a pass over all of it for each level.
        let large = nested(MAX_LEVELS).replace("[]", &format!("[{}0]", "1,".repeat(1_000_000)));
        assert_eq!(Json::parse(large.as_bytes()), None);
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
        assert_eq!(json.write(Style::KEPT), r#"{"data":{"items":[{"n":2}],"s":"x","new":{"deep":"a\"b"}}}"#);
        assert_eq!(json.set("data.s.y", Json::text("")), Err("y".to_owned()));
        assert_eq!(json.set("data.items.1.n", Json::text("")), Err("1".to_owned()));
    }
}
