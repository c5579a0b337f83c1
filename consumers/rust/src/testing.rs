//! For the tests of your `handle`: real messages, and a table in memory. They need neither network nor AWS.
//!
//! ```
//! use hookgate_consumer::{Consumer, Error, Event, EventType, State, testing};
//!
//! async fn handle(event: Event<'static>, state: State) -> Result<(), Error> {
//!     state.keep_latest(&event).await?;
//!     Ok(())
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let table = testing::Table::new();
//! let consumer = Consumer::new(table.client(), "consumed");
//! let batch = testing::batch(&[EventType::OrderPaid, EventType::OrderCancelled]);
//! let answer = consumer.consume(testing::invocation("1", batch), &handle).await;
//! assert!(answer.batch_item_failures.is_empty());
//! // The two events, and the state of each resource.
//! assert!(table.items().values().all(|item| item.get("lease_until").is_none()));
//! # }
//! ```

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_lambda_events::sqs::SqsEvent;
use aws_sdk_dynamodb::{
    Client,
    config::{BehaviorVersion, Credentials, Region, retry::RetryConfig},
};
use aws_smithy_runtime_api::{
    client::{
        http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn},
        orchestrator::{HttpRequest, HttpResponse},
        result::ConnectorError,
    },
    http::StatusCode,
};
use hookgate_event::{Event, EventType};
use lambda_runtime::{Context, LambdaEvent};
use serde_json::{Value, json};

/// One real message for each of Hookgate's samples, in the form in which Lambda passes them.
///
/// # Panics
/// Never: the file is tested.
#[must_use]
pub fn messages() -> SqsEvent {
    serde_json::from_str(include_str!("../messages.json")).expect("messages.json is a batch")
}

/// A batch of the first real message of each of these types, in this order.
///
/// # Panics
/// No sample has one of the types.
#[must_use]
pub fn batch(types: &[EventType]) -> SqsEvent {
    let messages = messages();
    let first = |wanted: &EventType| {
        let is_wanted = |body: &str| Event::from_json(body).is_ok_and(|event| event.event_type == *wanted);
        let found = messages.records.iter().find(|message| message.body.as_deref().is_some_and(is_wanted));
        found.unwrap_or_else(|| panic!("no sample has the type {}", wanted.as_str())).clone()
    };
    let mut batch = SqsEvent::default();
    batch.records = types.iter().map(first).collect();
    batch
}

/// The batch as Lambda passes it, with 30 seconds left. Invocations with the same request id share their leases.
#[must_use]
pub fn invocation(request_id: &str, batch: SqsEvent) -> LambdaEvent<SqsEvent> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let deadline = u64::try_from((now + Duration::from_secs(30)).as_millis()).unwrap_or(u64::MAX);
    let mut context = Context::default();
    (context.request_id, context.deadline) = (request_id.to_owned(), deadline);
    LambdaEvent::new(batch, context)
}

/// What becomes of a call to the [`Table`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Fault {
    /// It is applied and answered.
    #[default]
    None,
    /// It fails and is not applied.
    Refused,
    /// Its condition fails. The answer has these members beside the error's name.
    Unmet(Value),
    /// It is applied, and its answer is lost.
    Unanswered,
    /// It is applied, its answer is lost, and the SDK tries again.
    Repeated,
    /// The process dies before it is applied: the call never returns.
    DiesBefore,
    /// The process dies after it was applied: the call never returns.
    DiesAfter,
}

/// A table in memory that understands the requests of this crate. Clones share their items.
#[derive(Clone, Default)]
pub struct Table(Arc<Mutex<Content>>);

#[derive(Default)]
struct Content {
    items: BTreeMap<String, Value>,
    requests: Vec<Value>,
    fault: Option<FaultOf>,
}

type FaultOf = Box<dyn Fn(&Value) -> Fault + Send>;

