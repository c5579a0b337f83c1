//! The claim protocol under every fault, in every order: a model that is checked exhaustively within stated bounds.
//!
//! A platform delivers one event several times. Each delivery is an invocation that claims, sends, settles (or
//! releases), one call after the other, and answers. Any call may be refused, get lost, or arrive after the caller has
//! stopped waiting; an invocation may crash between any two steps; clocks differ. The decisions are made by
//! `hookgate_intake::claim`, the code that runs in the function; the model adds the world around it.
//!
//! The first test checks what the protocol promises. `each_rule_keeps_a_promise` breaks one rule of the protocol at a time,
//! and checks that a promise is then broken: this shows that each rule is needed.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use hookgate_intake::claim::{self, Claim, Next, Refusal, Sent, State, Stored, Written};
use stateright::{Checker, HasDiscoveries, Model, Property};

// Time is counted in ticks, of two seconds each for `claim.rs`. Only the possible orders of events matter, not the
// durations: in production `LIFE` is 8 s, `MARGIN` and `SHORT` are 2 s, `TTL` is 30 days.

/// Lambda stops an invocation this long after its start.
const LIFE: i64 = 2;
/// A lease outlasts its invocation by this much.
const MARGIN: i64 = 1;
/// Each clock differs from the true time by at most this. `MARGIN` must not be less.
const SKEW: i64 = 1;
/// From an invocation's start to the end of its lease.
const LEASE: i64 = LIFE + MARGIN;
/// What is left of the lease after a send whose outcome is unknown.
const SHORT: i64 = 1;
/// From a claim to its expiry.
const TTL: i64 = 6;

// The promises.
const KEPT: &str = "what was answered 2xx is on the queue or in quarantine";
const ONCE: &str = "each further copy was let in by one of the five windows";
const ALONE: &str = "one invocation at a time has the event";
const ONE_CONTENT: &str = "one id stands for one content, until its claim expires";
const PATIENT: &str = "a claim blocks its event no longer than a lease and the clocks' difference";
const ARRIVES: &str =
    "the event arrives if the service recovers a lease, or after an unanswered send 2 s, before the last attempt";
const OWN_CLAIM: &str = "no invocation is turned away by its own claim";
const HONEST: &str = "a settle that is reported as failed has failed";
const PROMISES: [&str; 8] = [KEPT, ONCE, ALONE, ONE_CONTENT, PATIENT, ARRIVES, OWN_CLAIM, HONEST];

// What must be possible: each window alone can cause a duplicate, so that none is listed needlessly.
const WINDOWS: [&str; 5] = ["twice by (a)", "twice by (b)", "twice by (c)", "twice by (d)", "twice by (e)"];
const QUARANTINED: &str = "other content is in quarantine";

/// The ways in which an event can be queued again.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Window {
    /// (a) A crash after SQS accepted and before settle.
    Crashed,
    /// (b) SQS accepted but its answer was lost.
    AnswerLost,
    /// (c) Settle failed.
    SettleFailed,
    /// (d) A send was still in flight when the lease ended.
    InFlight,
    /// (e) The claim expired.
    Expired,
}

/// The content delivered with one idempotency key. Platforms document that it is the same each time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Content {
    Original,
    Other,
}

/// The key that an invocation claims, which also decides the queue it sends to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Key {
    Event,
    /// In quarantine the key is made from the content.
    Quarantine(Content),
}

/// The call that an invocation waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Step {
    /// With the time on its clock. The SDK repeats a call unchanged, including this time.
    Claiming(i64),
    Sending,
    Settling,
    /// With the new end of the lease.
    Releasing(i64),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Invocation {
    /// Which of the scenario's deliveries it handles. Also the owner's name.
    delivery: usize,
    started: i64,
    /// How far its clock is ahead of the true time. Set to 0 after the send, when it no longer matters.
    skew: i64,
    content: Content,
    key: Key,
    step: Step,
}

