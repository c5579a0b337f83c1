//! The Lambda function that takes Etail Depot's deliveries.

use std::process::ExitCode;

fn main() -> ExitCode {
    hookgate_lambda::run(&hookgate_verify::providers::etaildepot::PROVIDER)
}
