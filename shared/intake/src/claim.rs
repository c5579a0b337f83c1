//! The decisions of the claim protocol, without I/O: what a stored claim means for a delivery with the same key.
//!
//! ```text
//!               claim: put if absent, or expired, or (claimed, lease over, same content)
//!  absent ─────────────► claimed(owner, lease) ─── sent ───► settle: update if still mine ──► queued
//!                          │
//!                          └─ crash, or release if still mine: the lease ends, at its time, at once, or in 2 s (where the
//!                             outcome of the send is unknown); the platform's next attempt takes over, with the same
//!                             content only, and sends
//! ```
//!
//! `table.rs` has the same conditions as DynamoDB expressions: change both together.

use sha2::{Digest, Sha256};

/// What one invocation wants to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The partition key: see [`partition_key`].
    pub key: String,
    /// The event's id, for people who look at the table.
    pub event_id: String,
    /// Unique per invocation: Lambda's request id.
    pub owner: String,
    /// Hex SHA-256 of the content to be queued.
    pub content: String,
    /// When another invocation may take over, in Unix milliseconds.
    pub lease_until: i64,
    /// When the claim is forgotten, in Unix seconds.
    pub expires_at: i64,
}

/// What is stored under a key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Stored {
    /// The invocation that wrote it.
    pub owner: String,
    /// How far that invocation got.
    pub state: State,
    /// Hex SHA-256 of the content.
    pub content: String,
    /// When the claim is forgotten, in Unix seconds. DynamoDB may delete it days later.
    pub expires_at: i64,
}

/// How far the owner got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// It may be sending, or may have crashed.
    Claimed {
        /// When another invocation may take over, in Unix milliseconds.
        lease_until: i64,
    },
    /// The message is on the queue.
    Queued,
}

/// Why a claim was refused; decides the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Already ours: the write succeeded, its answer was lost, and the SDK tried again. Continue.
    Mine,
    /// The event is on the queue already.
    Duplicate,
    /// Another invocation is working on it, for at most this many seconds more.
    Busy {
        /// Seconds, at least 1: the answer's `Retry-After`.
        retry_after: u64,
    },
    /// The key is claimed for other content. One of the two deliveries is not what the platform documents.
    Conflict {
        /// Hex SHA-256 of the claimed content.
        claimed: String,
    },
}

/// The end of a released claim's lease, in Unix milliseconds: long ago. Releasing does not delete the claim, because the
/// message may be on the queue after all (an earlier attempt's answer was lost), and the key must stay bound to its content.
pub const RELEASED: i64 = 0;

/// What is left of the lease after a send whose outcome is unknown, in milliseconds. No guarantee depends on it: it avoids a
/// duplicate where SQS is merely slow, and is short so that a platform that retries quickly does not run out of retries.
pub const SHORT_LEASE: i64 = 2_000;

/// What an invocation knows of its claim when it stops trying to write it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// It is written.
    Yes,
    /// There is a claim on the key already: another's, or its own.
    Refused(Refusal),
    /// The last attempt was refused. An earlier one may have written it and its answer may be lost: do not rely on this.
    No,
    /// The last attempt's answer was lost, or is still to come.
    Perhaps,
}

/// What an invocation knows of its message when it stops trying to send it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// SQS has it.
    Yes,
    /// The last attempt was refused. An earlier one may have sent it and its answer may be lost: do not rely on this.
    No,
    /// The last attempt's answer was lost, or is still to come.
    Perhaps,
}

/// What an invocation does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// The event is ours: send it.
    Send,
    /// It is on the queue: settle the claim, and answer 2xx even if settling fails.
    Settle,
    /// End the lease, so that the platform's next attempt need not wait for it. No 2xx.
    Release,
    /// End the lease soon, as the message may be on the queue or on its way there. No 2xx.
    Shorten,
    /// Leave the table as it is. No 2xx.
    Leave,
    /// The refusal says what to answer.
    Yield(Refusal),
}

/// What follows an attempt to claim. `in_time` is whether the answer's budget still allows to send.
#[must_use]
pub fn after_claim(written: Written, in_time: bool) -> Next {
    match written {
        Written::Yes | Written::Refused(Refusal::Mine) if in_time => Next::Send,
        Written::Yes | Written::Refused(Refusal::Mine) | Written::Perhaps => Next::Release,
        Written::Refused(refusal) => Next::Yield(refusal),
        Written::No => Next::Leave,
    }
}

/// What follows an attempt to send.
#[must_use]
pub fn after_send(sent: Sent) -> Next {
    match sent {
        Sent::Yes => Next::Settle,
        Sent::No => Next::Release,
        Sent::Perhaps => Next::Shorten,
    }
}

impl Next {
    /// The new end of the claim's lease, in Unix milliseconds as `now`. None where the lease stays as it is.
    #[must_use]
    pub fn lease_until(&self, claim: &Claim, now: i64) -> Option<i64> {
        match self {
            Next::Release => Some(RELEASED),
            // Never longer than it was, even if this clock is ahead.
            Next::Shorten => Some(claim.lease_until.min(now + SHORT_LEASE)),
            Next::Send | Next::Settle | Next::Leave | Next::Yield(_) => None,
        }
    }
}