/// The state of everything.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World {
    /// The true time.
    now: i64,
    /// The table of claims.
    table: BTreeMap<Key, Stored>,
    /// How many copies of which content are on the queue and in quarantine. Nothing consumes them.
    queued: BTreeMap<(Key, Content), u8>,
    running: BTreeSet<Invocation>,
    /// Calls on their way that nobody waits for any more, and how many of each.
    in_flight: BTreeMap<Invocation, u8>,
    /// Deliveries that the platform has made.
    delivered: BTreeSet<usize>,
    /// Contents for which the platform has seen a 2xx.
    acknowledged: BTreeSet<Content>,
    /// How many faults may still happen.
    faults: u8,
    /// A fault happened so late that its lease may outlast the platform's last attempt.
    recovered_late: bool,
    /// How often each window opened for a key.
    windows: BTreeMap<Key, [u8; 5]>,
    turned_away_by_itself: bool,
    false_alarm: bool,
}

/// What happens next.
#[derive(Clone, Debug, PartialEq)]
enum Action {
    /// The platform makes a delivery, to an invocation with this clock.
    Deliver { delivery: usize, skew: i64 },
    /// The call succeeds, and the invocation gets the answer.
    Answer(usize),
    /// An attempt fails, and the SDK gives up.
    Fail { delivery: usize, failure: Failure },
    /// No answer comes in time, and the SDK tries again. The first attempt is on its way and may arrive at once: then only
    /// its answer was lost. (An attempt that never arrives, or is refused, before another succeeds changes nothing.)
    Retry(usize),
    /// The claim is written, but the response budget is spent.
    BudgetSpent(usize),
    /// The invocation ends without an answer; its call may be on its way.
    Crash { delivery: usize, call_on_its_way: bool },
    /// A call that nobody waits for arrives.
    Arrive(Invocation),
    /// DynamoDB deletes an expired claim, at any time from its expiry on.
    Delete(Key),
    /// Time passes.
    Tick,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Failure {
    /// The service refuses the attempt, and says so.
    Refused,
    /// No answer, and the service never saw it.
    Lost,
    /// No answer, and the service executes it later, or at once: then only the answer was lost.
    Late,
}

/// One rule of the protocol, broken.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Spoiled {
    SettleBeforeSend,
    ReleaseDeletes,
    ReleaseWhoeverOwns,
    SettleWhoeverOwns,
    NoLease,
    NoMargin,
    LeaseBeyondRetries,
    NoTakeOver,
    TakeOverWithOtherContent,
    KeepLeaseWhenSentPerhaps,
    ReleaseWhenSentPerhaps,
    AcceptWhenSentPerhaps,
    AcceptWhenBusy,
    ForgetOwnClaim,
    ForgetOwnSettle,
}

/// One delivery that the platform makes.
#[derive(Clone, Copy, Debug)]
struct Delivery {
    content: Content,
    /// At this time, unless there was a 2xx before. None: at any time, repeated for no reason.
    due: Option<i64>,
}

/// The bounds of the check: everything within them is tried.
#[derive(Clone, Debug)]
struct Scenario {
    deliveries: Vec<Delivery>,
    /// The most faults that happen.
    faults: u8,
    /// How far an invocation's clock may be ahead.
    skews: Vec<i64>,
    /// When time ends.
    horizon: i64,
    spoiled: Option<Spoiled>,
}

/// What the service answers.
enum Reply {
    Claimed(Result<(), Refusal>),
    Sent,
    Settled,
    Released,
}

impl Scenario {
    /// The platform's own attempts: the second comes before the first one's lease can end, the last one well after.
    /// Optionally the same event once more, and other content with the same key.
    fn new(again: bool, other: bool, faults: u8) -> Self {
        let original = |due| Delivery { content: Content::Original, due };
        let mut deliveries = vec![original(Some(1)), original(Some(2)), original(Some(6))];
        deliveries.extend(again.then(|| original(None)));
        deliveries.extend(other.then_some(Delivery { content: Content::Other, due: None }));
        Scenario { deliveries, faults, skews: vec![-SKEW, SKEW], horizon: 8, spoiled: None }
    }

