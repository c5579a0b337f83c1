//! One function with a faulty wire to AWS, and the deliveries that a provider sends it.

use std::{sync::Arc, time::Duration};

use hookgate_verify::{Provider, providers::Retries};

use crate::support::{
    World, binary,
    body::Body,
    lambda::{Answer, Function, Invocation},
    outcome,
    proxy::Proxy,
    signed,
};

/// From an invocation's deadline to the end of its lease.
pub const LEASE_MARGIN: Duration = Duration::from_secs(2);

/// From the answer to a send whose outcome is unknown to the end of its lease, at most.
pub const SHORT_LEASE: Duration = Duration::from_secs(2);

/// A function and the proxy behind it.
pub struct Wire {
    pub function: Arc<Function>,
    pub proxy: Proxy,
}

impl Wire {
    /// With this response budget. Sandboxes that the proxy kills are replaced.
    pub async fn new(world: &World, provider: &Provider, sandboxes: usize, budget: Duration) -> Self {
        let proxy = Proxy::start(&world.engines);
        let settings = world.settings(
            provider,
            &[
                ("AWS_ENDPOINT_URL_DYNAMODB", &proxy.dynamodb_url()),
                ("AWS_ENDPOINT_URL_SQS", &proxy.sqs_url()),
                ("RESPONSE_BUDGET_MS", &budget.as_millis().to_string()),
            ],
        );
        let function = Arc::new(Function::start(&binary(provider), sandboxes, &settings).await);
        let weak = Arc::downgrade(&function);
        proxy.on_kill(Box::new(move |invocation| {
            let function = weak.upgrade();
            Box::pin(async move {
                let Some(function) = function else { return };
                function.kill(&request_id(&invocation)).await;
                function.respawn().await;
            })
        }));
        Wire { function, proxy }
    }

    /// Delivers the event, and gives the outcome; `died` or `timed out` where there is no answer.
    pub async fn deliver(&self, event: String, invocation: Invocation) -> String {
        let answer = self.function.invoke_with(event, invocation).await;
        match answer {
            Answer::Response(_) => outcome(&answer).1,
            Answer::Died => "died".to_owned(),
            Answer::TimedOut => "timed out".to_owned(),
            Answer::Error(_) => panic!("the function failed: {answer:?}"),
        }
    }
}

/// An invocation that both of its ids name: see [`crate::support::proxy::invocation`].
pub fn invocation(name: &str, deadline: Duration) -> Invocation {
    let trace_id = format!("Root=1-5bef4de7-000000000000{name};Parent=0000{name};Sampled=0");
    Invocation { request_id: request_id(name), deadline, trace_id, ..Invocation::default() }
}

/// The request id of the invocation with this name of twelve hexadecimal digits.
fn request_id(name: &str) -> String {
    format!("00000000-0000-4000-8000-{name}")
}

/// The body of this provider's event number `id`.
pub fn body(provider: &'static Provider, id: u64) -> Body {
    Body::new(provider, &format!("evt_{id}")).note(id)
}

/// An authentic delivery of it.
pub fn delivery(provider: &'static Provider, id: u64) -> String {
    signed(provider, &body(provider, id).bytes())
}

/// The pauses before a provider's further attempts, as it documents them (it is guessed at where it does not), with a
/// second for a millisecond, and two seconds at most.
pub fn retries(provider: &Provider) -> Vec<Duration> {
    const UNKNOWN: &[u32] = &[60, 300, 1_800];
    const INTERVAL: u32 = 60;
    let seconds = match provider.deliveries.retries {
        Retries::After(delays) => delays.to_vec(),
        Retries::Times(attempts) => vec![INTERVAL; attempts],
        Retries::For(_) | Retries::Unknown => UNKNOWN.to_vec(),
    };
    seconds.into_iter().map(|seconds| Duration::from_millis(u64::from(seconds).min(2_000))).collect()
}
