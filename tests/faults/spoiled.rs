//! Would a broken promise be noticed? A healthy run's record is spoiled, one way at a time.

use std::time::{Duration, Instant};

use crate::{
    check::{Broken, Copy, Delivery, Record, check},
    seeds::run,
    support::proxy::{Call, Step},
};

type Spoil = fn(&mut Record);

/// Has the first thing sent once more: by the same invocation, or by another one, after everything else.
fn repeat(record: &mut Record, other: Option<&str>) {
    let now = Instant::now();
    for step in [Step::Claim, Step::Send] {
        let call = record.calls.iter().find(|call| call.step == step && call.applied()).unwrap();
        let mut call = Call { arrived: call.done.unwrap().0, ..call.clone() };
        if let Some(other) = other {
            call = Call { invocation: other.to_owned(), arrived: now, done: Some((now, 200)), ..call };
        }
        record.calls.push(call);
    }
    let send = record.calls.last().unwrap();
    record.copies.push(Copy::of(send.request["MessageBody"].as_str().unwrap()));
}

#[tokio::test]
async fn a_spoiled_record_is_noticed() {
    let record = run(0, false).await;
    let verdict = |record: &Record| match check(record, Duration::from_secs(1)) {
        Ok(tally) => tally.to_string(),
        Err(Broken::Promise(what) | Broken::Time(what)) => what,
    };
    assert!(verdict(&record).starts_with("1 runs"), "{}", verdict(&record));
    let spoils: &[(&str, Spoil)] = &[
        ("what was sent is lost", |record| drop(record.copies.remove(0))),
        ("what was sent is lost", |record| record.copies.push(record.copies[0].clone())),
        ("an invocation sent twice for no reason", |record| repeat(record, None)),
        ("an event was sent that had been settled", |record| repeat(record, Some("00000000ffff"))),
        ("an event was sent again for no reason", |record| {
            record.calls.retain(|call| call.step != Step::Settle);
            repeat(record, Some("00000000ffff"));
        }),
        ("an event was sent without a claim", |record| record.calls.retain(|call| call.step != Step::Claim)),
        ("two events have one name", |record| {
            let name = record.copies[0].name.clone();
            record.copies.iter_mut().for_each(|copy| copy.name.clone_from(&name));
        }),
        ("the log says []", |record| drop(record.lines.remove(0))),
        ("the log says [\"queued\", \"queued\"]", |record| {
            let queued = record.lines.iter().find(|line| line["outcome"] == "queued").unwrap().clone();
            record.lines.push(queued);
        }),
        ("the log has lines of nobody", |record| drop(record.deliveries.remove(0))),
        ("an event was acknowledged before it was sent", |record| record.deliveries[0].answered = record.clocks.0),
        ("an answer overran its budget", |record| record.lines[0]["TotalMs"] = 3_001.into()),
        ("an invocation overran its deadline", |record| {
            record.deliveries.push(Delivery { outcome: "timed out".into(), ..record.deliveries[0].clone() });
            record.deliveries.last_mut().unwrap().invocation = "00000000ffff".into();
        }),
        ("an event was never acknowledged", |record| {
            record.deliveries.iter_mut().for_each(|delivery| delivery.outcome = "busy".into());
            record.lines.iter_mut().for_each(|line| line["outcome"] = "busy".into());
        }),
    ];
    for (expected, spoil) in spoils {
        let mut record = record.clone();
        spoil(&mut record);
        let verdict = verdict(&record);
        assert!(verdict.starts_with(expected), "{expected}: {verdict}");
    }
}