    fn is(&self, spoiled: Spoiled) -> bool {
        self.spoiled == Some(spoiled)
    }

    fn last_attempt(&self) -> i64 {
        self.deliveries.iter().filter_map(|delivery| delivery.due).max().expect("the platform tries")
    }

    /// Deliveries that can be made now.
    fn deliverable(&self, world: &World) -> impl Iterator<Item = usize> {
        let made = |(index, _): &(usize, &Delivery)| world.delivered.contains(index);
        let wanted = |delivery: &Delivery| match delivery.due {
            Some(due) => due == world.now && !world.acknowledged.contains(&delivery.content),
            None => true,
        };
        let deliveries = self.deliveries.iter().enumerate();
        deliveries.filter(move |delivery| !made(delivery) && wanted(delivery.1)).map(|(index, _)| index)
    }

    /// Whether nothing is running and the platform will not try again by its schedule.
    fn over(&self, world: &World) -> bool {
        let due = |index: usize| self.deliveries[index].due.is_some();
        world.running.is_empty() && world.now >= self.last_attempt() && !self.deliverable(world).any(due)
    }

    // The decisions of `claim.rs`, broken where the scenario says so.

    fn claim(&self, invocation: &Invocation) -> Claim {
        let lease = match self.spoiled {
            Some(Spoiled::NoMargin) => LIFE,
            Some(Spoiled::LeaseBeyondRetries) => self.horizon,
            _ => LEASE,
        };
        Claim {
            key: String::new(),
            event_id: String::new(),
            owner: invocation.owner(),
            content: format!("{:?}", invocation.content),
            lease_until: milliseconds(invocation.started + lease),
            // By the true time: for something that takes days, the error of the reader's clock is enough.
            expires_at: seconds(invocation.started + TTL),
        }
    }

    fn admits(&self, stored: Option<&Stored>, claim: &Claim, now: i64) -> bool {
        let mut stored = stored.cloned();
        if let Some(stored) = &mut stored {
            match (self.spoiled, &mut stored.state) {
                (Some(Spoiled::NoLease), State::Claimed { lease_until }) => *lease_until = i64::MIN,
                (Some(Spoiled::NoTakeOver), State::Claimed { lease_until }) => *lease_until = i64::MAX,
                (Some(Spoiled::TakeOverWithOtherContent), _) => stored.content.clone_from(&claim.content),
                _ => {}
            }
        }
        claim::admits(stored.as_ref(), claim, now)
    }

    fn judge(&self, stored: &Stored, claim: &Claim, now: i64) -> Refusal {
        match claim::judge(stored, claim, now) {
            Refusal::Mine if self.is(Spoiled::ForgetOwnClaim) => Refusal::Busy { retry_after: 1 },
            refusal => refusal,
        }
    }

    fn mine(&self, stored: Option<&Stored>, owner: &str, whoever: Spoiled) -> bool {
        let owner = stored.filter(|_| self.is(whoever)).map_or(owner, |stored| &stored.owner);
        claim::mine(stored, owner)
    }

    fn after_send(&self, sent: Sent) -> Next {
        match claim::after_send(sent) {
            Next::Shorten if self.is(Spoiled::KeepLeaseWhenSentPerhaps) => Next::Leave,
            Next::Shorten if self.is(Spoiled::ReleaseWhenSentPerhaps) => Next::Release,
            Next::Shorten if self.is(Spoiled::AcceptWhenSentPerhaps) => Next::Settle,
            next => next,
        }
    }

    // The services.

