//! What must be true of a run, whatever went wrong in it: judged from the record alone.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::{Duration, Instant},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use hookgate_verify::Provider;
use serde_json::Value;

use crate::support::{
    body::{note, payload},
    proxy::{Call, Fault, Step, UNHEARD, invocation},
};

/// Everything that was seen of one run.
#[derive(Clone)]
pub struct Record {
    pub deliveries: Vec<Delivery>,
    /// What the proxy saw, in the order of arrival.
    pub calls: Vec<Call>,
    /// What was on the queue and in the quarantine, in the end.
    pub copies: Vec<Copy>,
    /// The log lines of deliveries.
    pub lines: Vec<Value>,
    pub budget: Duration,
    /// The same moment by both clocks: leases are in Unix milliseconds.
    pub clocks: (Instant, u64),
}

/// One delivery, as its provider saw it.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub invocation: String,
    /// What was delivered.
    pub thing: u64,
    /// As the answer says; or `died`, `timed out`.
    pub outcome: String,
    pub answered: Instant,
}

impl Delivery {
    pub fn acknowledged(&self) -> bool {
        matches!(&*self.outcome, "queued" | "duplicate" | "quarantined")
    }

    pub fn survived(&self) -> bool {
        !matches!(&*self.outcome, "died" | "timed out")
    }
}

/// One message.
#[derive(Clone, Debug)]
pub struct Copy {
    pub thing: u64,
    /// By which consumers tell copies from other events: `source` and `id`. In quarantine: the delivery itself.
    pub name: String,
}

impl Copy {
    /// Of a message's body: an event, or a delivery in quarantine.
    pub fn of(body: &str) -> Self {
        let message: Value = serde_json::from_str(body).unwrap();
        let thing = |payload: &Value| note(payload).as_u64().unwrap();
        if let Some(body) = message["body"].as_str() {
            let delivery: Value = serde_json::from_slice(&BASE64_STANDARD.decode(body).unwrap()).unwrap();
            let provider = Provider::named(message["provider"].as_str().unwrap()).unwrap();
            return Copy { thing: thing(payload(provider, &delivery)), name: body.to_owned() };
        }
        let name = format!("{} {}", message["source"], message["id"]);
        Copy { thing: thing(&message["data"]["payload"]), name }
    }
}

/// What a run came to.
#[derive(Default)]
pub struct Tally {
    pub runs: usize,
    /// By outcome.
    pub deliveries: BTreeMap<String, usize>,
    pub calls: usize,
    pub faults: usize,
    pub copies: usize,
    /// By the window that let them in.
    pub extra: BTreeMap<char, usize>,
    /// Events that never arrived, because their last attempt met a lease that nobody could end.
    pub blocked: usize,
}

