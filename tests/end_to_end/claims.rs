//! The claim protocol on the wire: once, and never blocked for longer than a lease.

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::Value;
use sha2::{Digest, Sha256};

use hookgate_intake::claim::{Claim, Refusal, State, Stored, admits, judge};

use crate::support::{
    World, binary,
    lambda::{Answer, Function, Invocation},
    log_lines, order_paid, outcome, plain, project, signed,
};

fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

/// Changes members of the world's only claim.
async fn change_claim(world: &World, changes: &[(&str, AttributeValue)]) {
    let mut item = world.claims().await.remove(0);
    item.extend(changes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    world.dynamodb().put_item().table_name(&world.resources.table).set_item(Some(item)).send().await.unwrap();
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

fn number(value: i64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// A world in which `evt_1` was queued, and taken off the queue.
async fn with_one_event() -> (World, Function, String) {
    let world = World::new().await;
    let function = world.function(plain(), &[]).await;
    let delivery = order_paid("evt_1", "");
    assert_eq!(outcome(&function.invoke(delivery.clone()).await), (200, "queued".to_owned()));
    assert_eq!(world.events().await.len(), 1);
    (world, function, delivery)
}

#[tokio::test]
async fn two_hundred_concurrent_copies_make_one_message() {
    let world = World::new().await;
    let function = std::sync::Arc::new(Function::start(&binary(plain()), 8, &world.settings(plain(), &[])).await);
    let delivery = order_paid("evt_1", "");
    let mut answers = tokio::task::JoinSet::new();
    for _ in 0..200 {
        let (function, delivery) = (function.clone(), delivery.clone());
        answers.spawn(async move { function.invoke(delivery).await });
    }
    let mut counts = std::collections::BTreeMap::<(u64, String), usize>::new();
    while let Some(answer) = answers.join_next().await {
        *counts.entry(outcome(&answer.unwrap())).or_default() += 1;
    }
    assert_eq!(counts[&(200, "queued".to_owned())], 1, "{counts:?}");
    let rest: Vec<_> = counts.keys().filter(|(_, outcome)| outcome != "queued").collect();
    assert!(rest.iter().all(|(_, outcome)| outcome == "duplicate" || outcome == "busy"), "{counts:?}");
    assert_eq!(counts.values().sum::<usize>(), 200);
    let events = world.events().await;
    assert_eq!(events.iter().map(|event| event.id.as_str()).collect::<Vec<_>>(), ["evt_1"]);
}

#[tokio::test]
async fn the_claim_is_readable_and_expires() {
    let (world, ..) = with_one_event().await;
    let claim = world.claims().await.remove(0);
    let hash = Sha256::digest("evt_1").iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
    assert_eq!(claim["pk"], text(&format!("{}#default#{hash}", plain().name)));
    assert_eq!(claim["event_id"], text("evt_1"));
    assert_eq!(claim["state"], text("queued"));
    assert!(!claim.contains_key("lease_until"));
    let expires_at: i64 = claim["expires_at"].as_n().unwrap().parse().unwrap();
    let days = (expires_at - now() / 1000 + 60) / 86_400;
    assert_eq!(days, 30);
}

/// Else a delivery could be a duplicate of one that SQS has dropped from the quarantine: 200, and it is nowhere.
#[tokio::test]
async fn a_quarantined_deliverys_claim_expires_a_day_before_its_message() {
    let template = std::fs::read_to_string(project().join("template.yaml")).unwrap();
    let queue = template.split("\n  QuarantineQueue:").nth(1).unwrap();
    let retention = queue.split("MessageRetentionPeriod:").nth(1).unwrap().trim_start();
    let retention: i64 = retention.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap();
    for (days, expected) in [("30", retention / 86_400 - 1), ("365", retention / 86_400 - 1), ("5", 5)] {
        let world = World::new().await;
        let function = world.function(plain(), &[("CLAIM_TTL_DAYS", days)]).await;
        let unreadable = signed(plain(), b"{}");
        assert_eq!(outcome(&function.invoke(unreadable.clone()).await), (200, "quarantined".to_owned()));
        let expires_at: i64 = world.claims().await[0]["expires_at"].as_n().unwrap().parse().unwrap();
        assert_eq!((expires_at - now() / 1000 + 60) / 86_400, expected, "{days}");
        // And then it is quarantined again.
        change_claim(&world, &[("expires_at", number(now() / 1000 - 1))]).await;
        assert_eq!(outcome(&function.invoke(unreadable).await), (200, "quarantined".to_owned()));
        assert_eq!(world.quarantined().await.len(), 2);
    }
}

#[tokio::test]
async fn a_live_lease_is_busy_and_an_ended_one_is_taken_over() {
    let (world, function, delivery) = with_one_event().await;
    let claimed = [("state", text("claimed")), ("owner", text("another"))];
    change_claim(&world, &[&claimed[..], &[("lease_until", number(now() + 4_500))]].concat()).await;
    let Answer::Response(busy) = function.invoke(delivery.clone()).await else { panic!("no answer") };
    assert_eq!((&busy["statusCode"], &busy["body"]), (&503.into(), &r#"{"outcome":"busy","id":"evt_1"}"#.into()));
    let retry_after: u64 = busy["headers"]["retry-after"].as_str().unwrap().parse().unwrap();
    assert!((4..=5).contains(&retry_after), "{retry_after}");
    assert!(world.events().await.is_empty());

    change_claim(&world, &[&claimed[..], &[("lease_until", number(now() - 1))]].concat()).await;
    assert_eq!(outcome(&function.invoke(delivery.clone()).await), (200, "queued".to_owned()));
    assert_eq!(world.events().await.len(), 1);
    assert_eq!(outcome(&function.invoke(delivery).await), (200, "duplicate".to_owned()));
}

#[tokio::test]
async fn an_expired_claim_counts_as_none_even_if_dynamodb_still_has_it() {
    let (world, function, delivery) = with_one_event().await;
    change_claim(&world, &[("expires_at", number(now() / 1000 - 1))]).await;
    assert_eq!(outcome(&function.invoke(delivery).await), (200, "queued".to_owned()));
    assert_eq!(world.events().await.len(), 1);
}

#[tokio::test]
async fn the_same_id_with_other_content_goes_to_quarantine_in_every_state() {
    let (world, function, _) = with_one_event().await;
    let other = |note: &str| order_paid("evt_1", note);
    assert_eq!(outcome(&function.invoke(other("a")).await), (200, "quarantined".to_owned()));
    assert_eq!(outcome(&function.invoke(other("a")).await), (200, "duplicate".to_owned()));
    let quarantined = world.quarantined().await;
    let [entry] = &quarantined[..] else { panic!("{quarantined:?}") };
    assert_eq!(entry.reason, "key_conflict");
    let (claimed, received) = (entry.content_claimed.as_ref().unwrap(), entry.content_received.as_ref().unwrap());
    assert!(claimed.len() == 64 && received.len() == 64 && claimed != received, "{entry:?}");

    for (index, lease) in [5_000, -5_000].into_iter().enumerate() {
        let claims = world.claims().await;
        let mut item = claims.into_iter().find(|claim| claim["event_id"] == text("evt_1")).unwrap();
        item.insert("state".to_owned(), text("claimed"));
        item.insert("lease_until".to_owned(), number(now() + lease));
        let put = world.dynamodb().put_item().table_name(&world.resources.table).set_item(Some(item));
        put.send().await.unwrap();
        let answer = function.invoke(other(&format!("lease {index}"))).await;
        assert_eq!(outcome(&answer), (200, "quarantined".to_owned()), "lease {lease}");
    }
    assert_eq!(world.quarantined().await.len(), 2);
    assert!(world.events().await.is_empty());
}

/// DynamoDB evaluates the condition as `claim::admits` does, for everything that can stand in the table.
#[tokio::test]
async fn dynamodb_and_the_pure_functions_decide_alike() {
    let (world, function, delivery) = with_one_event().await;
    let template = world.claims().await.remove(0);
    let content = template["content"].as_s().unwrap().clone();
    let mut counts = std::collections::BTreeMap::<String, usize>::new();
    for owner in ["another", "me"] {
        for expires_in in [-2, 2_000] {
            for stored_content in [&*content, "other"] {
                for lease in [None, Some(-1_000), Some(0), Some(60_000)] {
                    let start = now();
                    let state = lease.map_or(State::Queued, |lease| State::Claimed { lease_until: start + lease });
                    let expires_at = start / 1000 + expires_in;
                    let stored = Stored { owner: owner.into(), state, content: stored_content.into(), expires_at };
                    let mut item = template.clone();
                    item.insert("owner".into(), text(owner));
                    item.insert("content".into(), text(stored_content));
                    item.insert("expires_at".into(), number(expires_at));
                    item.remove("lease_until");
                    item.insert("state".into(), text("queued"));
                    if let State::Claimed { lease_until } = state {
                        item.insert("state".into(), text("claimed"));
                        item.insert("lease_until".into(), number(lease_until));
                    }
                    let put = world.dynamodb().put_item().table_name(&world.resources.table);
                    put.set_item(Some(item)).send().await.unwrap();

                    let wanted = Claim {
                        key: String::new(),
                        event_id: String::new(),
                        owner: "me".into(),
                        content: content.clone(),
                        lease_until: start + 10_000,
                        expires_at: start / 1000 + 2_592_000,
                    };
                    // The function's clock is a little later: a lease that ends now is over by then.
                    let later = start + 1;
                    let expected = if admits(Some(&stored), &wanted, later) {
                        "queued"
                    } else {
                        match judge(&stored, &wanted, later) {
                            Refusal::Mine => "queued",
                            Refusal::Duplicate => "duplicate",
                            Refusal::Busy { .. } => "busy",
                            Refusal::Conflict { .. } => "quarantined",
                        }
                    };
                    let invocation = Invocation { request_id: "me".into(), ..Invocation::default() };
                    let (_, got) = outcome(&function.invoke_with(delivery.clone(), invocation).await);
                    // One conflict is like the other: the second is a duplicate in quarantine.
                    let repeated = expected == "quarantined" && counts.contains_key("quarantined");
                    assert_eq!(got, if repeated { "duplicate" } else { expected }, "{stored:?}");
                    *counts.entry(expected.to_owned()).or_default() += 1;
                }
            }
        }
    }
    assert_eq!(counts.len(), 4, "{counts:?}");
}

#[tokio::test]
async fn a_claim_nobody_can_read_is_no_licence_to_send() {
    let (world, function, delivery) = with_one_event().await;
    change_claim(&world, &[("state", text("?"))]).await;
    assert_eq!(outcome(&function.invoke(delivery).await), (503, "unavailable".to_owned()));
    assert!(world.events().await.is_empty());
}

#[tokio::test]
async fn a_refused_send_ends_the_lease() {
    let world = World::new().await;
    let gone = format!("{}/000000000000/no-such-queue", world.engines.sqs_url());
    let broken = world.function(plain(), &[("QUEUE_URL", &gone)]).await;
    let delivery = order_paid("evt_1", "");
    let Answer::Response(answer) = broken.invoke(delivery.clone()).await else { panic!("no answer") };
    assert_eq!((&answer["statusCode"], &answer["headers"]["retry-after"]), (&503.into(), &"30".into()));
    // The lease has ended, and the claim still stands for this content.
    let claims = world.claims().await;
    assert_eq!((claims.len(), &claims[0]["state"], &claims[0]["lease_until"]), (1, &text("claimed"), &number(0)));
    let other = order_paid("evt_1", "other content");
    assert_eq!(outcome(&broken.invoke(other).await), (200, "quarantined".to_owned()));
    let line: Value = log_lines(&broken, 1).await.remove(0);
    assert_eq!((&line["reason"], &line["level"]), (&"enqueue".into(), &"ERROR".into()), "{line}");
    assert!(line["error"].as_str().unwrap().contains("NonExistentQueue"), "{line}");

    let mended = world.function(plain(), &[]).await;
    assert_eq!(outcome(&mended.invoke(delivery).await), (200, "queued".to_owned()));
}

#[tokio::test]
async fn without_dynamodb_nothing_is_sent_and_the_answer_keeps_the_budget() {
    let world = World::new().await;
    // Accepts connections and never answers.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", silent.local_addr().unwrap());
    let settings = [("AWS_ENDPOINT_URL_DYNAMODB", &*address), ("RESPONSE_BUDGET_MS", "2000")];
    let function = world.function(plain(), &settings).await;
    let started = std::time::Instant::now();
    let answer = function.invoke(order_paid("evt_1", "")).await;
    let took = started.elapsed();
    assert_eq!(outcome(&answer), (503, "unavailable".to_owned()));
    // Work may take 1.5 s of the budget; starting the process and this machine's moods come on top.
    assert!((1_400..4_000).contains(&took.as_millis()), "{took:?}");
    assert!(world.events().await.is_empty());
}