impl Table {
    /// An empty table. It answers to every name.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A client whose calls end here. It does not retry.
    #[must_use]
    pub fn client(&self) -> Client {
        let connector = SharedHttpConnector::new(self.clone());
        let config = aws_sdk_dynamodb::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static("us-east-1"))
            .credentials_provider(Credentials::for_tests())
            .retry_config(RetryConfig::disabled())
            .http_client(http_client_fn(move |_, _| connector.clone()));
        Client::from_conf(config.build())
    }

    /// The items, by `pk`, in [DynamoDB's JSON](https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.LowLevelAPI.html).
    #[must_use]
    pub fn items(&self) -> BTreeMap<String, Value> {
        self.content(|content| content.items.clone())
    }

    /// The requests so far, in their order, in DynamoDB's JSON.
    #[must_use]
    pub fn requests(&self) -> Vec<Value> {
        self.content(|content| content.requests.clone())
    }

    /// Lets calls fail: `fault` is asked before each one.
    pub fn fail(&self, fault: impl Fn(&Value) -> Fault + Send + 'static) {
        self.content(|content| content.fault = Some(Box::new(fault)));
    }

    fn content<T>(&self, of: impl FnOnce(&mut Content) -> T) -> T {
        of(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Content {
    fn call(&mut self, request: Value) -> (Fault, Result<(), Value>) {
        let fault = self.fault.as_ref().map_or(Fault::None, |fault| fault(&request));
        let mut answer = match &fault {
            Fault::Refused | Fault::DiesBefore => Ok(()),
            Fault::Unmet(members) => Err(unmet(members.clone())),
            _ => self.put(&request),
        };
        if fault == Fault::Repeated {
            answer = self.put(&request);
        }
        self.requests.push(request);
        (fault, answer)
    }

    /// `PutItem`, or the error.
    fn put(&mut self, request: &Value) -> Result<(), Value> {
        let invalid = || json!({"__type": "ValidationException", "message": "not a request of a consumer"});
        let pk = request["Item"]["pk"]["S"].as_str().ok_or_else(invalid)?;
        let old = self.items.get(pk);
        if !holds(request, old).ok_or_else(invalid)? {
            let asked_for = request["ReturnValuesOnConditionCheckFailure"] == "ALL_OLD";
            return Err(unmet(if asked_for { json!({"Item": old}) } else { json!({}) }));
        }
        self.items.insert(pk.to_owned(), request["Item"].clone());
        Ok(())
    }
}

fn unmet(mut error: Value) -> Value {
    error["__type"] = "ConditionalCheckFailedException".into();
    error["message"] = "The conditional request failed".into();
    error
}

/// Whether the condition holds for the old item: alternatives, each `attribute_not_exists(NAME)` or `NAME OPERATOR :VALUE`.
fn holds(request: &Value, old: Option<&Value>) -> Option<bool> {
    let alternative = |condition: &str| {
        let mut words = condition.split(' ');
        let first = words.next()?;
        if let Some(name) = first.strip_prefix("attribute_not_exists(") {
            return Some(old.is_none_or(|old| old[name.trim_end_matches(')')].is_null()));
        }
        let name = request["ExpressionAttributeNames"][first].as_str().unwrap_or(first);
        let (operator, value) = (words.next()?, &request["ExpressionAttributeValues"][words.next()?]);
        let order = match (old.map_or(&Value::Null, |old| &old[name]), value) {
            (Value::Null, _) => return Some(false),
            (Value::Object(old), Value::Object(value)) => match (old.get("N"), value.get("N")) {
                (Some(old), Some(value)) => {
                    let number = |number: &Value| number.as_str()?.parse::<i64>().ok();
                    number(old)?.cmp(&number(value)?)
                }
                // Byte by byte.
                _ => old.get("S")?.as_str()?.cmp(value.get("S")?.as_str()?),
            },
            _ => return None,
        };
        match operator {
            "=" => Some(order.is_eq()),
            "<" => Some(order.is_lt()),
            "<=" => Some(order.is_le()),
            _ => None,
        }
    };
    let Some(condition) = request["ConditionExpression"].as_str() else { return Some(true) };
    let alternatives: Option<Vec<bool>> = condition.split(" OR ").map(alternative).collect();
    Some(alternatives?.contains(&true))
}

impl HttpConnector for Table {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let is_put = request.headers().get("x-amz-target") == Some("DynamoDB_20120810.PutItem");
        let body = request.body().bytes().filter(|_| is_put).and_then(|body| serde_json::from_slice(body).ok());
        let (fault, answer) = self.content(|content| content.call(body.unwrap_or_default()));
        let (status, body) = match answer {
            Ok(()) => (200, json!({})),
            Err(error) => (400, error),
        };
        HttpConnectorFuture::new(async move {
            match fault {
                Fault::None | Fault::Repeated | Fault::Unmet(_) => {
                    let status = StatusCode::try_from(status).expect("a status");
                    Ok(HttpResponse::new(status, body.to_string().into()))
                }
                Fault::Refused | Fault::Unanswered => Err(ConnectorError::io("the table's fault".into())),
                Fault::DiesBefore | Fault::DiesAfter => std::future::pending().await,
            }
        })
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").finish_non_exhaustive()
    }
}
