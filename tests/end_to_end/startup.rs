//! A setting that is missing or wrong ends the function at once, with one line that names it and the remedy.

use hookgate_verify::{Provider, providers};

use crate::support::{World, binary, lambda::Function, plain};

async fn refused(world: &World, provider: &Provider, more: &[(&'static str, &str)], expected: &str) {
    let function = Function::start(&binary(provider), 1, &world.settings(provider, more)).await;
    let exit = function.exit().await;
    assert_eq!(exit.code, Some(1), "{expected}");
    assert_eq!(exit.log, [format!("hookgate {}: {expected}", provider.name)]);
}

#[tokio::test]
async fn each_setting_is_named_with_its_remedy() {
    let world = World::new().await;
    let pem = |name: &str, text: &str| {
        let path = format!("{}/{name}.pem", env!("CARGO_TARGET_TMPDIR"));
        std::fs::write(&path, text).unwrap();
        path
    };
    let no_pem = pem("no_pem", "hello\n");
    let no_base64 = pem("no_base64", "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n");
    let no_certificate = pem("no_certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    for (name, value, expected) in [
        ("TABLE_NAME", "", "TABLE_NAME is not set: give it the name of the DynamoDB table of claims"),
        ("QUEUE_URL", "", "QUEUE_URL is not set: give it the URL of the SQS queue of events"),
        (
            "QUARANTINE_QUEUE_URL",
            "",
            "QUARANTINE_QUEUE_URL is not set: give it the URL of the SQS queue for unreadable deliveries",
        ),
        (
            "WEBHOOK_SECRETS",
            "",
            "SECRET_ID is not set: give it the name of the Secrets Manager entry with the signing secrets, or, for local \
             use, WEBHOOK_SECRETS the secrets themselves",
        ),
        ("SECRET_ID", "x", "SECRET_ID and WEBHOOK_SECRETS are both set: unset one"),
        (
            "WEBHOOK_SECRETS",
            r#"{"default":["s3cr3t",""]}"#,
            r#"WEBHOOK_SECRETS account "default" has an empty secret: fill it in or remove it"#,
        ),
        (
            "WEBHOOK_SECRETS",
            r#"{"default":["s3cr3t""#,
            r#"WEBHOOK_SECRETS not of the form {"default": ["current", "previous"]}, nor a bare string or list"#,
        ),
        ("CLAIM_TTL_DAYS", "x", "CLAIM_TTL_DAYS must be a whole number from 1 to 3650"),
        ("CLAIM_TTL_DAYS", "0", "CLAIM_TTL_DAYS must be a whole number from 1 to 3650"),
        ("MAX_EVENT_AGE_DAYS", "-1", "MAX_EVENT_AGE_DAYS must be a whole number from 1 to 3650"),
        ("METRICS_LEVEL", "some", "METRICS_LEVEL must be one of: essential, all"),
        ("RESPONSE_BUDGET_MS", "999", "RESPONSE_BUDGET_MS must be a whole number from 1000 to 30000"),
        (
            "AWS_CA_BUNDLE",
            "/no/such/file.pem",
            "AWS_CA_BUNDLE names a file that cannot be read: No such file or directory (os error 2)",
        ),
        ("AWS_CA_BUNDLE", &no_pem, "AWS_CA_BUNDLE is not a list of PEM certificates"),
        ("AWS_CA_BUNDLE", &no_base64, "AWS_CA_BUNDLE is not a list of PEM certificates"),
        ("AWS_CA_BUNDLE", &no_certificate, "AWS_CA_BUNDLE is not a list of PEM certificates"),
    ] {
        refused(&world, plain(), &[(name, value)], expected).await;
    }
    for provider in providers::ALL {
        let Some(setting) = provider.setting else { continue };
        let values: Vec<_> = provider.modes.iter().map(|(value, _)| *value).collect();
        let expected = format!("{setting} must be one of: {}", values.join(", "));
        refused(&world, provider, &[(setting, "neither")], &expected).await;
    }
}

#[tokio::test]
async fn outside_lambda_a_function_says_how_to_run_it() {
    let output = tokio::process::Command::new(binary(plain())).env_clear().output().await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("`cargo run` starts all functions on this machine"), "{text}");
}