    /// A call arrives.
    fn execute(&self, world: &mut World, call: &Invocation) -> Reply {
        let owner = call.owner();
        match call.step {
            Step::Claiming(clock) => {
                let (claim, now) = (self.claim(call), milliseconds(clock));
                let stored = world.table.get(&call.key);
                if let Some(stored) = stored.filter(|_| !self.admits(stored, &claim, now)) {
                    let refusal = self.judge(stored, &claim, now);
                    world.turned_away_by_itself |= matches!(refusal, Refusal::Busy { .. }) && stored.owner == owner;
                    return Reply::Claimed(Err(refusal));
                }
                if stored.is_some_and(|stored| stored.expires_at < seconds(clock)) {
                    world.open(call.key, Window::Expired);
                }
                let state = State::Claimed { lease_until: claim.lease_until };
                let Claim { content, expires_at, .. } = claim;
                world.table.insert(call.key, Stored { owner, state, content, expires_at });
                Reply::Claimed(Ok(()))
            }
            Step::Sending => {
                *world.queued.entry((call.key, call.content)).or_default() += 1;
                Reply::Sent
            }
            Step::Settling => {
                let stored = world.table.get_mut(&call.key);
                if self.mine(stored.as_deref(), &owner, Spoiled::SettleWhoeverOwns) {
                    stored.expect("it is mine").state = State::Queued;
                    return Reply::Settled;
                }
                let reported = claim::already_settled(stored.as_deref(), &owner) && !self.is(Spoiled::ForgetOwnSettle);
                let settled = stored.is_some_and(|stored| stored.state == State::Queued && stored.owner == owner);
                world.false_alarm |= settled && !reported;
                Reply::Settled
            }
            Step::Releasing(lease_until) => {
                let stored = world.table.get_mut(&call.key);
                if self.mine(stored.as_deref(), &owner, Spoiled::ReleaseWhoeverOwns) {
                    stored.expect("it is mine").state = State::Claimed { lease_until };
                    if self.is(Spoiled::ReleaseDeletes) {
                        world.table.remove(&call.key);
                    }
                }
                Reply::Released
            }
        }
    }

    /// A call arrives that nobody waits for. Only a message can do harm: the table's conditions stop the other calls.
    fn arrive(&self, world: &mut World, call: &Invocation) {
        let count = world.in_flight.get_mut(call).expect("it is on its way");
        *count -= 1;
        if *count == 0 {
            world.in_flight.remove(call);
        }
        if let Reply::Sent = self.execute(world, call) {
            let lease_is_over = milliseconds(world.now) > self.claim(call).lease_until;
            world.open(call.key, if lease_is_over { Window::InFlight } else { Window::AnswerLost });
        }
    }

    // The invocation.

    fn deliver(&self, world: &mut World, delivery: usize, skew: i64) {
        world.delivered.insert(delivery);
        world.running.insert(Invocation {
            delivery,
            started: world.now,
            skew,
            content: self.deliveries[delivery].content,
            key: Key::Event,
            step: Step::Claiming(world.now + skew),
        });
    }

    /// The invocation's call was answered.
    fn answered(&self, world: &mut World, invocation: Invocation, in_time: bool) {
        match self.execute(world, &invocation) {
            Reply::Claimed(Ok(())) => self.proceed(world, invocation, &claim::after_claim(Written::Yes, in_time)),
            Reply::Claimed(Err(refusal)) => {
                self.proceed(world, invocation, &claim::after_claim(Written::Refused(refusal), in_time));
            }
            Reply::Sent => self.proceed(world, invocation, &self.after_send(Sent::Yes)),
            Reply::Settled if self.is(Spoiled::SettleBeforeSend) => invocation.goes_on(world, Step::Sending),
            Reply::Settled => invocation.accepts(world),
            Reply::Released => {}
        }
    }