impl Tally {
    pub fn add(&mut self, other: Tally) {
        self.runs += other.runs;
        self.calls += other.calls;
        self.faults += other.faults;
        self.copies += other.copies;
        self.blocked += other.blocked;
        for (outcome, count) in other.deliveries {
            *self.deliveries.entry(outcome).or_default() += count;
        }
        for (window, count) in other.extra {
            *self.extra.entry(window).or_default() += count;
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally { runs, deliveries, calls, faults, copies, extra, blocked } = self;
        let received: usize = deliveries.values().sum();
        write!(f, "{runs} runs, {received} deliveries {deliveries:?}, {calls} AWS calls, {faults} of them faulty, ")?;
        write!(f, "{copies} messages, of which extra by window {extra:?}; {blocked} events kept out by a lease")
    }
}

/// What is wrong with a run.
#[derive(Debug)]
pub enum Broken {
    /// For certain.
    Promise(String),
    /// Something came too late, or not in time: on a busy machine that may be the machine's fault.
    Time(String),
}

/// The first promise that was broken, or what the run came to.
pub fn check(record: &Record, slack: Duration) -> Result<Tally, Broken> {
    let tally = promises(record).map_err(Broken::Promise)?;
    let blocked = punctuality(record, slack).map_err(Broken::Time)?;
    Ok(Tally { blocked, ..tally })
}

fn promises(record: &Record) -> Result<Tally, String> {
    conservation(record)?;
    let mut extra = BTreeMap::new();
    let things: BTreeSet<u64> = record.deliveries.iter().map(|delivery| delivery.thing).collect();
    let mut named = BTreeMap::new();
    for thing in things {
        let broken = |what: &str| format!("{what}\n{}", record.trace(thing));
        kept(record, thing).map_err(broken)?;
        for window in once(record, thing).map_err(broken)? {
            *extra.entry(window).or_default() += 1;
        }
        for copy in record.copies.iter().filter(|copy| copy.thing == thing) {
            if *named.entry(thing).or_insert(&copy.name) != &copy.name {
                return Err(broken("two copies of one event have different names"));
            }
        }
    }
    if named.values().collect::<BTreeSet<_>>().len() < named.len() {
        return Err("two events have one name".to_owned());
    }
    let mut deliveries = BTreeMap::new();
    for delivery in &record.deliveries {
        *deliveries.entry(delivery.outcome.clone()).or_default() += 1;
    }
    let faults = record.calls.iter().filter(|call| call.fault.is_some()).count();
    let (calls, copies) = (record.calls.len(), record.copies.len());
    Ok(Tally { runs: 1, deliveries, calls, faults, copies, extra, blocked: 0 })
}

/// Each answer left one line that says the same. Who died left one at most.
fn conservation(record: &Record) -> Result<(), String> {
    let mut lines = BTreeMap::<String, Vec<&str>>::new();
    for line in &record.lines {
        let caller = invocation(line["request_id"].as_str().unwrap_or_default());
        lines.entry(caller).or_default().push(line["outcome"].as_str().unwrap_or_default());
    }
    for delivery in &record.deliveries {
        let logged = lines.remove(&delivery.invocation).unwrap_or_default();
        let conserved = if delivery.survived() { logged == [&delivery.outcome] } else { logged.len() <= 1 };
        if !conserved {
            return Err(format!("the log says {logged:?} of an answer: {delivery:?}"));
        }
    }
    if lines.is_empty() { Ok(()) } else { Err(format!("the log has lines of nobody: {lines:?}")) }
}

/// Every answer is within the budget; and when all is well again every event is acknowledged, but for those whose last
/// attempt met a lease that nobody could end. Gives the number of these.
fn punctuality(record: &Record, slack: Duration) -> Result<usize, String> {
    let acknowledged = |thing| record.deliveries.iter().any(|other| other.thing == thing && other.acknowledged());
    let things = record.deliveries.iter().map(|delivery| delivery.thing);
    let waiting: BTreeSet<u64> = things.filter(|&thing| !acknowledged(thing)).collect();
    if let Some(&thing) = waiting.iter().find(|&&thing| !record.is_blocked(thing)) {
        return Err(format!("an event was never acknowledged\n{}", record.trace(thing)));
    }
    if let Some(delivery) = record.deliveries.iter().find(|delivery| delivery.outcome == "timed out") {
        return Err(format!("an invocation overran its deadline: {delivery:?}\n{}", record.trace(delivery.thing)));
    }
    let most = (record.budget + slack).as_secs_f64() * 1e3;
    let late = record.lines.iter().find(|line| line["TotalMs"].as_f64().is_none_or(|total| total > most));
    late.map_or(Ok(waiting.len()), |line| Err(format!("an answer overran its budget: {line}")))
}

/// Whatever was acknowledged had been sent by then, and is there.
fn kept(record: &Record, thing: u64) -> Result<(), &'static str> {
    let sends = record.sends(thing);
    let sent_by = |then: Instant| sends.iter().any(|send| send.done.is_some_and(|(done, _)| done <= then));
    let mut acknowledged =
        record.deliveries.iter().filter(|delivery| delivery.thing == thing && delivery.acknowledged());
    if !acknowledged.all(|delivery| sent_by(delivery.answered)) {
        return Err("an event was acknowledged before it was sent");
    }
    let copies = record.copies.iter().filter(|copy| copy.thing == thing).count();
    if copies == sends.len() { Ok(()) } else { Err("what was sent is lost, or what was not sent is there") }
}

/// Each copy but the first was let in by one of the windows, which the record shows.
fn once(record: &Record, thing: u64) -> Result<Vec<char>, &'static str> {
    let sends = record.sends(thing);
    for send in &sends {
        if !record.applied(Step::Claim, &send.invocation).any(|claim| claim.arrived <= send.arrived) {
            return Err("an event was sent without a claim");
        }
    }
    sends.windows(2).map(|pair| window(record, pair[0], pair[1])).collect()
}

