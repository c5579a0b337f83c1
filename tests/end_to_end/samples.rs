//! Every sample under `events/`, as `cargo lambda invoke --data-file` would hand it to its function.

use std::collections::BTreeMap;

use hookgate::send::samples::{self, Sample};
use hookgate_verify::providers;
use serde_json::{Value, value::RawValue};

use crate::support::{World, http, lambda::Function, outcome, sample_event, sample_secrets};

#[tokio::test]
async fn each_is_queued_once_and_rejected_when_tampered_with() {
    let samples = samples::all();
    let secrets = sample_secrets();
    let world = World::new().await;

    for provider in providers::ALL {
        let secrets = secrets[provider.name].to_string();
        let function = world.function(provider, &[("WEBHOOK_SECRETS", &secrets)]).await;
        let samples: Vec<&Sample> = samples.iter().filter(|sample| sample.provider.name == provider.name).collect();
        assert!(!samples.is_empty(), "{provider:?} has no sample");
        let mut queued = BTreeMap::new();
        for sample in &samples {
            let id = queued_then_duplicate_then_rejected(&function, sample).await;
            assert!(queued.insert(id, sample).is_none(), "{}: another sample has the same id", sample.name);
        }
        let events = world.events().await;
        assert_eq!(events.len(), samples.len());
        for event in events {
            let sample = queued[&event.id];
            // Byte for byte: the payload is a slice of what was sent.
            let envelope: BTreeMap<String, &RawValue> = serde_json::from_slice(&sample.body).unwrap();
            let payload = match provider.fields.payload_member() {
                Some(member) => envelope[member].get(),
                None => str::from_utf8(&sample.body).unwrap().trim_ascii(),
            };
            assert_eq!(event.data.payload.get(), payload, "{}", sample.name);
            assert_eq!(event.provider, provider.name);
            assert_eq!(event.source, sample.path.trim_end_matches('/').to_owned() + suffix(&sample.path));
            assert_eq!(provider.event_type(&event.provider_type), event.event_type, "{}", sample.name);
        }
    }
    assert!(world.quarantined().await.is_empty());
}

/// The default account goes unsaid in an address, and is said in a source.
fn suffix(path: &str) -> &'static str {
    if path.matches('/').count() == 2 { "/default" } else { "" }
}

async fn queued_then_duplicate_then_rejected(function: &Function, sample: &Sample) -> String {
    let text = sample_event(sample);
    let (status, fresh) = http(&function.invoke(text.clone()).await);
    assert_eq!((status, &fresh["outcome"]), (200, &"queued".into()), "{}", sample.name);
    let (status, again) = http(&function.invoke(text.clone()).await);
    assert_eq!((status, &again["outcome"], &again["id"]), (200, &"duplicate".into(), &fresh["id"]), "{}", sample.name);

    let mut tampered: Value = serde_json::from_str(&text).unwrap();
    // As it was signed, with one byte more: what the file has may be base64.
    let body = tampered["body"].as_str().unwrap();
    let body = if tampered["isBase64Encoded"] == true {
        String::from_utf8(sample.body.clone()).unwrap()
    } else {
        body.to_owned()
    };
    tampered["body"] = format!("{body} ").into();
    tampered["isBase64Encoded"] = false.into();
    let rejected = outcome(&function.invoke(tampered.to_string()).await);
    assert_eq!(rejected, (sample.provider.rejected_status.into(), "rejected".to_owned()), "{}", sample.name);
    fresh["id"].as_str().unwrap().to_owned()
}
