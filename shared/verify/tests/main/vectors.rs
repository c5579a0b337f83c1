//! What the platforms document, written down apart from the code: names, types, whole events, and signatures that
//! Python's `hmac` made. A platform need not be in these files; what is in them must hold.

use std::collections::BTreeMap;

use hookgate_verify::{Provider, Verifier};
use serde_json::Value;

use crate::post::{CURRENT, Case, Post, cases, platforms};

fn vectors(text: &str) -> Vec<BTreeMap<String, Value>> {
    let vectors: Vec<_> = serde_json::from_str(text).unwrap();
    assert!(!vectors.is_empty());
    vectors
}

/// The cases of the platform, mode and scheme that a vector names.
fn cases_of(vector: &BTreeMap<String, Value>) -> Vec<Case> {
    let all: Vec<_> = cases()
        .into_iter()
        .filter(|case| {
            let (mode, _) = case.provider.modes[case.mode];
            case.provider.name == vector["provider"]
                && vector.get("mode").is_none_or(|wanted| mode == wanted)
                && vector.get("scheme").is_none_or(|wanted| case.scheme.name == wanted)
                && vector.get("base64").is_none_or(|wanted| case.base64 == *wanted)
        })
        .collect();
    assert!(!all.is_empty(), "{} {:?} {:?}", vector["provider"], vector.get("mode"), vector.get("scheme"));
    all
}

#[test]
fn platforms_are_as_documented() {
    for vector in vectors(include_str!("../vectors/platforms.json")) {
        let name = vector["provider"].as_str().unwrap();
        let provider = Provider::named(name).unwrap_or_else(|| panic!("{name} is gone"));
        assert_eq!(vector["rejected_status"], provider.rejected_status, "{name}");
        assert_eq!(vector["setting"].as_str(), provider.setting, "{name}");
        let modes: Vec<_> = provider
            .modes
            .iter()
            .map(|(value, schemes)| {
                let names: Vec<_> = schemes.iter().map(|scheme| scheme.name).collect();
                serde_json::json!([value, names])
            })
            .collect();
        assert_eq!(vector["modes"], Value::from(modes), "{name}");
        let default = Verifier::new(provider, |_| None).unwrap();
        let first: Vec<_> = default.schemes().iter().map(|scheme| scheme.name).collect();
        assert_eq!(vector["modes"][0][1], Value::from(first), "{name}");
        // Both ways: no name is missing, and none stands in nobody's documentation.
        let events: BTreeMap<_, _> =
            provider.events.iter().map(|(name, event_type)| (*name, event_type.as_str())).collect();
        let expected = vector["events"].as_object().unwrap();
        assert_eq!(events.len(), provider.events.len(), "{name}");
        assert_eq!(events, expected.iter().map(|(name, kind)| (&name[..], kind.as_str().unwrap())).collect(), "{name}");
    }
}

/// `PAYLOAD` stands for the payload, in the envelope that is sent and in the event that it becomes.
#[test]
fn documented_payloads_become_these_events() {
    for vector in vectors(include_str!("../vectors/documented.json")) {
        let text = |name: &str| vector[name].as_str().unwrap();
        for case in cases_of(&vector) {
            let reading = Post::signed(case, text("envelope").replace("PAYLOAD", text("payload"))).read();
            assert_eq!(reading.event.to_json(), text("event").replace("PAYLOAD", text("payload")), "{case:?}");
            assert_eq!(reading.event.id, reading.key, "{case:?}");
        }
    }
}

/// A signer reads the same table as the verifier: only another implementation shows that both read it rightly.
#[test]
fn signatures_agree_with_another_implementation() {
    for vector in vectors(include_str!("../vectors/signatures.json")) {
        let text = |name: &str| vector[name].as_str().unwrap();
        for case in cases_of(&vector) {
            assert_eq!(text("secret"), case.secret(CURRENT));
            let headers: BTreeMap<&str, &str> = vector["headers"]
                .as_object()
                .unwrap()
                .iter()
                .map(|(name, v)| (&name[..], v.as_str().unwrap()))
                .collect();
            let signed = Post::signed(case, text("body"));
            let written: BTreeMap<_, _> =
                signed.headers.iter().map(|(name, value)| (*name, std::str::from_utf8(value).unwrap())).collect();
            assert_eq!(written, headers, "{case:?}");
            assert_eq!(std::str::from_utf8(&signed.body).unwrap(), text("sent"), "{case:?}");
            let scheme = signed.authenticate(|result| result.ok().map(|authentic| authentic.scheme()));
            assert_eq!(scheme, Some(text("scheme")), "{case:?}");
        }
    }
}

/// Every accepted scheme of the platforms in the files, and of the invented ones, has a signature there.
#[test]
fn no_scheme_is_left_out() {
    let signatures = vectors(include_str!("../vectors/signatures.json"));
    let shown: Vec<_> = signatures.iter().flat_map(cases_of).map(|case| format!("{case:?}")).collect();
    let documented = vectors(include_str!("../vectors/platforms.json"));
    let is_documented = |name: &str| documented.iter().any(|vector| vector["provider"] == name);
    let invented = |name: &str| Provider::named(name).is_none();
    for case in cases().iter().filter(|case| is_documented(case.provider.name) || invented(case.provider.name)) {
        assert!(shown.contains(&format!("{case:?}")), "{case:?}");
    }
    assert!(platforms().count() > documented.len());
}
