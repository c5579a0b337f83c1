//! The path of one delivery through a Lambda function: the only crate that knows Lambda and AWS.
//!
//! ```text
//! HTTP event ─► Delivery ─► authenticate ─► read ─► claim ─► send ─► settle ─► answer
//!   http.rs      (hookgate-verify: pure)           └────── store.rs ──────┘   outcome.rs
//! └──────────────────────── intake.rs walks the whole path ────────────────────────┘
//! ```
//!
//! 2xx means the event is queued, was already queued, or is in quarantine. Any other answer makes the platform send again.

pub mod claim;
mod config;
mod http;
mod intake;
mod lean;
mod log;
mod outcome;
mod queue;
#[cfg(feature = "release")]
pub mod release;
mod secrets;
mod store;
mod table;
mod trace;

pub use config::{Config, ConfigError};
pub use http::address;
pub use intake::{Handled, Intake};
pub use queue::{MAX_MESSAGE_BYTES, Quarantined};
pub use store::QUARANTINE;

/// The types of an invocation by API Gateway (HTTP API) or a Function URL,
/// [payload format 2.0](https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html).
pub mod lambda {
    pub use lambda_http::aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
    pub use lambda_runtime::{Context, LambdaEvent};
    use serde::{Deserialize, Deserializer};

    /// What an invocation carries: None where that is not an HTTP event of payload format 2.0.
    ///
    /// Deserialising it never fails: the runtime would report the error itself, and the invocation would end without a log
    /// line and without an outcome.
    #[derive(Debug)]
    pub struct Payload(pub Option<ApiGatewayV2httpRequest>);

    impl<'de> Deserialize<'de> for Payload {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            // An error may leave the input half read, which is fine: nobody reads on.
            let event = ApiGatewayV2httpRequest::deserialize(deserializer).ok();
            // An emulator may leave the version out.
            Ok(Payload(event.filter(|event| event.version.as_ref().is_none_or(|version| version == "2.0"))))
        }
    }
}

use std::process::ExitCode;

use hookgate_verify::Provider;
use lambda_runtime::service_fn;
use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Runs the platform's Lambda function until Lambda ends it. A function's `main` is this one call.
///
/// A missing or invalid setting is printed with its remedy and ends the process, which Lambda reports as a failed
/// initialisation.
#[must_use]
pub fn run(provider: &'static Provider) -> ExitCode {
    match try_run(provider) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hookgate {provider:?}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn try_run(provider: &'static Provider) -> Result<(), lambda_runtime::Error> {
    let setting = |name: &str| std::env::var(name).ok();
    if setting("AWS_LAMBDA_RUNTIME_API").is_none() {
        return Err("this program runs inside AWS Lambda. To try it here: `cargo run` starts all functions on this \
                    machine, `cargo lambda watch` emulates Lambda"
            .into());
    }
    let intake = Intake::new(Config::from_settings(provider, setting)?);
    let intake = &intake;
    // Lambda invokes one at a time: more threads would only cost memory and start-up time.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    if let Some(log) = runtime.block_on(intake.initialise()) {
        println!("{log}");
    }
    let handle = service_fn(async move |event| {
        let Handled { response, log } = intake.handle(event).await;
        // Lambda takes its log from standard output.
        println!("{log}");
        Ok::<_, lambda_runtime::Error>(response)
    });
    runtime.block_on(lambda_runtime::run(handle))
}
