//! Sends deliveries, and prints what came of them.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    time::{Duration, Instant},
};

use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::json;

use super::plan::Plan;
use crate::{
    client::http::{Answer, Outgoing, Poster},
    error::ExitCode,
    local::host::is_this_machine,
    output::{BAD, DIM, GOOD, Progress, print, print_json},
};

/// The answer to a delivery, or why there is none, and how long it took.
#[derive(Debug)]
pub(crate) struct Delivered {
    pub(crate) answer: Result<Answer, String>,
    took: Duration,
}

/// Sends deliveries, at most `concurrency` at a time; each is made when it is its turn. With `until_taken`, retries after a
/// 503, as a platform does.
pub(crate) async fn send_all(
    poster: &Poster,
    deliveries: impl ExactSizeIterator<Item = anyhow::Result<Outgoing>>,
    concurrency: usize,
    until_taken: bool,
) -> anyhow::Result<Vec<Delivered>> {
    let (mut progress, mut done, count) = (Progress::new(), 0, deliveries.len() as u64);
    let send = async |outgoing: anyhow::Result<_>| anyhow::Ok(send_one(poster, outgoing?, until_taken).await);
    let answers = stream::iter(deliveries).map(send).buffer_unordered(concurrency);
    let count_one = |_: &_| {
        done += 1;
        progress.show(done, count);
    };
    answers.inspect(count_one).try_collect().await
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

/// A condition of a scenario.
pub(crate) struct Check {
    pub(crate) what: String,
    pub(crate) found: String,
    pub(crate) right: bool,
}

/// What came of all deliveries.
pub(crate) struct Results<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) delivered: Vec<Delivered>,
    pub(crate) elapsed: Duration,
    /// What a scenario expects, in words, and its checks.
    pub(crate) scenario: Option<(String, Vec<Check>)>,
}

impl Results<'_> {
    /// Prints them. As expected, if every check is right; without a scenario, if every answer is.
    pub(crate) fn show(&self, as_json: bool) -> anyhow::Result<ExitCode> {
        let Results { plan, delivered, elapsed, scenario } = self;
        let as_expected = match scenario {
            Some((_, checks)) => checks.iter().all(|check| check.right),
            None => delivered.iter().all(|delivered| plan.is_as_expected(&delivered.answer)),
        };
        let mut outcomes = BTreeMap::<String, usize>::new();
        for delivered in delivered {
            *outcomes.entry(label(&delivered.answer)).or_default() += 1;
        }
        let mut latencies: Vec<_> = delivered.iter().map(|delivered| delivered.took).collect();
        latencies.sort();
        // Nearest rank.
        let rank = |percent: usize| {
            let rank = (latencies.len() * percent).div_ceil(100).max(1);
            latencies.get(rank - 1).copied().unwrap_or_default()
        };
        let (p50, p99) = (rank(50), rank(99));
        if as_json {
            let mut json = json!({
                "provider": plan.provider.name,
                "event": plan.event,
                "url": plan.url.to_string(),
                "scheme": plan.scheme.name,
                "sent": delivered.len(),
                "outcomes": outcomes,
                "latency_ms": {"p50": milliseconds(p50), "p99": milliseconds(p99)},
                "elapsed_ms": milliseconds(*elapsed),
                "as_expected": as_expected,
            });
            match (scenario, &delivered[..]) {
                (Some((expected, checks)), _) => {
                    let check = |c: &Check| json!({"check": c.what, "found": c.found, "right": c.right});
                    json["scenario"] = json!(expected);
                    json["checks"] = checks.iter().map(check).collect();
                }
                (None, [Delivered { answer: Ok(answer), .. }]) => {
                    json["answer"] = json!({"status": answer.status, "outcome": answer.outcome, "id": answer.id});
                }
                (None, _) => {}
            }
            print_json(&json)?;
            return Ok(as_expected.into());
        }
        let colour = if as_expected { GOOD } else { BAD };
        let mut text = format!("{} {} → {}\n", plan.provider.name, plan.event, plan.url);
        if let [Delivered { answer: Ok(answer), took }] = &delivered[..] {
            let id = answer.id.as_ref().map_or_else(String::new, |id| format!("  {id}"));
            let outcome = answer.outcome.as_deref().unwrap_or_default();
            let _ = writeln!(text, "{colour}{} {outcome}{colour:#}{id}  {DIM}{}{DIM:#}", answer.status, shown(*took));
        } else if delivered.len() > 1 {
            let _ = write!(text, "{} sent in {:.1} s: ", delivered.len(), elapsed.as_secs_f64());
            let counts: Vec<_> = outcomes.iter().map(|(label, count)| format!("{count} {label}")).collect();
            let _ = writeln!(text, "{colour}{}{colour:#}", counts.join(", "));
            let _ = writeln!(text, "latency p50 {}, p99 {}", shown(p50), shown(p99));
        }
        for Check { what, found, right } in scenario.iter().flat_map(|(_, checks)| checks) {
            let (colour, mark) = if *right { (GOOD, "✓") } else { (BAD, "✗") };
            let _ = writeln!(text, "{colour}{mark}{colour:#} {what}: {found}");
        }
        if !as_expected {
            text += &self.remedy(&outcomes);
        }
        print(text)?;
        Ok(as_expected.into())
    }

    /// What to do about unexpected answers.
    fn remedy(&self, outcomes: &BTreeMap<String, usize>) -> String {
        let Plan { provider, event, url, tamper, .. } = self.plan;
        let name = provider.name;
        if let Some(error) = self.delivered.iter().find_map(|delivered| delivered.answer.as_ref().err()) {
            let start = if is_this_machine(url) { "start the intake with `hookgate`, or " } else { "" };
            format!("nothing answers at {url}: {start}check --url ({error})\n")
        } else if tamper.is_some() {
            "a tampered delivery was not rejected: do not use this intake\n".to_owned()
        } else if outcomes.contains_key("rejected") {
            format!(
                "rejected: sign with the intake's own secret (--secret, HOOKGATE_SECRET) and scheme; \
                 hookgate send {name} {event} --print curl | hookgate explain {name} --secrets FILE says more\n"
            )
        } else if outcomes.contains_key("HTTP 404") {
            "not found: check --url, and that the intake has secrets for this platform\n".to_owned()
        } else {
            String::new()
        }
    }
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
