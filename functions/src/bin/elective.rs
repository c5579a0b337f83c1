//! The Lambda function that takes Elective Commerce's deliveries.

use std::process::ExitCode;

fn main() -> ExitCode {
    hookgate_lambda::run(&hookgate_verify::providers::elective::PROVIDER)
}