    /// The invocation has given up on its call.
    fn failed(&self, world: &mut World, invocation: Invocation, failure: Failure) {
        let refused = failure == Failure::Refused;
        let blocks_for = if invocation.step == Step::Sending { SHORT + SKEW } else { LEASE };
        self.fault(world, blocks_for);
        match invocation.step {
            Step::Claiming(_) => {
                let written = if refused { Written::No } else { Written::Perhaps };
                self.proceed(world, invocation, &claim::after_claim(written, true));
            }
            Step::Sending => {
                let sent = if refused { Sent::No } else { Sent::Perhaps };
                self.proceed(world, invocation, &self.after_send(sent));
            }
            Step::Settling => {
                world.open(invocation.key, Window::SettleFailed);
                invocation.accepts(world);
            }
            Step::Releasing(_) => {}
        }
    }

    fn proceed(&self, world: &mut World, invocation: Invocation, next: &Next) {
        match next {
            Next::Send if self.is(Spoiled::SettleBeforeSend) => invocation.goes_on(world, Step::Settling),
            Next::Settle if self.is(Spoiled::SettleBeforeSend) => invocation.accepts(world),
            Next::Send => invocation.goes_on(world, Step::Sending),
            Next::Settle => invocation.goes_on(world, Step::Settling),
            Next::Release | Next::Shorten => {
                let clock = milliseconds(world.now + invocation.skew);
                let lease_until = next.lease_until(&self.claim(&invocation), clock).expect("it ends");
                invocation.goes_on(world, Step::Releasing(lease_until));
            }
            Next::Yield(Refusal::Duplicate) => invocation.accepts(world),
            Next::Yield(Refusal::Busy { .. }) if self.is(Spoiled::AcceptWhenBusy) => invocation.accepts(world),
            Next::Yield(Refusal::Conflict { .. }) => {
                let clock = world.now + invocation.skew;
                let key = Key::Quarantine(invocation.content);
                Invocation { key, ..invocation }.goes_on(world, Step::Claiming(clock));
            }
            // The answer is not a 2xx: the platform tries again by its schedule.
            Next::Leave | Next::Yield(_) => {}
        }
    }

    /// A fault happens. The claim that it leaves behind may block the event for this long by its owner's clock.
    fn fault(&self, world: &mut World, blocks_for: i64) {
        world.faults -= 1;
        world.recovered_late |= world.now + blocks_for + SKEW >= self.last_attempt();
    }
}

impl Invocation {
    fn owner(&self) -> String {
        self.delivery.to_string()
    }

    fn goes_on(self, world: &mut World, step: Step) {
        let skew = if matches!(step, Step::Claiming(_) | Step::Sending) { self.skew } else { 0 };
        world.running.insert(Invocation { skew, step, ..self });
    }

    /// The answer is a 2xx.
    fn accepts(self, world: &mut World) {
        world.acknowledged.insert(self.content);
    }
}

impl World {
    fn open(&mut self, key: Key, window: Window) {
        self.windows.entry(key).or_default()[window as usize] += 1;
    }

    /// How often any window opened for this key.
    fn openings(&self, key: Key) -> u8 {
        self.windows.get(&key).map_or(0, |windows| windows.iter().sum())
    }

    /// Whether every further copy of a key is explained by a window of the same key.
    fn is_once(&self) -> bool {
        let mut copies = BTreeMap::<Key, u8>::new();
        for ((key, _), count) in &self.queued {
            *copies.entry(*key).or_default() += count;
        }
        copies.iter().all(|(key, count)| count - 1 <= self.openings(*key))
    }

    fn opened(&self, key: Key, window: Window) -> u8 {
        self.windows.get(&key).map_or(0, |windows| windows[window as usize])
    }

    fn take(&mut self, delivery: usize) -> Invocation {
        let running = self.running.iter().find(|invocation| invocation.delivery == delivery).cloned();
        self.running.take(&running.expect("it runs")).expect("it was found")
    }

    fn leave_in_flight(&mut self, call: &Invocation) {
        // Its owner's clock no longer matters.
        *self.in_flight.entry(Invocation { skew: 0, ..call.clone() }).or_default() += 1;
    }

    fn copies(&self, key: Key, content: Content) -> u8 {
        self.queued.get(&(key, content)).copied().unwrap_or(0)
    }

