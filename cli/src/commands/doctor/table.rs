//! The table of claims: key, expiry, billing, deletion protection.

use aws_sdk_dynamodb::{
    operation::describe_table::DescribeTableError,
    types::{BillingMode, KeyType, ScalarAttributeType, TableDescription, TimeToLiveStatus},
};

use super::Check;
use crate::client::aws::Clients;

/// Finds and checks the table. Returns its name if it is known.
pub(super) async fn check(clients: &Clients, given: Option<&str>) -> (Option<String>, Vec<Check>) {
    match clients.table(given).await {
        Ok(name) => {
            let checks = check_named(clients, &name).await;
            (Some(name), checks)
        }
        Err(error) => (None, vec![Check::unknown("table", error.to_string(), "")]),
    }
}

async fn check_named(clients: &Clients, name: &str) -> Vec<Check> {
    let table = match clients.dynamodb.describe_table().table_name(name).send().await {
        Ok(described) => described.table.unwrap_or_else(|| TableDescription::builder().build()),
        Err(error) if error.as_service_error().is_some_and(DescribeTableError::is_resource_not_found_exception) => {
            let remedy = if clients.is_local() {
                "start the local intake with `hookgate`, which creates it"
            } else {
                "deploy the stack, which creates it, or choose another with --table"
            };
            return vec![Check::problem("table", format!("there is no table {name}"), remedy)];
        }
        Err(error) => {
            let why = clients.failed(&format!("cannot describe the table {name}"), &error);
            return vec![Check::unknown("table", why.to_string(), "")];
        }
    };
    let mut checks = vec![key(&table), billing(name, &table)];
    if !clients.is_local() {
        checks.push(protection(name, &table));
    }
    checks.push(expiry(clients, name).await);
    checks
}

fn key(table: &TableDescription) -> Check {
    let keys: Vec<_> = table.key_schema().iter().map(|key| (key.attribute_name(), key.key_type())).collect();
    let is_pk = keys == [("pk", &KeyType::Hash)];
    let is_text = table
        .attribute_definitions()
        .iter()
        .any(|attribute| attribute.attribute_name() == "pk" && *attribute.attribute_type() == ScalarAttributeType::S);
    if is_pk && is_text {
        return Check::ok("key", "pk, a string");
    }
    let found: Vec<_> = keys.iter().map(|(name, kind)| format!("{name} ({kind})")).collect();
    let of_text = if is_pk { ", not a string" } else { "" };
    Check::problem(
        "key",
        format!("it is {}{of_text}; the functions need pk, a string, alone", found.join(" and ")),
        "a table's key cannot be changed: let the template create the table, and use that one",
    )
}

fn billing(name: &str, table: &TableDescription) -> Check {
    // DynamoDB leaves the summary out of a table that always had provisioned capacity.
    let mode = table.billing_mode_summary().and_then(|summary| summary.billing_mode());
    if mode == Some(&BillingMode::PayPerRequest) {
        return Check::ok("billing", "per request");
    }
    Check::problem(
        "billing",
        "provisioned capacity: a burst beyond it is throttled, and answered 503",
        format!("aws dynamodb update-table --table-name {name} --billing-mode PAY_PER_REQUEST"),
    )
}

fn protection(name: &str, table: &TableDescription) -> Check {
    if table.deletion_protection_enabled() == Some(true) {
        return Check::ok("protection", "deletion protection is on");
    }
    Check::problem(
        "protection",
        "deletion protection is off: without its claims, every event of the last weeks could be queued again",
        format!("aws dynamodb update-table --table-name {name} --deletion-protection-enabled"),
    )
}

async fn expiry(clients: &Clients, name: &str) -> Check {
    let described = match clients.dynamodb.describe_time_to_live().table_name(name).send().await {
        Ok(described) => described.time_to_live_description,
        Err(error) => {
            let why = clients.failed(&format!("cannot read the expiry of the table {name}"), &error);
            return Check::unknown("expiry", why.to_string(), "");
        }
    };
    let on = described.filter(|expiry| {
        matches!(expiry.time_to_live_status(), Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling))
    });
    let enable = format!(
        "aws dynamodb update-time-to-live --table-name {name} --time-to-live-specification \
         Enabled=true,AttributeName=expires_at"
    );
    match on.as_ref().and_then(|expiry| expiry.attribute_name()) {
        Some("expires_at") => Check::ok("expiry", "by expires_at"),
        Some(other) => Check::problem(
            "expiry",
            format!("by {other}, which no claim has: no claim is ever deleted"),
            format!("disable that first (same command with Enabled=false,AttributeName={other}), then: {enable}"),
        ),
        None => Check::problem("expiry", "off: no claim is ever deleted, and the table grows", enable),
    }
}
