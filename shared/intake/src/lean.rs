//! What of the SDK's work on each call nobody here needs, switched off.

use aws_runtime::{
    invocation_id::InvocationIdInterceptor, request_info::RequestInfoInterceptor, user_agent::UserAgentInterceptor,
};
use aws_sdk_dynamodb::config::ConfigBag;
use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::{
        interceptors::{
            Intercept,
            context::{BeforeSerializationInterceptorContextRef, BeforeTransmitInterceptorContextMut},
            disable_interceptor, dyn_dispatch_hint,
        },
        orchestrator::HttpRequest,
        runtime_components::RuntimeComponents,
    },
};

/// Takes the place of the SDK's two user-agent headers, which it writes anew for every call, and of the ids and
/// counters that it sends for its makers' statistics. `CloudTrail` shows this name.
const USER_AGENT: &str = concat!("hookgate/", env!("CARGO_PKG_VERSION"));

/// Makes every call of a client lean.
#[derive(Debug)]
pub(crate) struct Lean;

#[dyn_dispatch_hint]
impl Intercept for Lean {
    fn name(&self) -> &'static str {
        "Lean"
    }

    fn read_before_execution(
        &self,
        _: &BeforeSerializationInterceptorContextRef<'_>,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let state = config.interceptor_state();
        state.store_put(disable_interceptor::<UserAgentInterceptor>("a fixed name is enough"));
        state.store_put(disable_interceptor::<InvocationIdInterceptor>("nobody reads it"));
        state.store_put(disable_interceptor::<RequestInfoInterceptor>("nobody reads it"));
        Ok(())
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let headers = context.request_mut().headers_mut();
        headers.insert("user-agent", USER_AGENT);
        // What Lambda's recursion detection goes by. The SDK sets it too, byte by byte, unless it is there.
        if let Some(trace) = std::env::var("_X_AMZN_TRACE_ID").ok().filter(|trace| is_plain(trace)) {
            headers.insert("x-amzn-trace-id", trace);
        }
        Ok(())
    }
}

/// Turns a call into an unsigned look at the endpoint's health page: its connection is open after that, and the account
/// has made no call. A call meant to fail would count as the account's error on every cold start.
#[derive(Debug)]
pub(crate) struct Ping;

#[dyn_dispatch_hint]
impl Intercept for Ping {
    fn name(&self) -> &'static str {
        "Ping"
    }

    fn modify_before_transmit(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request_mut();
        let endpoint = request.uri().trim_end_matches('/');
        *request = HttpRequest::get(format!("{endpoint}/ping"))?;
        Ok(())
    }
}

/// Whether the text may stand in a header as it is. What may not is left to the SDK, which escapes it.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::is_plain;

    #[test]
    fn only_what_may_stand_in_a_header_is_plain() {
        assert!(is_plain("Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"));
        assert!(is_plain(" ~"));
        for escaped in ["a\nb", "a\u{7f}", "\u{1f}", "é"] {
            assert!(!is_plain(escaped), "{escaped:?}");
        }
    }
}
