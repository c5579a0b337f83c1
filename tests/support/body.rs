//! A delivery's body for any platform, built from what its data says.

use hookgate_event::EventType;
use hookgate_verify::{
    Provider,
    providers::{Identity, Paths, TimeFormat},
};
use serde_json::{Map, Value, json};

/// When every event here happened.
pub const TIME: &str = "2025-01-11T16:00:00Z";
const UNIX_TIME: u64 = 1_736_611_200;

/// A readable body. Members in the order of their names.
#[derive(Clone)]
pub struct Body {
    provider: &'static Provider,
    /// The event's name: a paid order's, where the platform has one.
    pub name: &'static str,
    json: Value,
}

impl Body {
    /// An event with every fact that the platform's data has a place for. `id` tells it from every other.
    pub fn new(provider: &'static Provider, id: &str) -> Self {
        let fields = &provider.fields;
        let paid = provider.events.iter().find(|(_, event_type)| *event_type == EventType::OrderPaid);
        let (name, _) = paid.unwrap_or(&provider.events[0]);
        let mut body = Body { provider, name, json: json!({}) };
        let time = match fields.time_format {
            TimeFormat::Unix => UNIX_TIME.into(),
            TimeFormat::Rfc3339 => TIME.into(),
        };
        let given = [(fields.name, Value::from(*name)), (fields.time, time)];
        let identity = match &provider.identity {
            Identity::Id(path) => std::slice::from_ref(path),
            Identity::Together(paths) => paths,
            Identity::SignedHeader(_) | Identity::Content => &[],
        };
        let named = identity.iter().filter(|path| given.iter().all(|(other, _)| other != *path));
        let mut members: Vec<_> = named.map(|path| ((*path).to_owned(), id.into())).collect();
        let facts: [(Paths, Value); 5] = [
            (fields.resource_paths(provider.kind(name)), format!("8f3e-{id}").into()),
            (fields.amount, 5500.into()),
            (fields.currency, "USD".into()),
            (fields.customer, "cust_123".into()),
            (fields.status, "open".into()),
        ];
        for (paths, value) in facts {
            members.extend(paths.first().map(|path| (format!("{}.{path}", fields.object), value)));
        }
        members.extend(given.map(|(path, value)| (path.to_owned(), value)));
        for (path, value) in members {
            // Two facts can stand at one place: what tells events apart comes first.
            if body.at(&path).is_none() {
                body = body.with(&path, value);
            }
        }
        body
    }

    /// With this value at a dotted path.
    pub fn with(mut self, path: &str, value: impl Into<Value>) -> Self {
        let place = path.split('.').fold(&mut self.json, |json, name| {
            let members = match json {
                Value::Object(members) => members,
                other => {
                    *other = Map::new().into();
                    other.as_object_mut().unwrap()
                }
            };
            members.entry(name).or_insert(Value::Null)
        });
        *place = value.into();
        self
    }

    /// With a remark in the payload that no fact is read from: it tells contents apart.
    pub fn note(self, note: impl Into<Value>) -> Self {
        let path = format!("{}.note", self.provider.fields.payload());
        self.with(&path, note)
    }

    /// Without this member of the envelope.
    pub fn without(mut self, member: &str) -> Self {
        self.json.as_object_mut().unwrap().remove(member);
        self
    }

    /// What stands at a dotted path.
    pub fn at(&self, path: &str) -> Option<&Value> {
        self.json.pointer(&format!("/{}", path.replace('.', "/")))
    }

    /// The id of what the event is about.
    pub fn resource(&self) -> &str {
        let fields = &self.provider.fields;
        let path = fields.resource_paths(self.provider.kind(self.name))[0];
        self.at(&format!("{}.{path}", fields.object)).and_then(Value::as_str).unwrap()
    }

    pub fn text(&self) -> String {
        self.json.to_string()
    }

    pub fn bytes(&self) -> Vec<u8> {
        self.text().into_bytes()
    }
}

/// The remark in a payload.
pub fn note(payload: &Value) -> &Value {
    &payload["note"]
}