    /// Whether the event is queued twice, and only this window can be the cause.
    fn twice_by(&self, window: Window) -> bool {
        let others = self.openings(Key::Event) - self.opened(Key::Event, window);
        others == 0 && self.copies(Key::Event, Content::Original) == 2
    }
}

fn seconds(ticks: i64) -> i64 {
    ticks * 2
}

fn milliseconds(ticks: i64) -> i64 {
    seconds(ticks) * 1000
}

impl Model for Scenario {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![World {
            now: 1,
            table: BTreeMap::new(),
            queued: BTreeMap::new(),
            running: BTreeSet::new(),
            in_flight: BTreeMap::new(),
            delivered: BTreeSet::new(),
            acknowledged: BTreeSet::new(),
            faults: self.faults,
            recovered_late: false,
            windows: BTreeMap::new(),
            turned_away_by_itself: false,
            false_alarm: false,
        }]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        for delivery in self.deliverable(world) {
            actions.extend(self.skews.iter().map(|&skew| Action::Deliver { delivery, skew }));
        }
        for &Invocation { delivery, step, .. } in &world.running {
            actions.push(Action::Answer(delivery));
            if world.faults > 0 {
                let fail = |failure| Action::Fail { delivery, failure };
                actions.extend([Failure::Refused, Failure::Lost, Failure::Late].map(fail));
                actions.push(Action::Retry(delivery));
                if matches!(step, Step::Claiming(_)) {
                    actions.push(Action::BudgetSpent(delivery));
                }
                let crash = |call_on_its_way| Action::Crash { delivery, call_on_its_way };
                actions.extend([true, false].map(crash));
            }
        }
        actions.extend(world.in_flight.keys().cloned().map(Action::Arrive));
        let expired = world.table.iter().filter(|(_, stored)| stored.expires_at < seconds(world.now));
        actions.extend(expired.map(|(key, _)| Action::Delete(*key)));

