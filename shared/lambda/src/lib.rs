//! Runs a platform's intake as a Lambda function: the only crate that knows Lambda's runtime.

use std::process::ExitCode;

use hookgate_intake::{Config, Handled, Intake, Invocation};
use hookgate_verify::Provider;
use lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use lambda_runtime::{LambdaEvent, service_fn};
use mimalloc::MiMalloc;
use serde::{Deserialize, Deserializer};

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
    let handle = service_fn(async move |LambdaEvent { payload: Payload(event), context }| {
        let deadline = context.deadline();
        let invocation = Invocation { event, request_id: context.request_id, deadline, trace: context.xray_trace_id };
        let Handled { response, log } = intake.handle(invocation).await;
        // Lambda takes its log from standard output.
        println!("{log}");
        Ok::<_, lambda_runtime::Error>(response)
    });
    runtime.block_on(lambda_runtime::run(handle))
}

/// What an invocation carries: None where that is not an HTTP event of payload format 2.0.
///
/// Deserialising it never fails: the runtime would report the error itself, and the invocation would end without a log line
/// and without an outcome.
struct Payload(Option<ApiGatewayV2httpRequest>);

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // An error may leave the input half read, which is fine: nobody reads on.
        let event = ApiGatewayV2httpRequest::deserialize(deserializer).ok();
        // An emulator may leave the version out.
        Ok(Payload(event.filter(|event| event.version.as_ref().is_none_or(|version| version == "2.0"))))
    }
}
