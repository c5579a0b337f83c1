//! Functions that die during a delivery: the platform's answers, and the events on the queue.
//!
//! Only the local intake can let a function die at a given point: by `/api/crash/{crash}/webhooks/…`, which only this machine
//! may call.

use std::time::Duration;

use anyhow::bail;
use hookgate_event::Event;
use hookgate_verify::Verifier;
use time::OffsetDateTime;

use super::NOT_LOOKED_AT;
use crate::{
    client::{
        http::{Poster, at, is_local_intake},
        messages::Journal,
    },
    local::{crash::Crash, engines},
    send::{
        plan::Plan,
        sending::{Check, Delivered, label, send_one},
        sign::delivery,
        template::Template,
    },
};

pub(super) const EXPECTED: &str = "\
Two events, each sent to a function that dies: the first one after it has claimed its event, the second one after SQS has \
accepted it and before the claim is settled. The platform gets no 2xx, so it retries: the event is busy at first, because the \
dead function's lease lasts ten seconds (its timeout of 8 s plus 2 s), then queued, then a duplicate. The first event is on the \
queue once. The second one is there twice, with the same source and id, so that consumers recognise it. This takes 10 s.";

/// One event and its deliveries.
struct Story {
    crash: Crash,
    /// To a function that dies; at once again; when told to retry; once more.
    deliveries: [Delivered; 4],
}

/// Plays both at the same time, since each waits for its lease.
pub(super) async fn play(
    plan: &Plan,
    poster: &Poster,
    sqs: Option<String>,
    say: impl Fn(&str) -> anyhow::Result<()>,
) -> anyhow::Result<(Vec<Delivered>, Vec<Check>)> {
    let now = OffsetDateTime::now_utc();
    let templates = [plan.template(now), plan.template(now)];
    if let [Some(one), Some(other)] = templates.each_ref().map(|template| key(plan, template, now))
        && one == other
    {
        let set: Vec<_> = plan.set.iter().map(|(path, _)| &**path).collect();
        bail!(
            "--scenario crash needs two events, and --set gives them the same id ({}): leave that out",
            set.join(", ")
        );
    }
    if !is_local_intake(&plan.url).await {
        bail!(
            "no local intake answers at {}, and --scenario crash needs one: start it with `hookgate`, and set --url to its \
             address, like http://127.0.0.1:9000",
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
    Ok((first.deliveries.into_iter().chain(second.deliveries).collect(), checks))
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
        // Without Retry-After there is nothing to wait for, and a check fails.
        tokio::time::sleep(Duration::from_secs(retry_after(&busy).unwrap_or(0))).await;
        let deliveries = [dying, busy, send(poster).await?, send(poster).await?];
        Ok(Story { crash, deliveries })
    }

    /// `sent` are the events that were sent to the queue, if that is known.
    fn checks(&self, sent: Option<&[Event<'static>]>) -> Vec<Check> {
        let (who, copies) = match self.crash {
            Crash::Claimed => ("dies after the claim", 1),
            Crash::Enqueued => ("dies after SQS accepted", 2),
        };
        let [dying, busy, queued, known] = &self.deliveries;
        let is = |what: &str, delivered: &Delivered, wanted: &str| Check {
            what: format!("{who}: {what}"),
            found: label(&delivered.answer),
            right: label(&delivered.answer) == wanted,
        };
        let mut checks = vec![
            is("no 2xx", dying, "HTTP 500"),
            is("retried at once, busy", busy, "busy"),
            Check {
                what: format!("{who}: told when to retry"),
                found: retry_after(busy).map_or_else(|| "no".to_owned(), |seconds| format!("in {seconds} s")),
                right: retry_after(busy).is_some(),
            },
            is("retried then, queued", queued, "queued"),
            is("sent again, duplicate", known, "duplicate"),
        ];
        if let Some(sent) = sent {
            let id = queued.answer.as_ref().ok().and_then(|answer| answer.id.as_deref());
            let ours: Vec<_> = sent.iter().filter(|event| Some(&*event.id) == id).collect();
            let one_source = ours.windows(2).all(|pair| pair[0].source == pair[1].source);
            checks.push(Check {
                what: format!("{who}: times on the queue with the same source and id, {copies}"),
                found: ours.len().to_string(),
                right: ours.len() == copies && one_source,
            });
        }
        checks
    }
}

/// The event's idempotency key, whatever signs it. None if it cannot be read.
fn key(plan: &Plan, template: &Template, now: OffsetDateTime) -> Option<String> {
    let delivery = delivery(&plan.outgoing(template, now).ok()?, now)?;
    let verifier = Verifier::new(plan.provider, |_| None).ok()?;
    Some(verifier.vouched_for_by_operator(&delivery).read().ok()?.key)
}

fn retry_after(delivered: &Delivered) -> Option<u64> {
    delivered.answer.as_ref().ok().and_then(|answer| answer.retry_after)
}

/// The journal of the local intake's queue, from its current end on. Reading it does not affect consumers. None if it cannot
/// be read.
async fn journal(sqs: &str) -> Option<Journal> {
    let client = aws_sdk_sqs::Client::new(&engines::sdk_config(sqs));
    let queue = super::events_queue(&client).await?;
    let mut journal = Journal::new(sqs, &queue).ok()?;
    journal.skip().await.ok()?;
    Some(journal)
}

/// Every event that was sent to the queue since. None if the journal cannot be read.
async fn sent(mut journal: Journal) -> Option<Vec<Event<'static>>> {
    let mut events = Vec::new();
    while let Some(entries) = journal.more(Duration::ZERO).await.ok()? {
        events.extend(entries.iter().filter_map(|entry| Some(Event::from_json(&entry.body).ok()?.into_owned())));
    }
    Some(events)
}