        let to_come = world.delivered.len() < self.deliveries.len() || !world.in_flight.is_empty();
        let all_may_run_on = world.running.iter().all(|invocation| world.now < invocation.started + LIFE);
        let due = |index: usize| self.deliveries[index].due.is_some();
        if world.now < self.horizon && to_come && all_may_run_on && !self.deliverable(world).any(due) {
            actions.push(Action::Tick);
        }
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let mut next = world.clone();
        let world = &mut next;
        match action {
            Action::Deliver { delivery, skew } => self.deliver(world, delivery, skew),
            Action::Answer(delivery) => {
                let invocation = world.take(delivery);
                self.answered(world, invocation, true);
            }
            Action::BudgetSpent(delivery) => {
                self.fault(world, LEASE);
                let invocation = world.take(delivery);
                self.answered(world, invocation, false);
            }
            Action::Fail { delivery, failure } => {
                let invocation = world.take(delivery);
                if failure == Failure::Late {
                    world.leave_in_flight(&invocation);
                }
                self.failed(world, invocation, failure);
            }
            Action::Retry(delivery) => {
                self.fault(world, LEASE);
                let invocation = world.take(delivery);
                world.leave_in_flight(&invocation);
                world.running.insert(invocation);
            }
            Action::Crash { delivery, call_on_its_way } => {
                self.fault(world, LEASE);
                let invocation = world.take(delivery);
                if invocation.step == Step::Settling {
                    world.open(invocation.key, Window::Crashed);
                }
                if call_on_its_way {
                    world.leave_in_flight(&invocation);
                }
            }
            Action::Arrive(call) => self.arrive(world, &call),
            Action::Delete(key) => {
                world.table.remove(&key);
                world.open(key, Window::Expired);
            }
            Action::Tick => world.now += 1,
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(KEPT, |_, world: &World| {
                let stored = |content: &Content| {
                    world.copies(Key::Event, *content) + world.copies(Key::Quarantine(*content), *content) > 0
                };
                world.acknowledged.iter().all(stored)
            }),
            Property::always(ONCE, |_, world: &World| world.is_once()),
            Property::always(ALONE, |_, world: &World| {
                let has_it = |invocation: &&Invocation| matches!(invocation.step, Step::Sending | Step::Settling);
                let mut keys = BTreeSet::new();
                world.running.iter().filter(has_it).all(|invocation| keys.insert(invocation.key))
            }),
            Property::always(ONE_CONTENT, |_, world: &World| {
                let queued = |content| world.copies(Key::Event, content) > 0;
                !(queued(Content::Original) && queued(Content::Other)) || world.opened(Key::Event, Window::Expired) > 0
            }),
            Property::always(PATIENT, |scenario: &Scenario, world: &World| {
                let later = world.now + LEASE + SKEW + 1;
                world.table.values().filter(|stored| stored.state != State::Queued).all(|stored| {
                    let claim = Claim {
                        key: String::new(),
                        event_id: String::new(),
                        owner: "another".to_owned(),
                        content: stored.content.clone(),
                        lease_until: 0,
                        expires_at: 0,
                    };
                    [-SKEW, SKEW].iter().all(|skew| scenario.admits(Some(stored), &claim, milliseconds(later + skew)))
                })
            }),
            Property::always(ARRIVES, |scenario: &Scenario, world: &World| {
                let stored = world.queued.keys().any(|(_, content)| *content == Content::Original);
                stored || world.recovered_late || !scenario.over(world)
            }),
            Property::always(OWN_CLAIM, |_, world: &World| !world.turned_away_by_itself),
            Property::always(HONEST, |_, world: &World| !world.false_alarm),
            Property::sometimes(WINDOWS[0], |_, world: &World| world.twice_by(Window::Crashed)),
            Property::sometimes(WINDOWS[1], |_, world: &World| world.twice_by(Window::AnswerLost)),
            Property::sometimes(WINDOWS[2], |_, world: &World| world.twice_by(Window::SettleFailed)),
            Property::sometimes(WINDOWS[3], |_, world: &World| world.twice_by(Window::InFlight)),
            Property::sometimes(WINDOWS[4], |_, world: &World| world.twice_by(Window::Expired)),
            Property::sometimes(QUARANTINED, |_, world: &World| {
                world.copies(Key::Quarantine(Content::Other), Content::Other) > 0
            }),
        ]
    }
}

