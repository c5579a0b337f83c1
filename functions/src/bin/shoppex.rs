//! The Lambda function that takes Shoppex's deliveries.

use std::process::ExitCode;

fn main() -> ExitCode {
    hookgate_lambda::run(&hookgate_verify::providers::shoppex::PROVIDER)
}
