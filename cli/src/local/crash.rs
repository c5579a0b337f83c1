//! Lets functions crash for `hookgate send --scenario crash`.
//!
//! A crash drops the invocation's future. To drop it at the right time, the function gets a proxy's address for SQS: a
//! connection to it means that the event is claimed. The proxy passes the function's request on to SQS, and the first byte of
//! the answer means that SQS has accepted the event. No answer is passed back.

use std::io;

use hookgate_intake::{Config, Handled, Intake, Invocation};
use hookgate_verify::Provider;
use serde::Deserialize;
use tokio::{
    io::copy,
    net::{TcpListener, TcpStream},
};

use crate::local::engines::{any_port, url};

/// When a function crashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Crash {
    /// After it has claimed the event, before SQS accepts it.
    Claimed,
    /// After SQS has accepted the event, before the claim is settled.
    Enqueued,
}

impl Crash {
    /// The name in the address.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Claimed => "claimed",
            Self::Enqueued => "enqueued",
        }
    }
}

/// Lets a function handle a delivery until it crashes. Its claim stays until the lease ends, as after the death of an
/// execution environment. Returns the answer if the function does not come as far as the crash.
pub(super) async fn handle(
    crash: Crash,
    provider: &'static Provider,
    settings: impl Fn(&str) -> Option<String>,
    invocation: Invocation,
) -> anyhow::Result<Option<Handled>> {
    const SQS: &str = "AWS_ENDPOINT_URL_SQS";
    let listener = any_port().await?;
    let (own, sqs) = (url(&listener)?, settings(SQS).unwrap_or_default());
    let settings = |name: &str| if name == SQS { Some(own.clone()) } else { settings(name) };
    let intake = Intake::new(Config::from_settings(provider, settings)?);
    tokio::select! {
        biased;
        Ok(()) = reached(crash, listener, sqs.trim_start_matches("http://")) => Ok(None),
        handled = intake.handle(invocation) => Ok(Some(handled)),
    }
}

/// Waits for the time of the crash. The function takes `listener` for SQS.
async fn reached(crash: Crash, listener: TcpListener, sqs: &str) -> io::Result<()> {
    // The function connects after it has claimed the event.
    let (mut function, _) = listener.accept().await?;
    if crash == Crash::Claimed {
        return Ok(());
    }
    let mut sqs = TcpStream::connect(sqs).await?;
    let (mut requests, _) = function.split();
    let ((mut answers, mut sqs), mut first) = (sqs.split(), [0]);
    tokio::select! {
        sent = copy(&mut requests, &mut sqs) => sent.map(drop),
        answered = answers.peek(&mut first) => answered.map(drop),
    }
}