/// Checks every state that the scenario can reach. Reaching each of `reached` shows that the scenario is not too small.
fn holds(name: &str, scenario: Scenario, reached: &[&'static str]) {
    let started = Instant::now();
    let checker = scenario.checker().threads(2).spawn_bfs().join();
    let (states, depth) = (checker.unique_state_count(), checker.max_depth());
    println!("{name}: {states} states, {depth} steps deep, {:.1} s", started.elapsed().as_secs_f32());
    for promise in PROMISES {
        checker.assert_no_discovery(promise);
    }
    for example in reached {
        checker.assert_any_discovery(example);
    }
}

/// Checks that the protocol with a broken rule breaks this promise.
fn breaks(spoiled: Spoiled, promise: &'static str, scenario: Scenario) {
    let scenario = Scenario { spoiled: Some(spoiled), ..scenario };
    let first = HasDiscoveries::AnyOf([promise].into());
    let checker = scenario.checker().finish_when(first).spawn_bfs().join();
    let steps = checker.assert_any_discovery(promise).into_actions();
    println!("{spoiled:?} breaks \"{promise}\" after {} states: {steps:?}", checker.unique_state_count());
}

#[test]
fn what_is_promised_holds() {
    holds("attempts, three faults", Scenario::new(false, false, 3), &[]);
    holds("attempts, once more, two faults", Scenario::new(true, false, 2), &WINDOWS);
    holds("attempts, other content, one fault", Scenario::new(false, true, 1), &[QUARANTINED]);
}

#[test]
#[ignore = "takes minutes: cargo test -p hookgate-intake --test model -- --ignored --nocapture"]
fn what_is_promised_holds_in_larger_worlds() {
    let clocks = Scenario { skews: vec![-SKEW, 0, SKEW], ..Scenario::new(true, false, 2) };
    let worlds: [(_, _, &[_]); 5] = [
        ("attempts, five faults", Scenario::new(false, false, 5), &[]),
        ("attempts, once more, three faults", Scenario::new(true, false, 3), &WINDOWS),
        ("attempts, other content, two faults", Scenario::new(false, true, 2), &[QUARANTINED]),
        ("attempts, once more, other content, one fault", Scenario::new(true, true, 1), &WINDOWS),
        ("attempts, once more, two faults, right clocks too", clocks, &WINDOWS),
    ];
    let count =
        std::env::var("HOOKGATE_WORLDS").map_or(worlds.len(), |count| count.parse().expect("a number of worlds"));
    for (name, scenario, reached) in worlds.into_iter().take(count) {
        holds(name, scenario, reached);
    }
}

#[test]
fn a_window_of_one_key_excuses_no_copy_of_another() {
    let mut world = Scenario::new(false, true, 1).init_states().remove(0);
    let quarantine = Key::Quarantine(Content::Other);
    world.queued = BTreeMap::from([((Key::Event, Content::Original), 1), ((quarantine, Content::Other), 2)]);
    assert!(!world.is_once());
    world.open(Key::Event, Window::AnswerLost);
    assert!(!world.is_once());
    world.open(quarantine, Window::AnswerLost);
    assert!(world.is_once());
}

#[test]
fn each_rule_keeps_a_promise() {
    let again = || Scenario::new(true, false, 2);
    let other = || Scenario::new(false, true, 2);
    // A settle that comes too late can only harm other content, and only after the first claim has expired.
    let delivery = |content, due| Delivery { content, due: Some(due) };
    let late = [delivery(Content::Other, 2 + TTL), delivery(Content::Other, 3 + TTL)];
    let deliveries = [&[delivery(Content::Original, 1)], &late[..]].concat();
    let expired = || Scenario { deliveries: deliveries.clone(), horizon: 3 + TTL, ..again() };

    for (spoiled, promise, scenario) in [
        (Spoiled::SettleBeforeSend, KEPT, again()),
        (Spoiled::AcceptWhenSentPerhaps, KEPT, again()),
        (Spoiled::AcceptWhenBusy, KEPT, again()),
        (Spoiled::SettleWhoeverOwns, KEPT, expired()),
        (Spoiled::ReleaseWhoeverOwns, ONCE, again()),
        (Spoiled::NoLease, ONCE, again()),
        (Spoiled::NoMargin, ONCE, again()),
        (Spoiled::NoLease, ALONE, again()),
        (Spoiled::NoMargin, ALONE, again()),
        (Spoiled::ReleaseDeletes, ONE_CONTENT, other()),
        (Spoiled::TakeOverWithOtherContent, ONE_CONTENT, other()),
        (Spoiled::NoTakeOver, PATIENT, again()),
        (Spoiled::NoTakeOver, ARRIVES, again()),
        (Spoiled::LeaseBeyondRetries, ARRIVES, again()),
        (Spoiled::KeepLeaseWhenSentPerhaps, ARRIVES, again()),
        (Spoiled::ForgetOwnClaim, OWN_CLAIM, again()),
        (Spoiled::ForgetOwnSettle, HONEST, again()),
    ] {
        breaks(spoiled, promise, scenario);
    }
}

/// A claim keeps 2 s of its lease where the message may be on the queue. That avoids duplicates while SQS is slow; no
/// promise depends on it, so it may change.
#[test]
fn no_promise_rests_on_what_is_left_of_the_lease_after_an_unanswered_send() {
    let spoiled = Some(Spoiled::ReleaseWhenSentPerhaps);
    holds("no lease kept", Scenario { spoiled, ..Scenario::new(false, true, 1) }, &[QUARANTINED]);
}
