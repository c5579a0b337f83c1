//! The Lambda function that takes W3block's deliveries.

use std::process::ExitCode;

fn main() -> ExitCode {
    hookgate_lambda::run(&hookgate_verify::providers::w3block::PROVIDER)
}
