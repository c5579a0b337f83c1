//! Functions that crash on the way, when asked to: `hookgate send --scenario crash`.
//!
//! Within one process only the invocation's future can be dropped. To know when, the function gets another address for
//! SQS: a connection to it means that the event is claimed. What the function sends is passed on to SQS, and the beginning
//! of SQS's answer means that it has accepted the event. No answer is passed back.

use std::{error::Error, io};

use hookgate_intake::{
    Config, Handled, Intake,
    lambda::{LambdaEvent, Payload},
};
use hookgate_verify::Provider;
use serde::Deserialize;
use tokio::{
    io::copy,
    net::{TcpListener, TcpStream},
};

/// How far a function comes before it crashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Crash {
    /// It has claimed the event, and SQS has not accepted it.
    Claimed,
    /// SQS has accepted the event, and its claim is not settled.
    Enqueued,
}

impl Crash {
    /// Its name in an address.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Claimed => "claimed",
            Self::Enqueued => "enqueued",
        }
    }
}

/// Lets a function handle a delivery until it crashes. It leaves behind what a killed execution environment does: its claim,
/// until the lease ends. Returns its answer if it never came that far.
pub(super) async fn handle(
    crash: Crash,
    provider: &'static Provider,
    settings: impl Fn(&str) -> Option<String>,
    invocation: LambdaEvent<Payload>,
) -> Result<Option<Handled>, Box<dyn Error + Send + Sync>> {
    const SQS: &str = "AWS_ENDPOINT_URL_SQS";
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let (own, sqs) = (format!("http://{}", listener.local_addr()?), settings(SQS).unwrap_or_default());
    let settings = |name: &str| if name == SQS { Some(own.clone()) } else { settings(name) };
    let intake = Intake::new(Config::from_settings(provider, settings)?);
    tokio::select! {
        biased;
        Ok(()) = reached(crash, listener, sqs.trim_start_matches("http://")) => Ok(None),
        handled = intake.handle(invocation) => Ok(Some(handled)),
    }
}

/// Waits until the function whose SQS is `listener` has to crash.
async fn reached(crash: Crash, listener: TcpListener, sqs: &str) -> io::Result<()> {
    // It connects when it has something to send, which is after it has claimed the event.
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
