//! Many deliveries at once, fresh and repeated, forged and unreadable: every id arrives exactly once.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use hookgate_verify::{Provider, providers};
use tokio::{task::JoinSet, time::sleep};

use crate::{
    check::Copy,
    support::{
        CURRENT, World, binary,
        lambda::{Answer, Function},
        log_lines, outcome,
        proxy::dice,
        scheme, signed_by,
    },
    wire::{body, retries},
};

/// Per provider. As many deliveries are under way at once.
const SANDBOXES: usize = 2;
/// The longest a soak may take.
const PATIENCE: Duration = Duration::from_mins(12);
/// How often a delivery is tried in all: as its provider documents it, and then by hand, once a second. A busy event is free
/// after a lease of ten seconds.
const ATTEMPTS: usize = 15;

/// What is delivered, and how.
#[derive(Clone, Copy)]
struct Job {
    id: u64,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Event,
    /// Authentic, without an event's name.
    Unreadable,
    /// Signed by somebody else.
    Forged,
}

/// The jobs of each provider, drawn by lot: 10 % forged, 1 % unreadable, 30 % repeated.
fn jobs(count: u64) -> Vec<Vec<Job>> {
    let mut jobs = vec![Vec::<Job>::new(); providers::ALL.len()];
    for id in 0..count {
        let lot = dice(id);
        let jobs = &mut jobs[usize::try_from(lot).unwrap() % providers::ALL.len()];
        let earlier: Vec<Job> = jobs.iter().rev().filter(|job| job.kind != Kind::Forged).take(50).copied().collect();
        let kind = match (lot >> 8) % 100 {
            0..10 => Kind::Forged,
            10 => Kind::Unreadable,
            // One of the last fifty, which may be under way still.
            11..41 if !earlier.is_empty() => {
                jobs.push(earlier[usize::try_from(lot >> 32).unwrap() % earlier.len()]);
                continue;
            }
            _ => Kind::Event,
        };
        jobs.push(Job { id, kind });
    }
    jobs
}

fn event(provider: &'static Provider, Job { id, kind }: Job) -> String {
    let body = match kind {
        Kind::Unreadable => body(provider, id).unreadable(),
        Kind::Event | Kind::Forged => body(provider, id).bytes(),
    };
    let secret = if kind == Kind::Forged { "guessed" } else { CURRENT };
    signed_by(provider, scheme(provider), secret, None, &body)
}

#[derive(Default)]
struct Seen {
    /// Answers, by provider and outcome.
    answers: BTreeMap<&'static str, BTreeMap<String, usize>>,
    latencies: Vec<Duration>,
    /// Things with their messages on the queue and in quarantine.
    copies: BTreeMap<u64, [usize; 2]>,
}

