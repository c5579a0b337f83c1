//! The Lambda function that takes Opterius Commerce's deliveries.

use std::process::ExitCode;

fn main() -> ExitCode {
    hookgate_lambda::run(&hookgate_verify::providers::opterius::PROVIDER)
}
