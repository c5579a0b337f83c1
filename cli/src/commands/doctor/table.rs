//! The table of claims: key, expiry, billing, deletion protection.

use aws_sdk_dynamodb::{
    operation::describe_table::DescribeTableError,
    types::{BillingMode, KeyType, ScalarAttributeType, TableDescription, TimeToLiveStatus},
};

use super::{Check, Checks, Section};
use crate::client::aws::Clients;

/// Finds and checks the table. Returns its name if it is known.
pub(super) async fn check(clients: &Clients, given: Option<&str>) -> (Option<String>, Vec<Check>) {
    let mut checks = Checks::of(Section::Table);
    let name = match clients.table(given).await {
        Ok(name) => name,
        Err(error) => {
            checks.unknown("table", error.to_string(), "");
            return (None, checks.made);
        }
    };
    let described = match clients.dynamodb.describe_table().table_name(&name).send().await {
        Ok(described) => described.table.unwrap_or_else(|| TableDescription::builder().build()),
        Err(error) if error.as_service_error().is_some_and(DescribeTableError::is_resource_not_found_exception) => {
            let remedy = if clients.is_local() {
                "start the local intake with `hookgate`, which creates it"
            } else {
                "deploy the stack, which creates it, or choose another with --table"
            };
            checks.problem("table", format!("there is no table {name}"), remedy);
            return (Some(name), checks.made);
        }
        Err(error) => {
            checks.unknown(
                "table",
                clients.failed(&format!("cannot describe the table {name}"), &error).to_string(),
                "",
            );
            return (Some(name), checks.made);
        }
    };
    key(&mut checks, &described);
    billing(&mut checks, &name, &described);
    if !clients.is_local() {
        protection(&mut checks, &name, &described);
    }
    match clients.dynamodb.describe_time_to_live().table_name(&name).send().await {
        Ok(described) => {
            let described = described.time_to_live_description;
            let status = described.as_ref().and_then(|expiry| expiry.time_to_live_status());
            let on = matches!(status, Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling));
            let attribute = described.as_ref().and_then(|expiry| expiry.attribute_name()).filter(|_| on);
            expiry(&mut checks, &name, attribute);
        }
        Err(error) => {
            let why = clients.failed(&format!("cannot read the expiry of the table {name}"), &error);
            checks.unknown("expiry", why.to_string(), "");
        }
    }
    (Some(name), checks.made)
}

fn key(checks: &mut Checks, table: &TableDescription) {
    let keys: Vec<_> = table.key_schema().iter().map(|key| (key.attribute_name(), key.key_type())).collect();
    let is_text = table
        .attribute_definitions()
        .iter()
        .any(|attribute| attribute.attribute_name() == "pk" && *attribute.attribute_type() == ScalarAttributeType::S);
    if keys == [("pk", &KeyType::Hash)] && is_text {
        return checks.ok("key", "pk, a string");
    }
    let found: Vec<_> = keys.iter().map(|(name, kind)| format!("{name} ({kind})")).collect();
    let of_text = if is_text || keys != [("pk", &KeyType::Hash)] { "" } else { ", not a string" };
    checks.problem(
        "key",
        format!("it is {}{of_text}; the functions need pk, a string, alone", found.join(" and ")),
        "a table's key cannot be changed: let the template create the table, and use that one",
    );
}

fn billing(checks: &mut Checks, name: &str, table: &TableDescription) {
    // DynamoDB leaves the summary out of a table that always had provisioned capacity.
    let mode = table.billing_mode_summary().and_then(|summary| summary.billing_mode());
    if mode == Some(&BillingMode::PayPerRequest) {
        return checks.ok("billing", "per request");
    }
    checks.problem(
        "billing",
        "provisioned capacity: a burst beyond it is throttled, and answered 503",
        format!("aws dynamodb update-table --table-name {name} --billing-mode PAY_PER_REQUEST"),
    );
}

fn protection(checks: &mut Checks, name: &str, table: &TableDescription) {
    if table.deletion_protection_enabled() == Some(true) {
        return checks.ok("protection", "deletion protection is on");
    }
    checks.problem(
        "protection",
        "deletion protection is off: without its claims, every event of the last weeks could be queued again",
        format!("aws dynamodb update-table --table-name {name} --deletion-protection-enabled"),
    );
}

fn expiry(checks: &mut Checks, name: &str, attribute: Option<&str>) {
    let enable = format!(
        "aws dynamodb update-time-to-live --table-name {name} --time-to-live-specification \
         Enabled=true,AttributeName=expires_at"
    );
    match attribute {
        Some("expires_at") => checks.ok("expiry", "by expires_at"),
        Some(other) => checks.problem(
            "expiry",
            format!("by {other}, which no claim has: no claim is ever deleted"),
            format!("disable that first (same command with Enabled=false,AttributeName={other}), then: {enable}"),
        ),
        None => checks.problem("expiry", "off: no claim is ever deleted, and the table grows", enable),
    }
}
