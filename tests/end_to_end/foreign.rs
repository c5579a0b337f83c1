//! Deliveries signed by code that this project did not write: Node's `crypto`, and PHP's `hash_hmac` and `json_encode`.
//! The fixtures are the output of the scripts beside them; CI runs the scripts again and compares.

use std::collections::{BTreeMap, BTreeSet};

use hookgate_verify::{Account, Delivery, Provider, Rejection, Secrets, Verifier, providers};
use serde::Deserialize;
use time::OffsetDateTime;

use crate::support::project;

#[derive(Deserialize)]
struct Foreign {
    name: String,
    provider: String,
    mode: Option<String>,
    secret: String,
    received: i64,
    headers: BTreeMap<String, String>,
    body: String,
}

#[test]
fn what_node_and_php_sign_is_accepted() {
    let mut covered = BTreeSet::new();
    for file in ["node.json", "php.json"] {
        let text = std::fs::read_to_string(project().join("tests/foreign").join(file)).unwrap();
        for foreign in serde_json::from_str::<Vec<Foreign>>(&text).unwrap() {
            accepted_as_it_is_and_not_otherwise(&foreign);
            covered.insert(foreign.provider);
        }
    }
    // A recipe is written by hand, from the platform's documentation. Whoever adds a platform may leave that out.
    let left_out: Vec<_> = providers::ALL.iter().filter(|provider| !covered.contains(provider.name)).collect();
    println!("signed by Node or PHP: {covered:?}; by none of them: {left_out:?}");
    assert!(covered.len() > left_out.len(), "most platforms have no recipe: {left_out:?}");
}

fn accepted_as_it_is_and_not_otherwise(foreign: &Foreign) {
    let name = &foreign.name;
    let provider = Provider::named(&foreign.provider).unwrap();
    let verifier = Verifier::new(provider, |_| foreign.mode.clone()).unwrap();
    let secrets = |secret: &str| Secrets::parse(&serde_json::json!({ "default": [secret] }).to_string()).unwrap();
    let mut delivery = Delivery {
        headers: foreign.headers.iter().map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap())).collect(),
        body: foreign.body.clone().into_bytes(),
        account: Account::default(),
        received: OffsetDateTime::from_unix_timestamp(foreign.received).unwrap(),
    };
    let authenticated = verifier.authenticate(&delivery, &secrets(&foreign.secret));
    let reading = authenticated.unwrap_or_else(|rejection| panic!("{name}: {rejection:?}")).read();
    reading.unwrap_or_else(|unreadable| panic!("{name}: {unreadable:?}"));

    let other = verifier.authenticate(&delivery, &secrets("another")).err();
    assert_eq!(other, Some(Rejection::Mismatch), "{name}");
    let end = delivery.body.len() - 1;
    delivery.body.insert(end, b' ');
    let changed = verifier.authenticate(&delivery, &secrets(&foreign.secret)).err();
    assert_eq!(changed, Some(Rejection::Mismatch), "{name}");
}
