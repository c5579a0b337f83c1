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
        let name = event_name(provider);
        let mut body = Body { provider, name, json: json!({}) };
        let time = match fields.time_format {
            TimeFormat::Unix => UNIX_TIME.into(),
            TimeFormat::Rfc3339 => TIME.into(),
            TimeFormat::Utc => TIME.trim_end_matches('Z').into(),
        };
        let given: Vec<_> = fields
            .name
            .member()
            .map(|path| (path, Value::from(name)))
            .into_iter()
            .chain([(fields.time, time)])
            .collect();
        let identity = match &provider.identity {
            Identity::Id(path) => std::slice::from_ref(path),
            Identity::Together(paths) => paths,
            Identity::SignedHeader | Identity::Content => &[],
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
            members.extend(paths.first().map(|path| (fields.in_object(path), value)));
        }
        members.extend(given.into_iter().map(|(path, value)| (path.to_owned(), value)));
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
        let payload = self.provider.fields.payload_member();
        self.with(&payload.map_or_else(|| "note".to_owned(), |payload| format!("{payload}.note")), note)
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
        self.at(&fields.in_object(path)).and_then(Value::as_str).unwrap()
    }

    pub fn json(&self) -> &Value {
        &self.json
    }

    pub fn text(&self) -> String {
        self.json.to_string()
    }

    /// The same with a member twice: no platform's event can be read from it.
    pub fn unreadable(&self) -> Vec<u8> {
        self.text().replacen('{', r#"{"twice":1,"twice":2,"#, 1).into_bytes()
    }

    pub fn bytes(&self) -> Vec<u8> {
        self.text().into_bytes()
    }
}

/// The name of the platform's event of a paid order, else of its first one.
pub fn event_name(provider: &Provider) -> &'static str {
    let paid = provider.events.iter().find(|(_, event_type)| *event_type == EventType::OrderPaid);
    paid.unwrap_or(&provider.events[0]).0
}

/// What of a body is the payload.
pub fn payload<'b>(provider: &Provider, body: &'b Value) -> &'b Value {
    provider.fields.payload_member().map_or(body, |member| &body[member])
}

/// The remark in a payload.
pub fn note(payload: &Value) -> &Value {
    &payload["note"]
}
