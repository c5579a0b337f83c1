//! Finds one string member at the top level of a JSON text, before anything is authentic: allocates nothing, does not
//! recurse, and reads every byte at most twice.
//!
//! It need not judge whether the text is valid JSON. On valid JSON it agrees with a parser on what is top-level, and
//! whatever it leaves over has to carry a valid signature anyway.

use std::ops::Range;

/// The place of the member in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    /// The value, without its quotes.
    pub value: Range<usize>,
    /// What to cut out to remove the member: with the comma before it or, if it comes first, with the comma after it and the
    /// white space after that.
    pub cut: Range<usize>,
}

/// Why there is no single usable member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// It is missing.
    Absent,
    /// It occurs twice.
    Repeated,
    /// Its value is not a plain string, its name is spelled with escapes, or the text around it is broken.
    Malformed,
}

/// Finds the top-level member `name` of `text`. `name` is plain ASCII.
pub(crate) fn find(text: &[u8], name: &[u8]) -> Result<Member, Trouble> {
    let mut found: Option<Member> = None;
    // The reader judges a byte order mark, once the signature is verified.
    let mut at = skip_space(text, if text.starts_with("\u{feff}".as_bytes()) { 3 } else { 0 });
    if text.get(at) != Some(&b'{') {
        return Err(Trouble::Absent);
    }
    let mut depth = 0_usize;
    // At depth 1: the place of the comma before this member, and whether its name is still to come.
    let mut comma = None;
    let mut name_is_next = false;
    while let Some(&byte) = text.get(at) {
        match byte {
            b'{' | b'[' => {
                depth += 1;
                name_is_next = depth == 1;
            }
            b'}' | b']' if depth <= 1 => break,
            b'}' | b']' => depth -= 1,
            b',' if depth == 1 => {
                comma = Some(at);
                name_is_next = true;
            }
            b'"' => {
                let end = string_end(text, at).ok_or(Trouble::Malformed)?;
                if name_is_next {
                    name_is_next = false;
                    match spelling(&text[at + 1..end], name) {
                        Spelling::Other => {}
                        Spelling::Escaped => return Err(Trouble::Malformed),
                        Spelling::Plain if found.is_some() => return Err(Trouble::Repeated),
                        Spelling::Plain => {
                            let member = measure(text, comma, at, end)?;
                            at = member.value.end + 1;
                            found = Some(member);
                            continue;
                        }
                    }
                }
                at = end;
            }
            _ => {}
        }
        at += 1;
    }
    found.ok_or(Trouble::Absent)
}

/// The member whose name stands between the quotes at `open` and `close`.
fn measure(text: &[u8], comma: Option<usize>, open: usize, close: usize) -> Result<Member, Trouble> {
    let colon = skip_space(text, close + 1);
    let value = skip_space(text, colon + 1);
    if text.get(colon) != Some(&b':') || text.get(value) != Some(&b'"') {
        return Err(Trouble::Malformed);
    }
    let end = string_end(text, value).ok_or(Trouble::Malformed)?;
    let next = skip_space(text, end + 1);
    let cut = match (comma, text.get(next)) {
        // Only white space is cut with it: an authentic body must have no other unsigned bytes.
        (Some(comma), Some(b',' | b'}')) if skip_space(text, comma + 1) == open => comma..end + 1,
        (None, Some(b',')) => open..skip_space(text, next + 1),
        (None, Some(b'}')) => open..end + 1,
        _ => return Err(Trouble::Malformed),
    };
    Ok(Member { value: value + 1..end, cut })
}

