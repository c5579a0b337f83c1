//! Turns off the parts of the SDK's work on each call that nobody here needs.

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

/// Replaces the SDK's two user-agent headers, which it formats again for every call, and the ids and counters that it sends
/// for AWS's statistics. `CloudTrail` shows this name.
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
        // For Lambda's recursion detection. The SDK would set it too, percent-encoding it byte by byte, if it were missing.
        if let Some(trace) = std::env::var("_X_AMZN_TRACE_ID").ok().filter(|trace| is_plain(trace)) {
            headers.insert("x-amzn-trace-id", trace);
        }
        Ok(())
    }
}

/// Turns a call into an unsigned request for the endpoint's health page: that opens the connection, and is not an API call
/// of the account. A call that is meant to fail would count as an error of the account on every cold start.
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

/// Whether the text is valid in a header as it is. Any other text is left to the SDK, which escapes it.
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
