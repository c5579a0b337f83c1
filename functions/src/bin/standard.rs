//! The Lambda function that takes deliveries of any sender that follows Standard Webhooks.

use std::process::ExitCode;

fn main() -> ExitCode {
    hookgate_lambda::run(&hookgate_verify::providers::standard::PROVIDER)
}
