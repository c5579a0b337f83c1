//! The Lambda function that takes Paddle's deliveries.

use std::process::ExitCode;

fn main() -> ExitCode {
    hookgate_lambda::run(&hookgate_verify::providers::paddle::PROVIDER)
}