/// Whether what is stored is a claim that this owner may settle or release.
#[must_use]
pub fn mine(stored: Option<&Stored>, owner: &str) -> bool {
    stored.is_some_and(|stored| stored.owner == owner && matches!(stored.state, State::Claimed { .. }))
}

/// Whether a claim may be written over what is stored. `now` is Unix milliseconds.
#[must_use]
pub fn admits(stored: Option<&Stored>, claim: &Claim, now: i64) -> bool {
    let Some(stored) = stored else { return true };
    let lease_is_over = matches!(stored.state, State::Claimed { lease_until } if lease_until < now);
    stored.expires_at < now / 1000 || (lease_is_over && stored.content == claim.content)
}

/// What the stored claim means for a delivery whose own claim was refused. `now` is Unix milliseconds.
#[must_use]
pub fn judge(stored: &Stored, claim: &Claim, now: i64) -> Refusal {
    if stored.content != claim.content {
        return Refusal::Conflict { claimed: stored.content.clone() };
    }
    match stored.state {
        State::Queued => Refusal::Duplicate,
        State::Claimed { .. } if stored.owner == claim.owner => Refusal::Mine,
        State::Claimed { lease_until } => {
            let milliseconds = u64::try_from(lease_until - now).unwrap_or(0);
            // Rounded up, and one more where it is whole: at the exact end of the lease the claim is still busy.
            Refusal::Busy { retry_after: milliseconds / 1000 + 1 }
        }
    }
}

/// Whether a refused settle had succeeded before: its answer was lost, and the SDK tried again.
#[must_use]
pub fn already_settled(stored: Option<&Stored>, owner: &str) -> bool {
    stored.is_some_and(|stored| stored.owner == owner && stored.state == State::Queued)
}

/// `<provider>#<account>#<hex SHA-256 of the idempotency key>`. Neither name can contain a `#`, so keys cannot collide.
#[must_use]
pub fn partition_key(provider: &str, account: &str, idempotency_key: &str) -> String {
    format!("{provider}#{account}#{}", hex::encode(Sha256::digest(idempotency_key)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000_000;

    fn mine() -> Claim {
        Claim {
            key: String::new(),
            event_id: String::new(),
            owner: "me".into(),
            content: "same".into(),
            lease_until: NOW + 10_000,
            expires_at: NOW / 1000 + 86_400,
        }
    }

    fn stored(owner: &str, state: State, content: &str, expires_in: i64) -> Stored {
        Stored { owner: owner.into(), state, content: content.into(), expires_at: NOW / 1000 + expires_in }
    }

    /// Every state of the table that a delivery can find, and what it means for the delivery.
    #[test]
    fn each_stored_claim_means_one_thing() {
        let leased = |lease: i64| State::Claimed { lease_until: NOW + lease };
        let conflict = || Some(Refusal::Conflict { claimed: "else".into() });
        for (stored, expected) in [
            (stored("other", State::Queued, "same", 10), Some(Refusal::Duplicate)),
            (stored("me", State::Queued, "same", 10), Some(Refusal::Duplicate)),
            (stored("other", State::Queued, "else", 10), conflict()),
            (stored("other", leased(2_500), "same", 10), Some(Refusal::Busy { retry_after: 3 })),
            (stored("other", leased(0), "same", 10), Some(Refusal::Busy { retry_after: 1 })),
            (stored("other", leased(2_500), "else", 10), conflict()),
            (stored("me", leased(2_500), "same", 10), Some(Refusal::Mine)),
            // The lease is over: only the same content may take over.
            (stored("other", leased(-1), "same", 10), None),
            (stored("other", leased(-1), "else", 10), conflict()),
            // Expired: as if absent, even if DynamoDB has not deleted it yet.
            (stored("other", State::Queued, "else", -1), None),
            (stored("other", State::Queued, "same", -1), None),
            (stored("other", leased(5_000), "else", -1), None),
            // Not expired yet in the exact second of its expiry.
            (stored("other", State::Queued, "same", 0), Some(Refusal::Duplicate)),
        ] {
            let got = (!admits(Some(&stored), &mine(), NOW)).then(|| judge(&stored, &mine(), NOW));
            assert_eq!(got, expected, "{stored:?}");
        }
        assert!(admits(None, &mine(), NOW));
    }

    #[test]
    fn a_refused_settle_succeeded_only_if_mine_and_queued() {
        assert!(already_settled(Some(&stored("me", State::Queued, "same", 10)), "me"));
        assert!(!already_settled(Some(&stored("other", State::Queued, "same", 10)), "me"));
        assert!(!already_settled(Some(&stored("me", State::Claimed { lease_until: NOW }, "same", 10)), "me"));
        assert!(!already_settled(None, "me"));
    }

    #[test]
    fn the_partition_key_is_readable_and_hashed() {
        assert_eq!(
            partition_key("platform", "eu-shop", "abc"),
            "platform#eu-shop#ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
