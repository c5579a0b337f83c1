//! The Lambda function that takes Paystack's deliveries.

use std::process::ExitCode;

fn main() -> ExitCode {
    hookgate_lambda::run(&hookgate_verify::providers::paystack::PROVIDER)
}
