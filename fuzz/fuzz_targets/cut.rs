//! A signature in the body is cut out of where a parser finds it, and nothing else is touched.

#![no_main]

use std::sync::LazyLock;

use hookgate_verify::{Scheme, providers};
use libfuzzer_sys::fuzz_target;
use reference::json::{self, Kind, Member, Node};
use serde_json::value::RawValue;

#[path = "../../shared/verify/src/member.rs"]
mod member;

use member::Trouble;

/// The member's name: that of the first platform that signs so.
static NAME: LazyLock<&str> = LazyLock::new(|| {
    let mut names = providers::ALL.iter().flat_map(|provider| provider.schemes()).filter_map(Scheme::signature_member);
    names.next().unwrap_or("signature")
});

fuzz_target!(|input: &[u8]| {
    let found = member::find(input, NAME.as_bytes());
    if let Ok(found) = &found {
        whole_again(input, found);
    }
    let Ok(text) = std::str::from_utf8(input) else { return };
    // The cutter looks behind a byte order mark, a parser does not.
    let mark = text.len() - text.trim_start_matches('\u{feff}').len();
    let (mark, text) = text.split_at(mark.min('\u{feff}'.len_utf8()));
    let Ok(root) = json::parse(text) else { return };
    assert_eq!(found, expected(text, &root, mark.len()), "{text:?}");
    let Some(members) = root.members() else { return };
    a_parser_agrees(text, members);
    if found == Err(Trouble::Absent) {
        insert_everywhere(text, &root, members);
    }
});

/// What was cut is one member with one comma at most; put back, it gives the original.
fn whole_again(input: &[u8], found: &member::Member) {
    let mut rest = input.to_vec();
    let cut: Vec<u8> = rest.drain(found.cut.clone()).collect();
    assert_eq!(member::find(&rest, NAME.as_bytes()), Err(Trouble::Absent), "another is left");

    let value = &input[found.value.clone()];
    let text = String::from_utf8_lossy(&cut).into_owned();
    let cut_value = String::from_utf8_lossy(value);
    let space = [' ', '\t', '\n', '\r'];
    let piece = |text: &str, piece: &str| text.trim_start_matches(space).strip_prefix(piece).map(str::to_owned);
    let quoted = format!("\"{}\"", *NAME);
    let comma = text.starts_with(',');
    let after = piece(text.strip_prefix(',').unwrap_or(&text), &quoted)
        .and_then(|rest| piece(&rest, ":"))
        .and_then(|rest| piece(&rest, &format!("\"{cut_value}\"")))
        .unwrap_or_else(|| panic!("more than the member was cut: {text:?}"));
    let tail = after.trim_matches(space);
    assert!(if comma { after.is_empty() } else { tail.is_empty() || tail == "," }, "cut {text:?}");

    rest.splice(found.cut.start..found.cut.start, cut);
    assert_eq!(rest, input);
}

/// What the rules say for this JSON, which stands `mark` bytes into the text.
fn expected(text: &str, root: &Node, mark: usize) -> Result<member::Member, Trouble> {
    let mut found = None;
    for member in root.members().unwrap_or_default() {
        if member.name.as_deref() != Some(*NAME) {
            continue;
        }
        if text[member.written.clone()] != format!("\"{}\"", *NAME) {
            return Err(Trouble::Malformed);
        }
        if found.is_some() {
            return Err(Trouble::Repeated);
        }
        if !matches!(member.value.kind, Kind::String(_)) {
            return Err(Trouble::Malformed);
        }
        found = Some(member);
    }
    let found = found.ok_or(Trouble::Absent)?;
    let value = &found.value.span;
    let cut = if let Some(comma) = found.comma {
        comma..value.end
    } else {
        let behind = text[value.end..].trim_start_matches([' ', '\t', '\n', '\r']);
        let behind = behind
            .strip_prefix(',')
            .map_or(&text[value.end..], |rest| rest.trim_start_matches([' ', '\t', '\n', '\r']));
        found.written.start..text.len() - behind.len()
    };
    Ok(member::Member { value: value.start + 1 + mark..value.end - 1 + mark, cut: cut.start + mark..cut.end + mark })
}

/// The reference is a parser like others: `serde_json` sees the same members in the same places.
fn a_parser_agrees(text: &str, members: &[Member]) {
    let Ok(other) = serde_json::from_str::<std::collections::BTreeMap<String, &RawValue>>(text) else {
        assert!(members.iter().any(|member| member.name.is_none()), "no JSON to serde_json: {text:?}");
        return;
    };
    for member in members {
        let name = member.name.as_ref().expect("serde_json took it");
        let last = members.iter().rfind(|other| other.name.as_ref() == Some(name)).expect("at least this one");
        assert_eq!(other[name].get(), &text[last.value.span.clone()]);
    }
}

/// Wherever a sender may put its signature into this object, the cutter gives the object back; deeper down it does not
/// see one.
fn insert_everywhere(text: &str, root: &Node, members: &[Member]) {
    let check = |at: usize, member: &str| {
        let signed = format!("{}{member}{}", &text[..at], &text[at..]);
        let found = member::find(signed.as_bytes(), NAME.as_bytes()).expect("one member");
        let rest = format!("{}{}", &signed[..found.cut.start], &signed[found.cut.end..]);
        assert_eq!(rest, text, "{signed:?}");
        assert_eq!(&signed[found.value], "S");
        let reread = json::parse(&signed).expect("still JSON");
        assert_eq!(reread.members().map(<[_]>::len), Some(members.len() + 1));
    };
    let quoted = format!("\"{}\"", *NAME);
    match members.first() {
        None => check(root.span.start + 1, &format!("{quoted} : \"S\"")),
        Some(first) => check(first.written.start, &format!("{quoted}:\"S\"\n, ")),
    }
    for member in members.iter().take(8) {
        check(member.value.span.end, &format!(", {quoted}\n:\t\"S\""));
        for inner in objects_in(&member.value).into_iter().take(8) {
            let signed = format!("{}{quoted}:\"S\",{}", &text[..inner], &text[inner..]);
            assert_eq!(member::find(signed.as_bytes(), NAME.as_bytes()), Err(Trouble::Absent), "{signed:?}");
        }
    }
}

/// Where the members of the objects in this value begin.
fn objects_in(node: &Node) -> Vec<usize> {
    match &node.kind {
        Kind::Array(list) => list.iter().flat_map(objects_in).collect(),
        Kind::Object(members) => {
            members.iter().flat_map(|m| [vec![m.written.start], objects_in(&m.value)].concat()).collect()
        }
        _ => Vec::new(),
    }
}