/// The closing quote of the string that opens at `open`.
fn string_end(text: &[u8], open: usize) -> Option<usize> {
    let mut at = open + 1;
    loop {
        match text.get(at)? {
            b'"' => return Some(at),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

fn skip_space(text: &[u8], from: usize) -> usize {
    from + text.get(from..).unwrap_or_default().iter().take_while(|b| matches!(b, b' ' | b'\t' | b'\n' | b'\r')).count()
}

#[derive(PartialEq)]
enum Spelling {
    Plain,
    /// The same name to a JSON parser, but written differently: a sender and this code could take different members.
    Escaped,
    Other,
}

fn spelling(written: &[u8], name: &[u8]) -> Spelling {
    if written == name {
        return Spelling::Plain;
    }
    let mut rest = written;
    for &expected in name {
        let (byte, length) = match rest {
            [b'\\', b'u', hex @ ..] if hex.len() >= 4 => {
                let digits = std::str::from_utf8(&hex[..4]).ok();
                (digits.and_then(|digits| u8::try_from(u32::from_str_radix(digits, 16).ok()?).ok()), 6)
            }
            // No other escape stands for a letter.
            [byte, ..] => (Some(*byte), 1),
            [] => return Spelling::Other,
        };
        if byte != Some(expected) {
            return Spelling::Other;
        }
        rest = &rest[length..];
    }
    if rest.is_empty() { Spelling::Escaped } else { Spelling::Other }
}

#[cfg(test)]
mod tests {
    use super::{Trouble, find};
    use proptest::prelude::*;

    fn cut(text: &str) -> Result<(String, &str), Trouble> {
        let member = find(text.as_bytes(), b"signature")?;
        Ok((format!("{}{}", &text[..member.cut.start], &text[member.cut.end..]), &text[member.value]))
    }

    #[test]
    fn the_member_is_cut_with_exactly_one_comma() {
        for (text, without) in [
            (r#"{"a":1,"signature":"S","b":2}"#, r#"{"a":1,"b":2}"#),
            (r#"{"signature":"S","a":1}"#, r#"{"a":1}"#),
            (r#"{"a":1,"signature":"S"}"#, r#"{"a":1}"#),
            (r#"{"signature":"S"}"#, "{}"),
            (r#"{ "signature" : "S" , "a": 1 }"#, r#"{ "a": 1 }"#),
            (r#"{"a": 1 , "signature" : "S" , "b": 2}"#, r#"{"a": 1  , "b": 2}"#),
            ("{\n  \"a\": 1,\n  \"signature\": \"S\",\n  \"b\": 2\n}", "{\n  \"a\": 1,\n  \"b\": 2\n}"),
            ("{\n  \"signature\": \"S\",\n  \"a\": 1\n}", "{\n  \"a\": 1\n}"),
            ("{\n  \"a\": 1,\n  \"signature\": \"S\"\n}", "{\n  \"a\": 1\n}"),
            ("\u{feff}{\"a\":1,\"signature\":\"S\"}", "\u{feff}{\"a\":1}"),
            // Only the top level counts.
            (r#"{"data":{"signature":"X"},"signature":"S"}"#, r#"{"data":{"signature":"X"}}"#),
            (r#"{"data":[{"signature":"X"}],"signature":"S","z":[]}"#, r#"{"data":[{"signature":"X"}],"z":[]}"#),
            // A value is not a name, and text in strings is not structure.
            (r#"{"a":"signature","signature":"S"}"#, r#"{"a":"signature"}"#),
            (r#"{"a":"}\",{\"signature\":\"X\"","signature":"S"}"#, r#"{"a":"}\",{\"signature\":\"X\""}"#),
            (r#"{"a\"signature":1,"signature":"S"}"#, r#"{"a\"signature":1}"#),
        ] {
            assert_eq!(cut(text), Ok((without.to_owned(), "S")), "{text}");
        }
    }

    #[test]
    fn a_doubtful_member_is_refused() {
        for (text, trouble) in [
            (r"{}", Trouble::Absent),
            (r"", Trouble::Absent),
            (r#"["signature","S"]"#, Trouble::Absent),
            (r#"[{"signature":"S"}]"#, Trouble::Absent),
            (r#"{"data":{"signature":"S"}}"#, Trouble::Absent),
            (r#"{"Signature":"S"}"#, Trouble::Absent),
            (r#"{"signature2":"S","signatur":"S","":1}"#, Trouble::Absent),
            (r#"{"a":1}{"signature":"S"}"#, Trouble::Absent),
            (r#"{"signature":"S","signature":"S"}"#, Trouble::Repeated),
            (r#"{"signature":"S","a":{},"signature":"S"}"#, Trouble::Repeated),
            (r#"{"\u0073ignature":"S"}"#, Trouble::Malformed),
            (r#"{"signature":"S","signatur\u0065":"S"}"#, Trouble::Malformed),
            (r#"{"signature":7}"#, Trouble::Malformed),
            (r#"{"signature":null}"#, Trouble::Malformed),
            (r#"{"signature":{"signature":"S"}}"#, Trouble::Malformed),
            (r#"{"signature":["S"]}"#, Trouble::Malformed),
            (r#"{"signature""S"}"#, Trouble::Malformed),
            (r#"{"signature":"S""#, Trouble::Malformed),
            (r#"{"signature":"S"#, Trouble::Malformed),
            (r#"{"signature":"S"x}"#, Trouble::Malformed),
            (r#"{"a":1,C"signature":"S"}"#, Trouble::Malformed),
            (r#"{"signature":"S\"#, Trouble::Malformed),
            (r#"{"signature"#, Trouble::Malformed),
        ] {
            assert_eq!(cut(text), Err(trouble), "{text}");
        }
    }

    #[test]
    fn depth_costs_no_stack() {
        let text = format!(r#"{{"data":{}{},"signature":"S"}}"#, "[".repeat(1 << 20), "]".repeat(1 << 20));
        assert_eq!(cut(&text).unwrap().1, "S");
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = find(&text, b"signature");
        }

        #[test]
        fn any_json_like_text_is_survived(text in r#"[{}\[\]",:\\ a-c1]{0,40}("signature")?[{}\[\]",:\\ a-c1]{0,40}"#) {
            let _ = find(text.as_bytes(), b"signature");
        }

        /// Among any valid members, at any place, cutting it leaves the object without the member.
        #[test]
        fn a_parser_agrees(before in members(), after in members(), spaced in any::<bool>()) {
            let (comma, colon) = if spaced { (",\n  ", " : ") } else { (",", ":") };
            let object = |list: &[String]| format!("{{{}}}", list.join(comma));
            let signature = format!("\"signature\"{colon}\"S\"");
            let all: Vec<_> = before.iter().chain([&signature]).chain(&after).cloned().collect();
            let rest: Vec<_> = before.iter().chain(&after).cloned().collect();
            let text = object(&all);
            prop_assert_eq!(cut(&text), Ok((object(&rest), "S")));
        }
    }

    fn members() -> impl Strategy<Value = Vec<String>> {
        let leaf = prop_oneof![
            Just("null".to_owned()),
            any::<i32>().prop_map(|n| n.to_string()),
            any::<String>().prop_map(|s| serde_json::to_string(&s).unwrap()),
            Just("\"signature\"".to_owned()),
        ];
        let value = leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(|list| format!("[{}]", list.join(","))),
                proptest::collection::vec(inner, 0..4).prop_map(|list| {
                    let members: Vec<_> = list.iter().map(|v| format!("\"signature\":{v}")).collect();
                    format!("{{{}}}", members.join(","))
                }),
            ]
        });
        let name = any::<String>().prop_filter("another name", |name| name != "signature");
        proptest::collection::vec(
            (name, value).prop_map(|(name, value)| format!("{}:{value}", serde_json::to_string(&name).unwrap())),
            0..4,
        )
    }
}
