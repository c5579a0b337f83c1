//! A function that dies in the middle of a delivery: what its platform is answered, and what comes onto the queue.
//!
//! Only the local intake can let a function die at a given point: by its control `/api/crash/{crash}/webhooks/…`, which is
//! for this machine alone.

use std::time::Duration;

use anyhow::bail;
use hookgate_event::Event;
use hookgate_verify::{Account, Delivery, Verifier};
use http::HeaderMap;
use time::OffsetDateTime;

use super::played::{Check, NOT_LOOKED_AT, Played};
use crate::{
    client::{
        http::{Poster, at, is_local_intake},
        messages::Journal,
    },
    local::{crash::Crash, engines},
    send::{
        plan::Plan,
        sending::{Delivered, label, send_one},
        template::Template,
    },
};

const EXPECTED: &str = "\
Two events, and for each a function that dies on the way: one once it has claimed its event, one once SQS has accepted it \
and before the claim is settled. Neither platform gets a 2xx, so both send again: busy at first, since the dead function's \
lease runs for ten seconds (its time-out of 8 s and 2 s more); then queued; from then on known. The first event is on the \
queue once. The second is there twice, under one source and id, by which consumers know it. That takes some 10 s.";

/// What became of one event.
struct Story {
    crash: Crash,
    /// Sent to a function that dies, at once again, when told to, and once more.
    deliveries: [Delivered; 4],
}

/// Plays both side by side, since each waits for its lease.
pub(super) async fn play(
    plan: &Plan,
    poster: &Poster,
    sqs: Option<String>,
    say: impl Fn(&str) -> anyhow::Result<()>,
) -> anyhow::Result<Played> {
    let now = OffsetDateTime::now_utc();
    let templates = [plan.template(now), plan.template(now)];
    if let [Some(one), Some(other)] = templates.each_ref().map(|template| key(plan, template, now))
        && one == other
    {
        let set: Vec<_> = plan.set.iter().map(|(path, _)| &**path).collect();
        bail!(
            "--scenario crash plays two events, and what is set ({}) makes them one: leave out the --set of the id",
            set.join(", ")
        );
    }
    if !is_local_intake(&plan.url).await {
        bail!(
            "no local intake answers at {}: --scenario crash lets a function die on the way, and only the local intake can. \
             Start it with hookgate, and give its own address with --url, like http://127.0.0.1:9000",
            plan.url
        );
    }
    say(EXPECTED)?;
    let journal = match sqs {
        Some(sqs) => journal(&sqs).await,
        None => None,
    };
    let [one, other] = &templates;
    let (first, second) = tokio::try_join!(
        Story::play(Crash::Claimed, plan, one, poster),
        Story::play(Crash::Enqueued, plan, other, poster)
    )?;
    let sent = match journal {
        Some(journal) => sent(journal).await,
        None => None,
    };
    if sent.is_none() {
        say(NOT_LOOKED_AT)?;
    }
    let checks = [&first, &second].into_iter().flat_map(|story| story.checks(sent.as_deref())).collect();
    let results = first.deliveries.into_iter().chain(second.deliveries).collect();
    Ok(Played { expected: EXPECTED.to_owned(), results, checks })
}

impl Story {
    async fn play(crash: Crash, plan: &Plan, template: &Template, poster: &Poster) -> anyhow::Result<Self> {
        let send = async |poster: &Poster| {
            let outgoing = plan.outgoing(template, OffsetDateTime::now_utc())?;
            anyhow::Ok(send_one(poster, outgoing, false).await)
        };
        let target = plan.url.path_and_query().map_or("/", |target| target.as_str());
        let dying = send(&Poster::new(at(&plan.url, &format!("/api/crash/{}{target}", crash.name()))?)?).await?;
        let busy = send(poster).await?;
        // As the platform is told to. Nothing to wait for where it is not: the checks will say so.
        tokio::time::sleep(Duration::from_secs(retry_after(&busy).unwrap_or(0))).await;
        let deliveries = [dying, busy, send(poster).await?, send(poster).await?];
        Ok(Story { crash, deliveries })
    }

    /// `sent` is what was sent to the queue, where that is known.
    fn checks(&self, sent: Option<&[Event<'static>]>) -> Vec<Check> {
        let (who, copies) = match self.crash {
            Crash::Claimed => ("dead once claimed", 1),
            Crash::Enqueued => ("dead once enqueued", 2),
        };
        let [dying, busy, queued, known] = &self.deliveries;
        let is = |what: &str, delivered: &Delivered, wanted: &str| Check {
            what: format!("{who}: {what}"),
            found: label(&delivered.answer),
            right: label(&delivered.answer) == wanted,
        };
        let mut checks = vec![
            is("no 2xx", dying, "HTTP 500"),
            is("at once again, busy", busy, "busy"),
            Check {
                what: format!("{who}: told when to send again"),
                found: retry_after(busy).map_or_else(|| "no".to_owned(), |seconds| format!("in {seconds} s")),
                right: retry_after(busy).is_some(),
            },
            is("sent again then, queued", queued, "queued"),
            is("sent once more, duplicate", known, "duplicate"),
        ];
        if let Some(sent) = sent {
            let id = queued.answer.as_ref().ok().and_then(|answer| answer.id.as_deref());
            let ours: Vec<_> = sent.iter().filter(|event| Some(&*event.id) == id).collect();
            let one_source = ours.windows(2).all(|pair| pair[0].source == pair[1].source);
            checks.push(Check {
                what: format!("{who}: times on the queue under one source and id, {copies}"),
                found: ours.len().to_string(),
                right: ours.len() == copies && one_source,
            });
        }
        checks
    }
}

/// The key by which an intake tells the event from every other, whatever it is signed with. None where it can read none.
fn key(plan: &Plan, template: &Template, now: OffsetDateTime) -> Option<String> {
    let body = plan.outgoing(template, now).ok()?.body;
    let delivery = Delivery { headers: HeaderMap::new(), body, account: Account::default(), received: now };
    let verifier = Verifier::new(plan.provider, |_| None).ok()?;
    Some(verifier.vouched_for_by_operator(&delivery).read().ok()?.key)
}

fn retry_after(delivered: &Delivered) -> Option<u64> {
    delivered.answer.as_ref().ok().and_then(|answer| answer.retry_after)
}

/// The journal of the local intake's queue, from its present end on: looking there disturbs no consumer. None where there
/// is none to read.
async fn journal(sqs: &str) -> Option<Journal> {
    let client = aws_sdk_sqs::Client::new(&engines::sdk_config(sqs));
    let queue = client.get_queue_url().queue_name("hookgate-events").send().await.ok()?.queue_url?;
    let mut journal = Journal::new(sqs, &queue).ok()?;
    journal.skip().await.ok()?;
    Some(journal)
}

/// Every event that was sent to the queue since. None where the journal cannot be read.
async fn sent(mut journal: Journal) -> Option<Vec<Event<'static>>> {
    let mut events = Vec::new();
    while let Some(entries) = journal.more(Duration::ZERO).await.ok()? {
        events.extend(entries.iter().filter_map(|entry| Some(Event::from_json(&entry.body).ok()?.into_owned())));
    }
    Some(events)
}
