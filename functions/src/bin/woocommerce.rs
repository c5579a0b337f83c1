//! The Lambda function that takes WooCommerce's deliveries.

use std::process::ExitCode;

fn main() -> ExitCode {
    hookgate_lambda::run(&hookgate_verify::providers::woocommerce::PROVIDER)
}
