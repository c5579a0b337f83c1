//! The Lambda function that takes Shopify's deliveries.

use std::process::ExitCode;

fn main() -> ExitCode {
    hookgate_lambda::run(&hookgate_verify::providers::shopify::PROVIDER)
}