/// What let in `next`, though `earlier` had been sent.
fn window(record: &Record, earlier: &Call, next: &Call) -> Result<char, &'static str> {
    // A healthy answer too can come later than anyone waits, if the machine is busy.
    let is_unheard = |call: &Call| {
        call.hung_up || call.fault.is_some_and(|fault| UNHEARD.contains(&fault) || matches!(fault, Fault::Late(_)))
    };
    let unheard = is_unheard(earlier);
    if earlier.invocation == next.invocation {
        // Of two that are on their way at once, the second may arrive first.
        let at_once = earlier.done.is_none_or(|(done, _)| next.arrived < done);
        let unheard = unheard || at_once && is_unheard(next);
        return if unheard { Ok('b') } else { Err("an invocation sent twice for no reason") };
    }
    // A settled event admits no other claim, and a claim that was taken over cannot be settled.
    if record.applied(Step::Settle, &earlier.invocation).next().is_some() {
        return Err("an event was sent that had been settled");
    }
    if record.outlives_its_lease(earlier) {
        return Ok('d');
    }
    let owner = record.deliveries.iter().find(|delivery| delivery.invocation == earlier.invocation);
    let line = record
        .lines
        .iter()
        .find(|line| line["request_id"].as_str().is_some_and(|id| invocation(id) == earlier.invocation));
    let said = |name: &str| line.and_then(|line| line[name].as_str()).unwrap_or_default();
    match owner.map(|owner| &*owner.outcome) {
        Some("died" | "timed out") => Ok('a'),
        Some("queued" | "quarantined") if said("cleanup_error").starts_with("settle") => Ok('c'),
        Some("unavailable") if unheard => Ok('b'),
        _ => Err("an event was sent again for no reason"),
    }
}

impl Record {
    /// The sends of a thing that were done, in the order in which they were made.
    fn sends(&self, thing: u64) -> Vec<&Call> {
        let sends = self.calls.iter().filter(|call| call.step == Step::Send && call.applied());
        sends.filter(|send| Copy::of(send.request["MessageBody"].as_str().unwrap()).thing == thing).collect()
    }

    fn applied<'r>(&'r self, step: Step, invocation: &'r str) -> impl Iterator<Item = &'r Call> {
        self.calls.iter().filter(move |call| call.step == step && call.invocation == invocation && call.applied())
    }

    fn outlives_its_lease(&self, send: &Call) -> bool {
        let ends = |step| self.applied(step, &send.invocation).map(|call| self.lease_of(call));
        // Shortened, or as it was claimed. What was released at once is a case of its own.
        let end = ends(Step::Release).find(|end| *end > self.clocks.0).or_else(|| ends(Step::Claim).next());
        send.done.zip(end).is_some_and(|((done, _), end)| done > end)
    }

    /// Whether the thing's last delivery met the lease of somebody who could not end it: who died, or whose calls to the
    /// table went wrong.
    fn is_blocked(&self, thing: u64) -> bool {
        let mut deliveries = self.deliveries.iter().filter(|delivery| delivery.thing == thing);
        let Some(last) = deliveries.clone().max_by_key(|delivery| delivery.answered) else { return false };
        last.outcome == "busy"
            && deliveries.any(|delivery| {
                let calls = self.calls.iter().filter(|call| call.invocation == delivery.invocation);
                let mut faulty = calls.filter(|call| call.step != Step::Send && call.fault.is_some());
                let could_not = !delivery.survived() || faulty.next().is_some();
                let mut claims = self.applied(Step::Claim, &delivery.invocation);
                could_not && claims.any(|claim| self.lease_of(claim) >= last.answered)
            })
    }

    /// The end of the lease that the call asks for.
    fn lease_of(&self, call: &Call) -> Instant {
        let paths = ["/Item/lease_until/N", "/ExpressionAttributeValues/:lease_until/N"];
        let end = paths.iter().find_map(|path| call.request.pointer(path)?.as_str()?.parse::<u64>().ok());
        self.clocks.0 + Duration::from_millis(end.unwrap_or_default().saturating_sub(self.clocks.1))
    }

    /// The story of one thing, for people.
    fn trace(&self, thing: u64) -> String {
        let begin = self.clocks.0;
        let mut story = Vec::new();
        let mut names = BTreeSet::new();
        for delivery in self.deliveries.iter().filter(|delivery| delivery.thing == thing) {
            names.insert(&delivery.invocation);
            story.push((delivery.answered, format!("{} answers {}", delivery.invocation, delivery.outcome)));
        }
        for call in self.calls.iter().filter(|call| names.contains(&call.invocation)) {
            let Call { step, invocation, nth, fault, arrived, done, .. } = call;
            let done = done.map(|(done, status)| (done - begin, status));
            story.push((*arrived, format!("{invocation} {step:?} {nth} {fault:?} done {done:?}")));
        }
        story.sort();
        let lines = story.into_iter().map(|(at, what)| format!("    {:?} {what}\n", at - begin));
        let copies = self.copies.iter().filter(|copy| copy.thing == thing).count();
        lines.chain([format!("    {copies} copies of {thing}\n")]).collect()
    }
}
