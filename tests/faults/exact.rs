//! Every fault at every step, and a kill at every await point: what is answered, what becomes of the claim, what the next
//! delivery meets, and how many copies there are in the end.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_sdk_dynamodb::types::AttributeValue;
use hookgate_verify::providers;
use serde_json::Value;
use tokio::{sync::Semaphore, task::JoinSet, time::sleep};

use crate::{
    support::{
        World,
        body::note,
        log_lines, order_paid, plain, project,
        proxy::{Fault, KILLS, NOT_DONE, Step, UNHEARD, exactly},
    },
    wire::{LEASE_MARGIN, SHORT_LEASE, Wire, delivery, invocation},
};

/// One attempt of the SDK gets a third of what is left after half a second: 1 s.
const BUDGET: Duration = Duration::from_millis(3_500);
const DEADLINE: Duration = Duration::from_millis(3_700);
/// Rows that wait for a lease to end need no processor.
const AT_ONCE: usize = 24;

/// Which attempts of the SDK a fault strikes.
const ALWAYS: usize = 0;
const ONCE: usize = 1;

type Faults = Vec<(Step, usize, Fault)>;

/// What is seen of one event, in this order: the outcome of its first delivery, which meets the faults; what its claim
/// is like then; the outcome of the next delivery at once, without faults; the copies on the queue, after one more
/// delivery when the lease is over, if there is a lease to wait for.
type Story = (&'static str, Claim, &'static str, usize);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Claim {
    /// Whoever comes next may have the event.
    Free,
    /// Until the lease ends.
    Held,
    /// The same, but it ends sooner than it was to.
    Short,
    Queued,
}
use Claim::{Free, Held, Queued, Short};

/// Every fault but these.
fn but(faults: &[Fault], not: &[Fault]) -> Vec<Fault> {
    faults.iter().copied().filter(|fault| !not.contains(fault)).collect()
}

