//! The Lambda function that takes Lemon Squeezy's deliveries.

use std::process::ExitCode;

fn main() -> ExitCode {
    hookgate_lambda::run(&hookgate_verify::providers::lemonsqueezy::PROVIDER)
}
