//! Functions that die on the way, when asked to: `hookgate send --scenario crash`.
//!
//! In one process nothing can be killed but the invocation's future. SQS says when: it knows the invocation by the trace
//! header of its message, and answers it no more.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use serde::Deserialize;
use tokio::sync::oneshot;

/// How far a function comes before it dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Crash {
    /// It has claimed the event, and SQS has not accepted it.
    Claimed,
    /// SQS has accepted the event, and its claim is not settled.
    Enqueued,
}

impl Crash {
    /// Its name in an address.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Claimed => "claimed",
            Self::Enqueued => "enqueued",
        }
    }
}

/// Who is to die, by the trace header of its message.
#[derive(Default)]
pub(super) struct Crashes(Mutex<HashMap<String, (Crash, oneshot::Sender<()>)>>);

impl Crashes {
    /// Has the sender of the message with this trace header die. It receives the word to.
    pub(super) fn arm(&self, trace: &str, crash: Crash) -> oneshot::Receiver<()> {
        let (word, receives) = oneshot::channel();
        let mut armed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Those who came to an end without sending anything.
        armed.retain(|_, (_, word)| !word.is_closed());
        armed.insert(trace.to_owned(), (crash, word));
        receives
    }

    /// How the sender of this message is to die, once.
    pub(super) fn take(&self, trace: &str) -> Option<(Crash, oneshot::Sender<()>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(trace)
    }
}