fn rows() -> Vec<(Faults, Story)> {
    use Fault::{Drip, Error, Garbage, HangAfter, Late, Refuse, ResetAfter, ResetBefore, Throttle};
    use Step::{Claim, Release, Send, Settle};
    const LATE: Fault = Late(2_000);
    let all = [NOT_DONE, UNHEARD].concat();
    // A refusal lasts as long as the SDK tries.
    let once = but(&all, &[Refuse, Garbage]);
    let turned_down = (Send, ALWAYS, Throttle);
    let mut rows = Vec::new();
    let mut each = |step, nth, faults: &[Fault], before: &[_], story: Story| {
        rows.extend(faults.iter().map(|&fault| ([before, &[(step, nth, fault)]].concat(), story)));
    };

    // A claim whose answer was lost is recognised as the invocation's own.
    each(Claim, ONCE, &once, &[], ("queued", Queued, "duplicate", 1));
    // The SDK does not repeat a call that was answered, be it with garbage.
    each(Claim, ONCE, &[Garbage], &[], ("unavailable", Free, "queued", 1));
    each(Claim, ALWAYS, &but(&all, &[LATE]), &[], ("unavailable", Free, "queued", 1));
    // It comes into being after its owner gave up, and blocks for the rest of the lease.
    each(Claim, ALWAYS, &[LATE], &[], ("unavailable", Held, "busy", 1));

    each(Send, ONCE, &but(NOT_DONE, &[Refuse]), &[], ("queued", Queued, "duplicate", 1));
    // Window (b): the SDK sends again what is on the queue.
    each(Send, ONCE, &but(UNHEARD, &[Garbage]), &[], ("queued", Queued, "duplicate", 2));
    each(Send, ALWAYS, &[Throttle], &[], ("unavailable", Free, "queued", 1));
    // Nobody knows whether it was sent: the claim stays for two seconds.
    each(Send, ALWAYS, &but(NOT_DONE, &[Throttle]), &[], ("unavailable", Short, "busy", 1));
    each(Send, ALWAYS, &but(UNHEARD, &[Garbage]), &[], ("unavailable", Short, "busy", 4));
    each(Send, ONCE, &[Garbage], &[], ("unavailable", Short, "busy", 2));

    each(Settle, ONCE, &once, &[], ("queued", Queued, "duplicate", 1));
    each(Settle, ONCE, &[Garbage], &[], ("queued", Queued, "duplicate", 1));
    // Window (c): settle failed, and the event is delivered again.
    each(Settle, ALWAYS, NOT_DONE, &[], ("queued", Held, "busy", 2));
    each(Settle, ALWAYS, UNHEARD, &[], ("queued", Queued, "duplicate", 1));

    each(Release, ONCE, &once, &[turned_down], ("unavailable", Free, "queued", 1));
    each(Release, ALWAYS, NOT_DONE, &[turned_down], ("unavailable", Held, "busy", 1));
    each(Release, ALWAYS, UNHEARD, &[turned_down], ("unavailable", Free, "queued", 1));
    let unknown = (Send, ALWAYS, Error);
    each(Release, ONCE, &but(&once, &[LATE]), &[unknown], ("unavailable", Short, "busy", 1));
    // The second attempt has set a time that is over when the first arrives, which sets the same.
    each(Release, ONCE, &[LATE], &[unknown], ("unavailable", Free, "queued", 1));
    each(Release, ALWAYS, NOT_DONE, &[unknown], ("unavailable", Held, "busy", 1));
    each(Release, ALWAYS, &but(UNHEARD, &[LATE, HangAfter, Drip]), &[unknown], ("unavailable", Short, "busy", 1));
    // Two seconds have passed when the third attempt is given up.
    each(Release, ALWAYS, &[HangAfter, Drip], &[unknown], ("unavailable", Free, "queued", 1));

    let [before, in_flight, after] = KILLS else { panic!("three moments") };
    each(Claim, ONCE, &[*before], &[], ("died", Free, "queued", 1));
    each(Claim, ONCE, &[*in_flight, *after], &[], ("died", Held, "busy", 1));
    each(Send, ONCE, &[*before], &[], ("died", Held, "busy", 1));
    // Window (a): a crash after SQS accepted and before settle.
    each(Send, ONCE, &[*in_flight, *after], &[], ("died", Held, "busy", 2));
    each(Settle, ONCE, &[*before], &[], ("died", Held, "busy", 2));
    each(Settle, ONCE, &[*in_flight, *after], &[], ("died", Queued, "duplicate", 1));
    each(Release, ONCE, &[*before], &[turned_down], ("died", Held, "busy", 1));
    each(Release, ONCE, &[*in_flight, *after], &[turned_down], ("died", Free, "queued", 1));

    // Only the last attempt is known to the caller. An earlier one may have been applied: the claim may stand for the
    // rest of its lease, and the event be sent again under window (b).
    let then_turned_down = |step, first| vec![(step, 1, first), (step, 2, Throttle), (step, 3, Throttle)];
    rows.extend([
        (then_turned_down(Claim, ResetAfter), ("unavailable", Held, "busy", 1)),
        (then_turned_down(Claim, ResetBefore), ("unavailable", Free, "queued", 1)),
        (then_turned_down(Send, ResetAfter), ("unavailable", Free, "queued", 2)),
        (then_turned_down(Settle, ResetAfter), ("queued", Queued, "duplicate", 1)),
        (then_turned_down(Settle, ResetBefore), ("queued", Held, "busy", 2)),
    ]);
    rows
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_fault_at_each_step_has_its_one_result() {
    let world = Arc::new(World::new().await);
    let wrong = differing(&world, rows(), AT_ONCE).await;
    // On a busy machine a healthy call can time out: a row that differs is played again, alone.
    let again = wrong.iter().map(|(row, _)| row.clone()).take(8).collect();
    let wrong = differing(&world, again, 1).await;
    let report: Vec<_> = wrong
        .iter()
        .map(|((faults, expected), seen)| format!("{faults:?}\n    expected {expected:?}\n    seen     {seen:?}"))
        .collect();
    assert!(wrong.is_empty(), "{} rows:\n{}", wrong.len(), report.join("\n"));
}

type Row = (Faults, Story);
type Seen = (String, Claim, String, usize);

#[test]
fn the_documentation_counts_the_rows() {
    let page = std::fs::read_to_string(project().join("docs/reliability.md")).unwrap();
    let said = format!("{} exact rows", rows().len());
    assert!(page.contains(&said), "docs/reliability.md does not say: {said}");
}

/// Plays the rows, and gives those that end in another story than they should.
async fn differing(world: &Arc<World>, rows: Vec<Row>, at_once: usize) -> Vec<(Row, Seen)> {
    let turnstile = Arc::new(Semaphore::new(at_once));
    let mut stories = JoinSet::new();
    for (id, row) in rows.into_iter().enumerate() {
        let (world, turnstile) = (Arc::clone(world), Arc::clone(&turnstile));
        stories.spawn(async move {
            let _turn = turnstile.acquire().await;
            (id, play(&world, id, &row.0).await, row)
        });
    }
    let stories = stories.join_all().await;
    let mut copies = BTreeMap::<u64, Vec<(String, String)>>::new();
    for event in world.events().await {
        let payload: Value = event.payload().unwrap();
        let names = copies.entry(note(&payload).as_u64().unwrap()).or_default();
        names.push((event.source.clone(), event.id.clone()));
    }
    let mut wrong = Vec::new();
    for (id, (first, claim, next), row) in stories {
        let names = copies.remove(&(id as u64)).unwrap_or_default();
        let seen = (first, claim, next, names.len());
        if (&*seen.0, seen.1, &*seen.2, seen.3) != row.1 {
            wrong.push((row, seen));
        }
        let names: BTreeSet<_> = names.into_iter().collect();
        assert!(names.len() <= 1, "copies of one event have different names: {names:?}");
    }
    // Replays use the same ids.
    for claim in world.claims().await {
        let forget = world.engines.dynamodb().delete_item().table_name(&world.resources.table);
        forget.key("pk", claim["pk"].clone()).send().await.unwrap();
    }
    wrong
}

async fn play(world: &World, id: usize, faults: &Faults) -> (String, Claim, String) {
    let provider = providers::ALL[id % providers::ALL.len()];
    let wire = Wire::new(world, provider, 1, BUDGET).await;
    wire.proxy.plan(exactly(faults));
    let event = delivery(provider, id as u64);
    let deliver = |attempt: u8| wire.deliver(event.clone(), invocation(&format!("{id:08x}000{attempt}"), DEADLINE));
    let first = deliver(1).await;
    wire.proxy.heal().await;
    wire.proxy.settled().await;
    let (claim, lease_until) = claim(world, &wire).await;
    let mut next = deliver(2).await;
    if next == "busy" {
        let left = Duration::from_millis(u64::try_from(lease_until - now()).unwrap_or_default());
        let most = if claim == Short { SHORT_LEASE } else { DEADLINE + LEASE_MARGIN };
        assert!(left <= most, "{faults:?}: blocked for {left:?} more");
        sleep(left + Duration::from_millis(20)).await;
        let last = deliver(3).await;
        if last != "queued" {
            next = format!("busy, and {last} when the lease was over");
        }
    }
    (first, claim, next)
}

/// The claim that the wire's first delivery wanted, and when its lease ends.
async fn claim(world: &World, wire: &Wire) -> (Claim, i64) {
    let calls = wire.proxy.calls();
    let key = calls[0].request["Item"]["pk"]["S"].as_str().expect("the first call claims").to_owned();
    let get = world.engines.dynamodb().get_item().table_name(&world.resources.table).consistent_read(true);
    let Some(item) = get.key("pk", AttributeValue::S(key)).send().await.unwrap().item else { return (Free, 0) };
    if item["state"].as_s().unwrap() == "queued" {
        return (Queued, 0);
    }
    let lease_until: i64 = item["lease_until"].as_n().unwrap().parse().unwrap();
    let asked_for = calls[0].request["Item"]["lease_until"]["N"].as_str().unwrap().parse().unwrap();
    let held = if lease_until < asked_for { Short } else { Held };
    (if lease_until < now() { Free } else { held }, lease_until)
}

fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

#[tokio::test]
async fn a_budget_spent_before_the_send_gives_the_event_back() {
    let world = World::new().await;
    let wire = Wire::new(&world, plain(), 1, BUDGET).await;
    wire.proxy.plan(exactly(&[(Step::Claim, ALWAYS, Fault::HangAfter)]));
    let event = delivery(plain(), 1);
    // 100 ms to answer, 500 ms to release, 300 ms to work.
    let hurried = invocation("000000000001", Duration::from_millis(900));
    assert_eq!(wire.deliver(event.clone(), hurried).await, "unavailable");
    let line = log_lines(&wire.function, 1).await.remove(0);
    assert_eq!((&line["reason"], &line["error"]), (&"claim".into(), &"the response budget is spent".into()), "{line}");
    assert_eq!(claim(&world, &wire).await.0, Free);
    assert!(world.messages().await.is_empty());
    wire.proxy.heal().await;
    assert_eq!(wire.deliver(event, invocation("000000000002", DEADLINE)).await, "queued");
}

#[tokio::test]
async fn a_budget_spent_during_the_send_keeps_the_claim_for_two_seconds() {
    let world = World::new().await;
    let wire = Wire::new(&world, plain(), 1, BUDGET).await;
    wire.proxy.plan(exactly(&[(Step::Send, ALWAYS, Fault::Hang)]));
    let event = delivery(plain(), 1);
    // 100 ms to answer, 500 ms to release, 500 ms to work.
    let hurried = invocation("000000000001", Duration::from_millis(1_100));
    assert_eq!(wire.deliver(event.clone(), hurried).await, "unavailable");
    let line = log_lines(&wire.function, 1).await.remove(0);
    let said = (&line["reason"], &line["error"]);
    assert_eq!(said, (&"enqueue".into(), &"the response budget is spent".into()), "{line}");
    let (claim, lease_until) = claim(&world, &wire).await;
    assert_eq!(claim, Short);
    wire.proxy.heal().await;
    assert_eq!(wire.deliver(event.clone(), invocation("000000000002", DEADLINE)).await, "busy");
    sleep(Duration::from_millis(u64::try_from(lease_until - now()).unwrap() + 20)).await;
    assert_eq!(wire.deliver(event, invocation("000000000003", DEADLINE)).await, "queued");
    assert_eq!(world.events().await.len(), 1);
}

/// Window (d), and the only one in which a copy comes after the provider was told that all is well.
#[tokio::test]
async fn a_send_that_outlives_its_lease_makes_a_copy_with_the_same_name() {
    let world = World::new().await;
    let wire = Wire::new(&world, plain(), 1, BUDGET).await;
    wire.proxy.plan(exactly(&[(Step::Send, 1, Fault::Late(6_500)), (Step::Send, ALWAYS, Fault::Hang)]));
    let event = delivery(plain(), 1);
    assert_eq!(wire.deliver(event.clone(), invocation("000000000001", DEADLINE)).await, "unavailable");
    let (_, lease_until) = claim(&world, &wire).await;
    wire.proxy.heal().await;
    sleep(Duration::from_millis(u64::try_from(lease_until - now()).unwrap() + 20)).await;
    assert_eq!(wire.deliver(event.clone(), invocation("000000000002", DEADLINE)).await, "queued");
    assert_eq!(world.events().await.len(), 1, "the late one is there already");
    wire.proxy.settled().await;
    let late = world.events().await;
    assert_eq!(late.iter().map(|event| event.id.as_str()).collect::<Vec<_>>(), ["evt_1"]);
    assert_eq!(wire.deliver(event, invocation("000000000003", DEADLINE)).await, "duplicate");
}

#[tokio::test]
async fn one_id_is_one_content_even_if_nobody_knows_whether_the_first_was_sent() {
    for nth in [2, 3] {
        let world = World::new().await;
        let wire = Wire::new(&world, plain(), 1, BUDGET).await;
        // Sent, but the answer is lost; turned down from then on.
        let mut faults = vec![(Step::Send, nth - 1, Fault::ResetAfter)];
        faults.extend((nth..=3).map(|nth| (Step::Send, nth, Fault::Throttle)));
        faults.push((Step::Send, ALWAYS, Fault::ResetBefore));
        wire.proxy.plan(exactly(&faults));
        let deliver =
            async |name: &str, note: &str| wire.deliver(order_paid("evt_1", note), invocation(name, DEADLINE)).await;
        assert_eq!(deliver("000000000001", "first").await, "unavailable");
        wire.proxy.heal().await;
        assert_eq!(deliver("000000000002", "other").await, "quarantined");
        let events = world.events().await;
        let notes: Vec<_> = events.iter().map(|event| note(&event.payload::<Value>().unwrap()).clone()).collect();
        assert_eq!(notes, ["first"]);
    }
}
