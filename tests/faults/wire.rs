//! One function with a faulty wire to AWS, and the deliveries that a provider sends it.

use std::{sync::Arc, time::Duration};

use hookgate_verify::Provider;

use crate::support::{
    World, binary,
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
        let settings = world.settings(&[
            ("AWS_ENDPOINT_URL_DYNAMODB", &proxy.dynamodb_url()),
            ("AWS_ENDPOINT_URL_SQS", &proxy.sqs_url()),
            ("RESPONSE_BUDGET_MS", &budget.as_millis().to_string()),
        ]);
        let function = Arc::new(Function::start(&binary(provider.name), sandboxes, &settings).await);
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

/// An authentic delivery of this provider. Its payload is `{"id": …}`, whatever the provider calls an event.
pub fn delivery(provider: &Provider, id: u64) -> String {
    let data = format!(r#"{{"id":{id},"object":{{"id":{id}}}}}"#);
    let body = format!(r#"{{"id":"evt_{id}","event":"order.x","type":"order.x","timestamp":1,"data":{data}}}"#);
    signed(provider, body.as_bytes())
}
