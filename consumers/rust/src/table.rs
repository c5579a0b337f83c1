//! The table of events: `pk` names one, `lease_until` is there until it is handled, `expires_at` is the table's TTL. Beside
//! them an item for each resource, with the state that its latest event left. `docs/contract/consumer.json` has the requests, by
//! which consumers of other languages can share the table.

use std::{collections::HashMap, fmt, time::Duration};

use aws_sdk_dynamodb::{
    error::{ProvideErrorMetadata, SdkError},
    operation::put_item::{PutItemError, builders::PutItemFluentBuilder},
    types::{AttributeValue, ReturnValuesOnConditionCheckFailure},
};
use hookgate_event::Event;

use crate::Consumer;

/// The right to work on an event, until Lambda has certainly stopped the invocation that holds it.
pub(crate) struct Lease {
    /// The invocation's request id.
    pub owner: String,
    /// Since 1970.
    pub until: Duration,
}

/// Whether the lease was granted.
pub(crate) enum Leased {
    Yes,
    Handled,
    ByAnother,
}

/// A call to the table failed. Says with which error, and quotes nothing of what was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableError {
    /// [DynamoDB's name](https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_PutItem.html#API_PutItem_Errors) of
    /// the error, like `ResourceNotFoundException`, or what kept the SDK from getting an answer.
    pub name: String,
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DynamoDB: {}", self.name)
    }
}

impl std::error::Error for TableError {}

impl From<SdkError<PutItemError>> for TableError {
    fn from(error: SdkError<PutItemError>) -> Self {
        let name = match &error {
            SdkError::ServiceError(_) => error.code().unwrap_or("an error without a name"),
            SdkError::TimeoutError(_) => "no answer in time",
            SdkError::DispatchFailure(_) => "no connection, or no credentials",
            SdkError::ResponseError(_) => "not an answer of DynamoDB",
            _ => "the request could not be built",
        };
        Self { name: name.to_owned() }
    }
}

/// The state of each resource, in the consumer's table. Passed to `handle`.
#[derive(Clone)]
pub struct State(Consumer);

impl State {
    pub(crate) fn of(consumer: &Consumer) -> Self {
        Self(consumer.clone())
    }

    /// **Latest wins**: keeps what the event says as its resource's state, unless a later event has been kept. Says whether it
    /// did. An event without a `subject` keeps nothing.
    ///
    /// One write decides and stores. If a question came first and the write after it, an older event could be asked about
    /// before, and written after, a later one. So put what else belongs to the state into the same item
    /// ([`State::keep_latest_with`]); or, if it is in another database, keep the sort key beside it and write under the same
    /// condition.
    ///
    /// # Errors
    /// The write failed.
    pub async fn keep_latest(&self, event: &Event<'_>) -> Result<bool, TableError> {
        self.keep_latest_with(event, HashMap::new()).await
    }

    /// [`State::keep_latest`], with attributes of your own in the item. Those of this crate's names are not written.
    ///
    /// # Errors
    /// The write failed.
    pub async fn keep_latest_with(
        &self,
        event: &Event<'_>,
        attributes: HashMap<String, AttributeValue>,
    ) -> Result<bool, TableError> {
        let Some(subject) = &event.subject else { return Ok(false) };
        let sort_key = text(&event.sort_key());
        // A source starts with a slash, so no event has this key.
        let put = self.0.put(&format!("latest {} {subject}", event.source), attributes);
        let put = put.item("sort_key", sort_key.clone()).item("type", text(event.event_type.as_str()));
        let put = match &event.data.status {
            Some(status) => put.item("status", text(status)),
            None => put,
        };
        // The same event passes again: its handling may have been cut short after this write.
        let put = put.condition_expression("attribute_not_exists(pk) OR sort_key <= :sort_key");
        match put.expression_attribute_values(":sort_key", sort_key).send().await {
            Ok(_) => Ok(true),
            Err(error) if is_refused(&error) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

impl Consumer {
    pub(crate) async fn lease(&self, key: &str, lease: &Lease) -> Result<Leased, TableError> {
        let now = self.now();
        let put = self
            .put(key, HashMap::new())
            .item("owner", text(&lease.owner))
            .item("lease_until", number(lease.until.as_millis()))
            // DynamoDB deletes expired items only days later.
            .condition_expression("attribute_not_exists(pk) OR expires_at < :now OR lease_until < :now_ms")
            .expression_attribute_values(":now", number(now.as_secs()))
            .expression_attribute_values(":now_ms", number(now.as_millis()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let Err(error) = put.send().await else { return Ok(Leased::Yes) };
        let Some(PutItemError::ConditionalCheckFailedException(refused)) = error.as_service_error() else {
            return Err(error.into());
        };
        // Without the old item nobody knows that the event was handled.
        let Some(item) = refused.item().filter(|item| !item.is_empty()) else { return Err(error.into()) };
        Ok(match (item.contains_key("lease_until"), item.get("owner")) {
            (false, _) => Leased::Handled,
            // Already ours: the write succeeded, its answer was lost, and the SDK tried again.
            (true, Some(AttributeValue::S(owner))) if *owner == lease.owner => Leased::Yes,
            (true, _) => Leased::ByAnother,
        })
    }

    pub(crate) async fn mark(&self, key: &str, lease: &Lease) -> Result<(), TableError> {
        let put =
            self.put(key, HashMap::new()).item("owner", text(&lease.owner)).condition_expression("#owner = :owner");
        let put = put.expression_attribute_names("#owner", "owner");
        put.expression_attribute_values(":owner", text(&lease.owner)).send().await?;
        Ok(())
    }

    fn put(&self, key: &str, attributes: HashMap<String, AttributeValue>) -> PutItemFluentBuilder {
        let expires_at = self.now().as_secs() + self.remember.as_secs();
        let put = self.client.put_item().table_name(&self.table).set_item(Some(attributes)).item("pk", text(key));
        put.item("expires_at", number(expires_at))
    }
}

fn is_refused(error: &SdkError<PutItemError>) -> bool {
    error.as_service_error().is_some_and(PutItemError::is_conditional_check_failed_exception)
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

fn number(value: impl Into<u128>) -> AttributeValue {
    AttributeValue::N(value.into().to_string())
}
