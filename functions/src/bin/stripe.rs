//! The Lambda function that takes Stripe's deliveries.

use std::process::ExitCode;

fn main() -> ExitCode {
    hookgate_lambda::run(&hookgate_verify::providers::stripe::PROVIDER)
}
