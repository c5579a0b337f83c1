//! Sends many deliveries and sums up the answers.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::plan::Plan;
use crate::{
    client::http::{Answer, Outgoing, Poster},
    local::host::is_this_machine,
    output::{BAD, DIM, GOOD, progress},
};

/// The answer to a delivery, or why there is none, and how long it took.
#[derive(Debug)]
pub(crate) struct Delivered {
    pub(crate) answer: Result<Answer, String>,
    took: Duration,
}

/// Sends `count` deliveries, at most `concurrency` at a time. With `until_taken`, retries after a 503, as a platform does.
pub(crate) async fn send_all(
    poster: &Poster,
    make: impl Fn(u64) -> anyhow::Result<Outgoing> + Send + Sync + 'static,
    count: u64,
    concurrency: u64,
    until_taken: bool,
) -> anyhow::Result<Vec<Delivered>> {
    let (make, next) = (Arc::new(make), Arc::new(AtomicU64::new(0)));
    let (results, mut arriving) = mpsc::channel(64);
    for _ in 0..concurrency.min(count) {
        let (make, next, results, poster) = (make.clone(), next.clone(), results.clone(), poster.clone());
        tokio::spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    break;
                }
                let result = match make(number) {
                    Ok(outgoing) => Ok(send_one(&poster, outgoing, until_taken).await),
                    Err(error) => Err(error),
                };
                if results.send(result).await.is_err() {
                    break;
                }
            }
        });
    }
    drop(results);
    let mut all = Vec::new();
    let bar = progress(count);
    while let Some(result) = arriving.recv().await {
        all.push(result?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(all)
}

pub(crate) async fn send_one(poster: &Poster, outgoing: Outgoing, until_taken: bool) -> Delivered {
    const TRIES: usize = 50;
    const PAUSE: Duration = Duration::from_millis(200);
    let mut tries = 0;
    loop {
        let started = Instant::now();
        let answer = poster.post(outgoing.clone()).await;
        let took = started.elapsed();
        tries += 1;
        let taken = !matches!(&answer, Ok(answer) if answer.status == 503);
        if taken || !until_taken || tries == TRIES {
            return Delivered { answer, took };
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// The results of all deliveries.
pub(crate) struct Summary {
    sent: usize,
    outcomes: BTreeMap<String, usize>,
    p50: Duration,
    p99: Duration,
    elapsed: Duration,
}

impl Summary {
    pub(crate) fn of(results: &[Delivered], elapsed: Duration) -> Self {
        let mut outcomes = BTreeMap::new();
        for result in results {
            *outcomes.entry(label(&result.answer)).or_default() += 1;
        }
        let mut latencies: Vec<_> = results.iter().map(|result| result.took).collect();
        latencies.sort();
        // Nearest rank.
        let rank = |percent: usize| {
            let rank = (latencies.len() * percent).div_ceil(100).max(1);
            latencies.get(rank - 1).copied().unwrap_or_default()
        };
        Summary { sent: results.len(), outcomes, p50: rank(50), p99: rank(99), elapsed }
    }

    pub(crate) fn as_json(&self, plan: &Plan) -> Value {
        json!({
            "provider": plan.provider.name,
            "event": plan.event,
            "url": plan.url.to_string(),
            "scheme": plan.scheme.name,
            "sent": self.sent,
            "outcomes": self.outcomes,
            "latency_ms": {"p50": milliseconds(self.p50), "p99": milliseconds(self.p99)},
            "elapsed_ms": milliseconds(self.elapsed),
        })
    }

    pub(crate) fn as_text(&self, plan: &Plan, results: &[Delivered], as_expected: bool) -> String {
        let colour = if as_expected { GOOD } else { BAD };
        let mut text = format!("{} {} → {}\n", plan.provider.name, plan.event, plan.url);
        if let [Delivered { answer: Ok(answer), took }] = results {
            let id = answer.id.as_ref().map_or_else(String::new, |id| format!("  {id}"));
            let outcome = answer.outcome.as_deref().unwrap_or_default();
            let _ = writeln!(text, "{colour}{} {outcome}{colour:#}{id}  {DIM}{}{DIM:#}", answer.status, shown(*took));
        } else if results.len() > 1 {
            let _ = write!(text, "{} sent in {:.1} s: ", self.sent, self.elapsed.as_secs_f64());
            let counts: Vec<_> = self.outcomes.iter().map(|(label, count)| format!("{count} {label}")).collect();
            let _ = writeln!(text, "{colour}{}{colour:#}", counts.join(", "));
            let _ = writeln!(text, "latency p50 {}, p99 {}", shown(self.p50), shown(self.p99));
        }
        text + &hints(plan, results, as_expected)
    }
}

/// The remedy for unexpected answers.
pub(crate) fn hints(plan: &Plan, results: &[Delivered], as_expected: bool) -> String {
    if as_expected {
        return String::new();
    }
    if let Some(error) = results.iter().find_map(|result| result.answer.as_ref().err()) {
        let start =
            if is_this_machine(&plan.url) { "start the intake with `hookgate`, or check --url" } else { "check --url" };
        return format!("nothing answers at {}: {start} ({error})\n", plan.url);
    }
    let has = |wanted: &str| results.iter().any(|result| label(&result.answer) == wanted);
    if plan.tamper.is_some() {
        return "a tampered delivery was not rejected: do not use this intake\n".to_owned();
    }
    if has("rejected") {
        let name = plan.provider.name;
        return format!(
            "rejected: sign with the intake's own secret (--secret, HOOKGATE_SECRET) and scheme; \
             hookgate send {name} {} --print curl | hookgate explain {name} --secrets FILE says more\n",
            plan.event
        );
    }
    if has("HTTP 404") {
        return "not found: check --url, and that the intake has secrets for this platform\n".to_owned();
    }
    String::new()
}

/// The outcome's name, or else the status or "no answer".
pub(crate) fn label(answer: &Result<Answer, String>) -> String {
    match answer {
        Ok(Answer { outcome: Some(outcome), .. }) => outcome.clone(),
        Ok(Answer { status, .. }) => format!("HTTP {status}"),
        Err(_) => "no answer".to_owned(),
    }
}

fn shown(took: Duration) -> String {
    format!("{:.1} ms", took.as_secs_f64() * 1000.0)
}

fn milliseconds(took: Duration) -> f64 {
    (took.as_secs_f64() * 10_000.0).round() / 10.0
}
