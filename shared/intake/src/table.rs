//! The claim protocol as DynamoDB calls. `claim.rs` has the same conditions as code: change both together.

use std::collections::HashMap;

use aws_sdk_dynamodb::{
    Client,
    config::retry::RetryConfig,
    error::{ProvideErrorMetadata, SdkError},
    operation::{put_item::PutItemError, update_item::UpdateItemError},
    types::{AttributeValue, ReturnValuesOnConditionCheckFailure},
};

use crate::{
    claim::{self, Claim, Refusal, State, Stored},
    lean::Ping,
    queue::error_name,
};

/// [`claim::admits`], evaluated by DynamoDB. Names with a `#` stand for its reserved words.
const ADMITS: &str = "attribute_not_exists(pk) OR expires_at < :now \
                      OR (#state = :claimed AND lease_until < :now_ms AND content = :content)";

/// [`claim::mine`], evaluated by DynamoDB.
const MINE: &str = "#owner = :owner AND #state = :claimed";

/// A call to DynamoDB that failed.
#[derive(Debug)]
pub(crate) struct TableError {
    /// DynamoDB refused the last attempt. An earlier one may have succeeded after all.
    pub refused: bool,
    /// The error's name.
    pub name: String,
}

/// The table of claims.
#[derive(Debug)]
pub(crate) struct Table {
    client: Client,
    name: String,
}

impl Table {
    pub fn new(client: Client, name: String) -> Self {
        Table { client, name }
    }

    /// Opens the connection without an API call: see [`Ping`].
    pub async fn connect(&self) {
        let once = aws_sdk_dynamodb::config::Builder::new().retry_config(RetryConfig::disabled());
        let call = self.client.update_item().table_name(&self.name);
        // Whatever the answer, there is a connection now. If there is none, the first claim reports what is wrong.
        let _ = call.customize().interceptor(Ping).config_override(once).send().await;
    }

    /// Writes the claim, unless the stored one forbids it. `now` is Unix milliseconds.
    pub async fn claim(&self, claim: &Claim, now: i64) -> Result<Result<(), Refusal>, TableError> {
        let written = self
            .client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(map([
                ("pk", text(&claim.key)),
                ("event_id", text(&claim.event_id)),
                ("owner", text(&claim.owner)),
                ("state", text("claimed")),
                ("content", text(&claim.content)),
                ("lease_until", number(claim.lease_until)),
                ("expires_at", number(claim.expires_at)),
            ])))
            .condition_expression(ADMITS)
            .expression_attribute_names("#state", "state")
            .set_expression_attribute_values(Some(map([
                (":now", number(now / 1000)),
                (":now_ms", number(now)),
                (":claimed", text("claimed")),
                (":content", text(&claim.content)),
            ])))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match written {
            Ok(_) => Ok(Ok(())),
            Err(error) => match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(refused)) => {
                    let stored = refused.item().and_then(Stored::read).ok_or_else(|| TableError {
                        refused: true,
                        name: "the claim in the table has not the form of one".to_owned(),
                    })?;
                    Ok(Err(claim::judge(&stored, claim, now)))
                }
                _ => Err(table_error(&error)),
            },
        }
    }

    /// Marks the claim as queued.
    pub async fn settle(&self, claim: &Claim, message_id: &str) -> Result<(), TableError> {
        let settled = self
            .client
            .update_item()
            .table_name(&self.name)
            .key("pk", text(&claim.key))
            .update_expression("SET #state = :queued, message_id = :message_id REMOVE lease_until")
            .condition_expression(MINE)
            .set_expression_attribute_names(Some(map([("#owner", "owner".to_owned()), ("#state", "state".to_owned())])))
            .set_expression_attribute_values(Some(map([
                (":owner", text(&claim.owner)),
                (":claimed", text("claimed")),
                (":queued", text("queued")),
                (":message_id", text(message_id)),
            ])))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match settled {
            Ok(_) => Ok(()),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(refused))
                    if claim::already_settled(refused.item().and_then(Stored::read).as_ref(), &claim.owner) =>
                {
                    Ok(())
                }
                _ => Err(table_error(&error)),
            },
        }
    }

    /// Moves the end of the lease, in Unix milliseconds, so that the platform's next attempt need not wait for it. The claim
    /// itself stays: see [`claim::RELEASED`].
    pub async fn release(&self, claim: &Claim, lease_until: i64) -> Result<(), TableError> {
        let released = self
            .client
            .update_item()
            .table_name(&self.name)
            .key("pk", text(&claim.key))
            .update_expression("SET lease_until = :lease_until")
            .condition_expression(MINE)
            .set_expression_attribute_names(Some(map([("#owner", "owner".to_owned()), ("#state", "state".to_owned())])))
            .set_expression_attribute_values(Some(map([
                (":owner", text(&claim.owner)),
                (":claimed", text("claimed")),
                (":lease_until", number(lease_until)),
            ])))
            .send()
            .await;
        match released {
            Ok(_) => Ok(()),
            // No claim, or not mine: there is no lease to end.
            Err(error)
                if matches!(error.as_service_error(), Some(UpdateItemError::ConditionalCheckFailedException(_))) =>
            {
                Ok(())
            }
            Err(error) => Err(table_error(&error)),
        }
    }
}

impl Stored {
    /// Reads an item of the table. None where this version cannot.
    #[must_use]
    pub fn read(item: &HashMap<String, AttributeValue>) -> Option<Self> {
        let text = |name: &str| item.get(name)?.as_s().ok().cloned();
        let number = |name: &str| item.get(name)?.as_n().ok()?.parse().ok();
        let state = match text("state")?.as_str() {
            "claimed" => State::Claimed { lease_until: number("lease_until")? },
            "queued" => State::Queued,
            _ => return None,
        };
        Some(Stored { owner: text("owner")?, state, content: text("content")?, expires_at: number("expires_at")? })
    }
}

/// For the builders' `set_…` methods: each single step of a builder would move the whole request.
fn map<V, const N: usize>(entries: [(&str, V); N]) -> HashMap<String, V> {
    entries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

fn number(value: i64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

fn table_error<E: ProvideErrorMetadata>(
    error: &SdkError<E, aws_sdk_dynamodb::config::http::HttpResponse>,
) -> TableError {
    let refused = match error {
        SdkError::ConstructionFailure(_) => true,
        SdkError::ServiceError(answer) => answer.raw().status().is_client_error(),
        _ => false,
    };
    TableError { refused, name: error_name(error) }
}