async fn soak_with(count: u64) {
    let world = Arc::new(World::new().await);
    let seen = Arc::new(Mutex::new(Seen::default()));
    let mut functions = Vec::new();
    for provider in providers::ALL {
        functions.push(Arc::new(Function::start(&binary(provider), SANDBOXES, &world.settings(provider, &[])).await));
    }
    let jobs = jobs(count);
    let mut expected = BTreeMap::new();
    for job in jobs.iter().flatten().filter(|job| job.kind != Kind::Forged) {
        expected.insert(job.id, if job.kind == Kind::Event { [1, 0] } else { [0, 1] });
    }

    let begun = Instant::now();
    let mut senders = JoinSet::new();
    for ((jobs, function), provider) in jobs.into_iter().zip(&functions).zip(providers::ALL) {
        let (jobs, next) = (Arc::new(jobs), Arc::new(AtomicUsize::new(0)));
        for _ in 0..SANDBOXES {
            let (jobs, next) = (Arc::clone(&jobs), Arc::clone(&next));
            let (function, seen) = (Arc::clone(function), Arc::clone(&seen));
            senders.spawn(async move {
                while let Some(&job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    deliver(&function, provider, job, &seen).await;
                }
            });
        }
    }
    // A consumer beside them: the embedded queue is slow when it is long.
    while !senders.is_empty() {
        consume(&world, &seen).await;
        while let Some(sender) = senders.try_join_next() {
            sender.unwrap();
        }
        assert!(begun.elapsed() < PATIENCE, "not through in time: {:?}", seen.lock().unwrap().answers);
        sleep(Duration::from_millis(50)).await;
    }
    let took = begun.elapsed();
    consume(&world, &seen).await;

    let Seen { answers, mut latencies, copies } = std::mem::take(&mut *seen.lock().unwrap());
    let mut outcomes = BTreeMap::<&str, usize>::new();
    for (provider, function) in providers::ALL.iter().zip(&functions) {
        let answers = &answers[provider.name];
        let mut logged = BTreeMap::<String, usize>::new();
        for line in log_lines(function, answers.values().sum()).await {
            *logged.entry(line["outcome"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        assert_eq!(&logged, answers, "what {provider:?} logged and what it answered");
        for (outcome, count) in answers {
            *outcomes.entry(outcome).or_default() += count;
        }
    }
    latencies.sort_unstable();
    let answered = latencies.len();
    let at = |percent: usize| latencies[(answered * percent / 100).min(answered - 1)];
    println!(
        "{answered} deliveries in {took:.1?}: {} per second; answers p50 {:.1?}, p99 {:.1?}, worst {:.1?}; {outcomes:?}",
        answered as u128 * 1_000 / took.as_millis(),
        at(50),
        at(99),
        at(100),
    );
    let wrong: Vec<_> = expected.iter().filter(|(id, expected)| copies.get(id) != Some(expected)).collect();
    assert!(wrong.is_empty(), "{} ids are not there exactly once, such as {:?}", wrong.len(), &wrong[..1]);
    assert_eq!(copies.len(), expected.len(), "what is there and nobody sent");
}

/// Delivers until there is an answer that a provider leaves it at.
async fn deliver(function: &Function, provider: &'static Provider, job: Job, seen: &Mutex<Seen>) {
    let event = event(provider, job);
    let by_hand = std::iter::repeat(Duration::from_secs(1));
    for pause in retries(provider).into_iter().chain(by_hand).take(ATTEMPTS) {
        let begun = Instant::now();
        let answer = function.invoke(event.clone()).await;
        let took = begun.elapsed();
        assert!(matches!(answer, Answer::Response(_)), "{answer:?}");
        let (_, outcome) = outcome(&answer);
        {
            let mut seen = seen.lock().unwrap();
            seen.latencies.push(took);
            *seen.answers.entry(provider.name).or_default().entry(outcome.clone()).or_default() += 1;
        }
        match (&*outcome, job.kind) {
            ("rejected", Kind::Forged)
            | ("duplicate", Kind::Event | Kind::Unreadable)
            | ("queued", Kind::Event)
            | ("quarantined", Kind::Unreadable) => return,
            ("busy" | "unavailable", Kind::Event | Kind::Unreadable) => sleep(pause).await,
            _ => panic!("{outcome} for {}", job.id),
        }
    }
    panic!("{} was never acknowledged", job.id);
}

async fn consume(world: &World, seen: &Mutex<Seen>) {
    let messages = world.messages().await;
    let quarantined = world.quarantined().await;
    let mut seen = seen.lock().unwrap();
    for message in messages {
        seen.copies.entry(Copy::of(message.body().unwrap()).thing).or_default()[0] += 1;
    }
    for entry in quarantined {
        let thing = Copy::of(&serde_json::to_string(&entry).unwrap()).thing;
        seen.copies.entry(thing).or_default()[1] += 1;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_deliveries_arrive_exactly_once() {
    soak_with(1_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: HOOKGATE_SOAK=50000 says how many"]
async fn soak() {
    let count = std::env::var("HOOKGATE_SOAK").unwrap_or_else(|_| "50000".to_owned());
    soak_with(count.parse().unwrap_or_else(|_| panic!("HOOKGATE_SOAK is no number: {count}"))).await;
}
