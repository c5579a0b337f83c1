//! `docs/contract` says what the code does: its lists are the code's own, and whatever an authentic delivery says, the
//! event that is made of it keeps to the schema.
//!
//! `UPDATE_CONTRACT=1 cargo test -p hookgate --test contract` writes the lists again.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use aws_sdk_sqs::types::{MessageAttributeValue, MessageSystemAttributeName, QueueAttributeName};
use hookgate::{
    client::messages,
    commands::register,
    json::{Escapes, Json, Space, Style},
    local::engines::{self, Engines, any_port},
    local::{Local, SecretsFile},
    send::samples,
};
use hookgate_event::EventType;
use hookgate_intake::MAX_MESSAGE_BYTES;
use hookgate_verify::{
    Account, Delivery, Provider, Scheme, Secrets, Verifier,
    providers::{self, Fields, Identity, Name, Ping, Retries, TimeFormat},
};
use http::{HeaderMap, HeaderName};
use jsonschema::Validator;
use proptest::{prelude::*, sample::select};
use serde_json::{Value, json};
use time::OffsetDateTime;

mod support;
mod vectors;

use support::{in_object, with_ids};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/contract").join(name)
}

fn read(name: &str) -> String {
    std::fs::read_to_string(file(name)).unwrap()
}

/// The file is as the code would write it, or is written.
fn written(name: &str, text: &str) {
    if std::env::var_os("UPDATE_CONTRACT").is_some() {
        // By renaming, because another test may be reading it.
        let draft = file(&format!("../../target/{}", name.replace('/', "_")));
        std::fs::write(&draft, text).unwrap();
        std::fs::rename(&draft, file(name)).unwrap();
    } else {
        let remedy = "write it again with UPDATE_CONTRACT=1 cargo test -p hookgate --test contract";
        assert!(read(name) == text, "docs/contract/{name} is not what the code does: {remedy}");
    }
}

/// The schema with the lists as the code has them.
fn schema() -> String {
    let mut schema = Json::parse(read("event.schema.json").as_bytes()).expect("JSON");
    let list = |names: &mut dyn Iterator<Item = &str>| Json::Array(names.map(Json::text).collect());
    let kinds: BTreeSet<_> = EventType::ALL.iter().filter_map(|known| known.resource_kind()).collect();
    for (path, names) in [
        ("type", list(&mut EventType::ALL.iter().map(|known| known.as_str()))),
        ("provider", list(&mut providers::ALL.iter().map(|provider| provider.name))),
    ] {
        schema.set(&format!("properties.{path}.anyOf.0.enum"), names).unwrap();
    }
    // Open: an event that is not in the table has a kind of its own.
    let kind = "properties.data.properties.resource.properties.kind.examples";
    schema.set(kind, list(&mut kinds.into_iter())).unwrap();
    let style = Style { space: Space::Lines(2), escapes: Escapes::Kept, sorted: false };
    schema.write(style) + "\n"
}

#[test]
fn the_schema_lists_what_the_code_knows() {
    written("event.schema.json", &schema());
}

#[test]
fn the_table_of_events_is_the_codes() {
    let mut text = "\
# What every platform's events are called

<!-- Written by cli/tests/contract.rs from the code's own tables. -->

`type` is the same for all platforms; `providertype` keeps the platform's own name. What each type means:
[`event_type.rs`](../../shared/event/src/event_type.rs). An event that stands in no table below is queued as
`commerce.unrecognized`, with its whole payload; its subject's kind is the first word of the platform's own name.
"
    .to_owned();
    for provider in providers::ALL {
        write!(text, "\n## {}\n\n| event | type | subject |\n|---|---|---|\n", provider.name).unwrap();
        for (name, event_type) in provider.events {
            let kind = event_type.resource_kind().unwrap();
            writeln!(text, "| `{name}` | `{}` | `{kind}/…` |", event_type.as_str()).unwrap();
        }
    }
    text += "\n## Who sends which type\n\n| type | platforms |\n|---|---|\n";
    for event_type in EventType::ALL.iter().filter(|known| **known != EventType::Unrecognized) {
        let sends = |provider: &&&Provider| provider.events.iter().any(|(_, sent)| sent == event_type);
        let senders: Vec<_> = providers::ALL.iter().filter(sends).map(|provider| provider.name).collect();
        assert!(!senders.is_empty(), "no platform sends {event_type:?}");
        writeln!(text, "| `{}` | {} |", event_type.as_str(), senders.join(", ")).unwrap();
    }
    text += "\n## Which comes later at the same time\n\nThe [stage](../consume.md#latest-wins) breaks ties of time, and nothing else.\n\n\
             | stage | types |\n|---|---|\n";
    let mut stages: BTreeMap<u8, Vec<String>> = BTreeMap::new();
    for event_type in EventType::ALL {
        stages.entry(event_type.stage()).or_default().push(format!("`{}`", event_type.as_str()));
    }
    for (stage, types) in stages {
        writeln!(text, "| {stage} | {} |", types.join(", ")).unwrap();
    }
    written("events.md", &text);
}

mod order;

/// For verifiers in other languages: tests/vectors.mjs, .py and .php are three.
#[test]
fn the_vectors_are_what_the_verifier_says() {
    let vectors = Json::parse(vectors::vectors().to_string().as_bytes()).expect("JSON");
    let style = Style { space: Space::Lines(1), escapes: Escapes::Kept, sorted: true };
    written("vectors.json", &(vectors.write(style) + "\n"));
}

/// What a page has by hand stands around these two lines.
const GENERATED: [&str; 2] = ["<!-- Generated from the platform's data. -->\n", "<!-- End of what is generated. -->\n"];

/// The page with what is generated as the code would write it.
fn generated(name: &str, text: &str) {
    let page = read(name);
    let parts = page.split_once(GENERATED[0]).and_then(|(head, rest)| Some((head, rest.split_once(GENERATED[1])?.1)));
    let (head, tail) = parts.unwrap_or_else(|| panic!("docs/contract/{name} lacks one of the lines {GENERATED:?}"));
    written(name, &format!("{head}{}\n{text}\n{}{tail}", GENERATED[0], GENERATED[1]));
}

/// How an endpoint is set up, what is signed, what becomes of the events, and how often a delivery comes again.
#[test]
fn every_platforms_page_says_what_its_data_say() {
    for provider in providers::ALL {
        let text = format!(
            "## Set up\n\n{}\nFrom the platform's documentation: <{}>\n\n## What is signed\n\n{}\n## What its events become\n\n{}\n\
             ## Deadline and retries\n\n{}",
            register::set_up(provider, &register::example(provider), &Account::default(), None),
            provider.documentation,
            what_is_signed(provider),
            what_events_become(provider),
            deadline_and_retries(provider),
        );
        generated(&format!("../providers/{}.md", provider.name), &text);
    }
}

fn what_is_signed(provider: &Provider) -> String {
    let mut text = String::from("| scheme | signature | over | expires |\n|---|---|---|---|\n");
    let mut known = BTreeSet::new();
    for scheme in provider.schemes().filter(|scheme| known.insert(scheme.name)) {
        let expires =
            scheme.time.map_or_else(|| "never".to_owned(), |time| format!("after {}", duration(time.tolerance)));
        writeln!(text, "| `{}` | {} | `{}` | {expires} |", scheme.name, in_words(scheme), scheme.describe_signed())
            .unwrap();
    }
    writeln!(text, "\nA wrong signature is answered {}.", provider.rejected_status).unwrap();
    if let Some(headers) = list(&id_headers(provider)) {
        writeln!(text, "{headers} is the delivery's id: 1 to 128 letters, digits, `_` or `-`.").unwrap();
    }
    let times: BTreeSet<_> = provider.schemes().filter_map(|scheme| scheme.time?.header).collect();
    if let Some(headers) = list(&times.into_iter().collect::<Vec<_>>()) {
        writeln!(text, "{headers} is the time in seconds; where the signature has it too, both must be equal.")
            .unwrap();
    }
    let accepted = |schemes: &[Scheme]| {
        let names: Vec<_> = schemes.iter().map(|scheme| format!("`{}`", scheme.name)).collect();
        names.join(" and ")
    };
    if let Some(setting) = provider.setting {
        writeln!(text, "\n| `{setting}` | accepts |\n|---|---|").unwrap();
        for (number, (value, schemes)) in provider.modes.iter().enumerate() {
            let default = if number == 0 { " (default)" } else { "" };
            writeln!(text, "| `{value}`{default} | {} |", accepted(schemes)).unwrap();
        }
    }
    if provider.modes.iter().any(|(_, schemes)| schemes.len() > 1) {
        text += "\nWhere several are accepted, the first one whose signature is there decides alone: a wrong one is not given a \
                 second chance as another.\n";
    }
    if let Some(Ping { field }) = provider.deliveries.ping {
        writeln!(
            text,
            "\nA form (`application/x-www-form-urlencoded`) of exactly `{field}=` and digits, without a signature, is how the \
             platform tries the address: it is answered 200 `ping`, and nothing is claimed or queued."
        )
        .unwrap();
    }
    if let Some(headers) = list(provider.deliveries.not_a_webhook) {
        writeln!(text, "\nA request with {headers} is not a webhook: it is rejected, and logged as `not_a_webhook`.")
            .unwrap();
    }
    text
}

/// The scheme in words, what is code as code.
fn in_words(scheme: &Scheme) -> String {
    let place = match (scheme.signature_header(), scheme.signature_member()) {
        (Some(name), _) => format!("in the header `{name}`"),
        (None, Some(name)) => format!("in the body's top-level member `{name}`"),
        (None, None) => unreachable!("a signature stands somewhere"),
    };
    let key = match scheme.key_prefix() {
        "" => String::new(),
        prefix => format!(" with the key that stands in base64 behind `{prefix}`"),
    };
    format!("HMAC-{}{key}, `{}` {place}", scheme.hash.name(), scheme.describe_form())
}

fn duration(seconds: u64) -> String {
    match (seconds / 3600, seconds % 3600 / 60, seconds % 60) {
        (hours @ 1.., 0, 0) => format!("{hours} h"),
        (0, minutes @ 1.., 0) => format!("{minutes} min"),
        _ => format!("{seconds} s"),
    }
}

/// Alternatives in words, as code. None where there are none.
fn list(names: &[impl AsRef<str>]) -> Option<String> {
    let names: Vec<_> = names.iter().map(|name| format!("`{}`", name.as_ref())).collect();
    (!names.is_empty()).then(|| names.join(" or "))
}

/// The headers in which the platform's schemes sign the delivery's id.
fn id_headers(provider: &Provider) -> Vec<&'static str> {
    let headers: BTreeSet<_> = provider.schemes().filter_map(Scheme::id_header).collect();
    headers.into_iter().collect()
}

fn what_events_become(provider: &Provider) -> String {
    let fields = &provider.fields;
    let object = |paths: &[&str]| {
        let paths: Vec<_> = paths.iter().map(|path| format!("`{}`", in_object(provider, path))).collect();
        paths.join(", else ")
    };
    let id = match provider.identity {
        Identity::Id(path) => format!("`{path}`"),
        Identity::Together(paths) => {
            format!("a hash of {}: the platform gives its events no id", list(paths).unwrap().replace(" or ", ", "))
        }
        Identity::SignedHeader => format!("the signed header {}", list(&id_headers(provider)).unwrap()),
        Identity::Content => "the SHA-256 of the signed body: the platform gives its events no signed id".to_owned(),
    };
    let name = match fields.name {
        Name::Member(path) => format!("`{path}`"),
        Name::UnsignedHeader(header) => format!("the header `{header}`, which is **not signed**"),
    };
    let time = match fields.time_format {
        TimeFormat::Unix => "Unix time, seconds or milliseconds by its size",
        TimeFormat::Rfc3339 => "RFC 3339",
        TimeFormat::Utc => "RFC 3339 without an offset, in UTC",
    };
    let kinds = fields.resource.iter().map(|(kind, paths)| match *kind {
        "" => object(paths),
        kind => format!("{} where the event is about a {kind}", object(paths)),
    });
    let mut rows = vec![
        ("`id`", id),
        ("`time`", format!("`{}`: {time}", fields.time)),
        ("`providertype`", name),
        ("resource", kinds.collect::<Vec<_>>().join("; ")),
    ];
    if !fields.amount.is_empty() {
        let unit = if matches!(fields.unit, hookgate_event::Unit::Minor) { "minor" } else { "major" };
        let currency = match fields.currency {
            [] => "no currency".to_owned(),
            paths => format!("currency from {}", object(paths)),
        };
        rows.push(("amount", format!("{} in **{unit}** units, {currency}", object(fields.amount))));
    }
    rows.extend(
        [("customer", fields.customer), ("status", fields.status)]
            .iter()
            .filter(|(_, paths)| !paths.is_empty())
            .map(|(name, paths)| (*name, object(paths))),
    );
    if let Some(headers) = list(&id_headers(provider)) {
        rows.push(("`deliveryid`", format!("{headers}, where it is signed")));
    }
    let mut text = "| | from |\n|---|---|\n".to_owned();
    for (what, from) in rows {
        writeln!(text, "| {what} | {from} |").unwrap();
    }
    let Fields { object, .. } = fields;
    let (payload, inside) = match fields.payload_member() {
        Some(payload) => (format!("the whole of `{payload}`"), payload != *object),
        None => ("the whole body".to_owned(), !object.is_empty()),
    };
    let inside = if inside { format!(", with `{object}` in it") } else { String::new() };
    if let Some(header) = fields.name.unsigned_header() {
        writeln!(
            text,
            "\n**The name is not signed.** Who has captured a delivery can have it queued once more under every other name that \
             he writes into `{header}`; its content is what was signed. The platform may rightly send the same bytes under \
             several names, so the name is part of the `id`. Let the payload decide about what matters, as by its status. A \
             delivery without one such header, of 1 to 256 visible ASCII characters without a comma, goes to quarantine \
             (`event_name`)."
        )
        .unwrap();
    }
    writeln!(
        text,
        "\nThe payload is {payload}{inside}. Names and types: [events](../contract/events.md#{}).",
        provider.name
    )
    .unwrap();
    text
}

fn deadline_and_retries(provider: &Provider) -> String {
    let deadline = provider.deliveries.deadline.map_or_else(
        || "The platform documents no deadline for an answer.".to_owned(),
        |seconds| format!("The platform waits {} for an answer.", duration(seconds.into())),
    );
    let retries = match provider.deliveries.retries {
        Retries::Unknown => {
            "It documents no retries: a delivery that was answered 503 may or may not come again.".to_owned()
        }
        _ => format!("After a failed attempt it sends again: {}.", retries(provider)),
    };
    format!("{deadline} {retries} Hookgate answers within 5 s.\n")
}

fn retries(provider: &Provider) -> String {
    match provider.deliveries.retries {
        Retries::Unknown => "not documented".to_owned(),
        Retries::Times(times) => format!("{times} times, at undocumented intervals"),
        Retries::For(seconds) => format!("for {}", duration(seconds.into())),
        Retries::After(delays) => {
            let delays: Vec<_> = delays.iter().map(|seconds| duration(u64::from(*seconds))).collect();
            format!("{} times, after {}", delays.len(), delays.join(", "))
        }
    }
}

#[test]
fn the_index_lists_every_platform() {
    let mut text =
        "| | signature | a wrong one is answered | expires | deadline | retries |\n|---|---|---|---|---|---|\n"
            .to_owned();
    for provider in providers::ALL {
        let schemes = provider.default_schemes();
        let places: Vec<_> = schemes
            .iter()
            .map(|scheme| match scheme.signature_header() {
                Some(_) => "in a header".to_owned(),
                None => "in the **body**".to_owned(),
            })
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect();
        let expires: Vec<_> = schemes
            .iter()
            .filter_map(|scheme| Some((scheme.name, scheme.time?)))
            .map(|(name, time)| format!("`{name}`: after {}", duration(time.tolerance)))
            .collect();
        let Provider { name, title, rejected_status, .. } = provider;
        let places = places.join(", ");
        let expires = if expires.is_empty() { "never".to_owned() } else { expires.join(", ") };
        let deadline = provider.deliveries.deadline.map_or_else(|| "not documented".to_owned(), |s| duration(s.into()));
        let retries = retries(provider);
        writeln!(
            text,
            "| [{title}](providers/{name}.md) | {places} | {rejected_status} | {expires} | {deadline} | {retries} |"
        )
        .unwrap();
    }
    generated("../README.md", &text);
}

#[test]
fn the_verifiers_readme_lists_every_platform() {
    let mut text = "| | signature | expires | name | a rejection is answered |\n|---|---|---|---|---|\n".to_owned();
    for provider in providers::ALL {
        let Provider { name, title, documentation, rejected_status, .. } = provider;
        let each = |say: &dyn Fn(&Scheme) -> String| {
            let said: Vec<_> = provider.default_schemes().iter().map(say).collect();
            // Once where it is the same for all.
            if said.iter().all(|other| *other == said[0]) { said[0].clone() } else { said.join("; ") }
        };
        let signature = each(&|scheme| {
            let place = match scheme.signature_header() {
                Some(header) => format!("`{header}`"),
                None => format!("the body's member `{}`", scheme.signature_member().unwrap_or_default()),
            };
            format!("{place}, HMAC-{}", scheme.hash.name())
        });
        let expires = each(&|scheme| {
            scheme.time.map_or("never".to_owned(), |time| format!("after {}", duration(time.tolerance)))
        });
        let signed = if provider.fields.name.unsigned_header().is_some() { "**not signed**" } else { "signed" };
        writeln!(
            text,
            "| [{title}]({documentation}), `{name}` | {signature} | {expires} | {signed} | {rejected_status} |"
        )
        .unwrap();
    }
    generated("../../shared/verify/README.md", &text);
}

/// What the queue's description says, from a message that really went over a queue.
struct Queued {
    /// The queue's URL, without scheme and address.
    path: String,
    /// How often a message is received before it is a dead letter.
    receives: u64,
    /// The message attributes' names and values, in the event's order.
    attributes: Vec<(String, String)>,
    event: String,
}

/// The first sample that says of whom and how much, and its event.
fn example() -> (samples::Sample, String) {
    let mut all = read_samples().into_iter().zip(sample_events());
    let says_much = |event: &str| ["amount", "customer"].iter().all(|name| event.contains(&format!("\"{name}\":{{")));
    all.find_map(|(sample, (_, [event, _]))| says_much(&event).then_some((sample, event))).expect("a telling sample")
}

/// Sends one sample through the local intake and receives what comes of it.
async fn queued() -> Queued {
    let (sample, event) = example();
    let engines = Engines::anywhere().await.unwrap();
    let resources = engines::provision(&engines).await.unwrap();
    let secrets = SecretsFile::read(&file("../../events/secrets.json")).unwrap();
    let local = Local::start(any_port().await.unwrap(), &engines, &resources, &secrets).await.unwrap();
    let outgoing = sample.signed(OffsetDateTime::now_utc(), None);
    let mut request = reqwest::Client::new().post(local.url() + &sample.path).body(outgoing.body);
    for (name, value) in outgoing.headers {
        request = request.header(name, value);
    }
    assert!(request.send().await.unwrap().text().await.unwrap().contains("queued"));

    let (sqs, url) = (engines.sqs(), resources.events_url);
    let receive = sqs.receive_message().queue_url(&url).message_attribute_names("All");
    let batch = receive.message_system_attribute_names(MessageSystemAttributeName::All).send().await.unwrap();
    let message = batch.messages.unwrap().remove(0);
    let group = &message.attributes().unwrap()[&MessageSystemAttributeName::MessageGroupId];
    assert_eq!(*group, format!("{}/default", sample.provider.name));
    let sent: Value = serde_json::from_str(&event).unwrap();
    let attribute = |(name, attribute): (&String, &MessageAttributeValue)| {
        assert_eq!(attribute.data_type(), "String", "{name}");
        assert_eq!(sent[name], attribute.string_value().unwrap(), "{name} is that of the event");
        (name.clone(), attribute.string_value().unwrap().to_owned())
    };
    let mut attributes: Vec<_> = message.message_attributes().unwrap().iter().map(attribute).collect();
    attributes.sort_by_key(|(name, _)| event.find(&format!("\"{name}\":")));
    let look = sqs.get_queue_attributes().queue_url(&url).attribute_names(QueueAttributeName::RedrivePolicy);
    let looked = look.send().await.unwrap().attributes.unwrap();
    let redrive: Value = serde_json::from_str(&looked[&QueueAttributeName::RedrivePolicy]).unwrap();

    // On AWS the queue is what the template says.
    let template = read("../../template.yaml");
    let resource = template.split("\n  EventsQueue:\n").nth(1).and_then(|rest| rest.split("\n\n").next()).unwrap();
    let setting = |name: &str| -> u64 {
        let value = resource.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(": "));
        value.and_then(|value| value.split(' ').next()?.parse().ok()).unwrap_or_else(|| panic!("no {name}"))
    };
    let receives = setting("maxReceiveCount");
    assert_eq!(redrive["maxReceiveCount"], receives);
    assert_eq!(setting("MaximumMessageSize"), MAX_MESSAGE_BYTES as u64);
    Queued { path: url.splitn(4, '/').last().unwrap().to_owned(), receives, attributes, event }
}

#[tokio::test]
async fn the_queue_is_described_as_the_code_uses_it() {
    const LOCAL: &str = "127.0.0.1:9002";
    const OUTPUT: &str = "EventsQueueUrl";
    assert!(read("../../template.yaml").contains(&format!("\n  {OUTPUT}:\n")), "the template has no such output");
    let (sample, _) = example();
    let (example, title) = (sample.name.replace('/', "-"), sample.provider.title);
    let Queued { path, receives, attributes, event } = queued().await;
    let queue = messages::name(&path);
    let most = format!("{} MiB ({MAX_MESSAGE_BYTES} bytes)", MAX_MESSAGE_BYTES >> 20);
    let names: Vec<_> = attributes.iter().map(|(name, _)| &name[..]).collect();
    let required = names.join(", ");
    let (mut headers, mut values) = (String::new(), String::new());
    for (name, value) in &attributes {
        write!(headers, "\n          {name}:\n            $ref: \"./event.schema.json#/properties/{name}\"").unwrap();
        write!(values, "\n            {name}: {value}").unwrap();
    }
    let (version, license) = (env!("CARGO_PKG_VERSION"), env!("CARGO_PKG_LICENSE"));
    let text = format!(
        r##"# Written by cli/tests/contract.rs from what the code sends.
asyncapi: 3.0.0
info:
  title: Hookgate
  version: {version}
  description: >-
    Webhook intake for e-commerce platforms. Whichever platform spoke, consumers read one form of event from one queue.
  license:
    name: {license}
defaultContentType: application/json

servers:
  aws:
    host: sqs.{{region}}.amazonaws.com
    protocol: sqs
    description: The queue's address is the output {OUTPUT} of the stack.
    variables:
      region:
        description: The region of the stack.
  local:
    host: {LOCAL}
    protocol: sqs
    description: The local intake, `cargo run`. The queue's address is http://{LOCAL}/{path}.

channels:
  events:
    address: {queue}
    title: Every event of every platform
    description: >-
      A standard queue: at least once, in no order. Deduplicate on source and id. A message that has been received
      {receives} times and not been deleted goes to the dead letters.
    messages:
      event:
        $ref: "#/components/messages/event"

operations:
  queue:
    action: send
    summary: Queue an event that its platform was proved to have sent.
    channel:
      $ref: "#/channels/events"
    messages:
      - $ref: "#/channels/events/messages/event"

components:
  messages:
    event:
      name: event
      title: An event
      summary: CloudEvents 1.0 in structured mode, at most {most} with its attributes.
      contentType: application/json
      headers:
        description: >-
          SQS message attributes, each of the type String, for filters. The MessageGroupId is {{provider}}/{{account}}, so that
          no shop waits for another's flood. The system attribute AWSTraceHeader carries the X-Ray trace, if there is one.
        type: object
        required: [{required}]
        properties:{headers}
      payload:
        $ref: "./event.schema.json"
      correlationId:
        description: The same for every copy of an event within one source.
        location: $message.payload#/id
      examples:
        - name: {example}
          summary: What becomes of a sample of {title}.
          headers:{values}
          payload: {event}
"##
    );
    written("asyncapi.yaml", &text);
}

/// The schema as published, and closed: what this version knows and nothing else, so that nothing is left undescribed.
static SCHEMAS: LazyLock<[Validator; 2]> = LazyLock::new(|| {
    let published: Value = serde_json::from_str(&schema()).unwrap();
    let mut closed = published.clone();
    close(&mut closed);
    [published, closed].map(|schema| jsonschema::draft202012::new(&schema).unwrap())
});

fn close(schema: &mut Value) {
    let Some(schema) = schema.as_object_mut() else { return };
    if let Some(known) = schema.remove("anyOf") {
        schema.insert("enum".into(), known[0]["enum"].clone());
    }
    if let Some(members) = schema.get_mut("properties") {
        members.as_object_mut().unwrap().values_mut().for_each(close);
        schema.insert("additionalProperties".into(), false.into());
    }
}

fn assert_valid(event: &str) {
    let event: Value = serde_json::from_str(event).unwrap();
    for schema in SCHEMAS.iter() {
        let complaints: Vec<_> = schema.iter_errors(&event).map(|error| error.to_string()).collect();
        assert!(complaints.is_empty(), "{complaints:#?}\n{event:#}");
    }
}

/// When everything here is received, in Unix seconds.
const RECEIVED: i64 = 1_773_504_000;

/// The event that becomes of this delivery, in the open and compressed. None where it would go to quarantine.
fn events(provider: &'static Provider, headers: HeaderMap, body: Vec<u8>, secrets: &Secrets) -> Option<[String; 2]> {
    let received = OffsetDateTime::from_unix_timestamp(RECEIVED).unwrap();
    let delivery = Delivery { headers, body, account: Account::default(), received };
    let verifier = Verifier::new(provider, |_| None).unwrap();
    let event = verifier.authenticate(&delivery, secrets).unwrap().read().ok()?.event;
    Some([event.to_json(), event.to_json_gzip()])
}

fn read_samples() -> Vec<samples::Sample> {
    samples::all()
}

/// The event of each sample, in the open and compressed.
fn sample_events() -> Vec<(String, [String; 2])> {
    let secrets: Value = serde_json::from_str(&read("../../events/secrets.json")).unwrap();
    let event = |sample: samples::Sample| {
        let outgoing = sample.signed(OffsetDateTime::from_unix_timestamp(RECEIVED).unwrap(), None);
        // Every account's secret is good here: the account is no part of what is judged.
        let accounts = secrets[sample.provider.name].as_object().unwrap();
        let all: Vec<&Value> = accounts.values().flat_map(|list| list.as_array().unwrap()).collect();
        let secrets = Secrets::parse(&json!(all).to_string()).unwrap();
        let headers = outgoing.headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        let events = events(sample.provider, headers.collect(), outgoing.body, &secrets).expect(&sample.name);
        (sample.name, events)
    };
    read_samples().into_iter().map(event).collect()
}

#[test]
fn every_sample_keeps_to_the_schema() {
    for (_, [open, compressed]) in sample_events() {
        assert_valid(&open);
        assert_valid(&compressed);
    }
}

/// Signed as the platform does it, by its newest scheme.
fn delivered(provider: &'static Provider, body: &str) -> Option<[String; 2]> {
    let scheme = &provider.default_schemes()[0];
    let secret = support::secret(provider);
    let signed = scheme.sign(&secret, body.as_bytes(), "whd_1", RECEIVED.cast_unsigned()).unwrap();
    let header = |(name, value): &(&'static str, String)| (HeaderName::from_static(name), value.parse().unwrap());
    let headers = signed.headers.iter().map(header).collect();
    events(
        provider,
        headers,
        signed.body,
        &Secrets::parse(&json!([String::from_utf8(secret).unwrap()]).to_string()).unwrap(),
    )
}

/// Values such as platforms send, and such as they should not.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        "-?[0-9]{1,4}(\\.[0-9]{1,2})?([eE][+-]?[0-9]{1,3})?".prop_map(Value::from),
        select(&["USD", "eur", "", "paid", "2026-04-15T14:22:30Z", "0000-01-01T00:00:00+23:59"][..])
            .prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| prop::collection::btree_map("[a-z]{1,3}", inner, 0..3).prop_map(|m| json!(m)))
}

/// The names of members that the platform's reader looks for, at whatever depth, and one that it does not.
fn names(provider: &Provider) -> Vec<&'static str> {
    let fields = &provider.fields;
    let resources = fields.resource.iter().flat_map(|(_, paths)| *paths);
    let paths = [fields.amount, fields.currency, fields.customer, fields.status].into_iter().flatten();
    let paths = resources.chain(paths).flat_map(|path| path.split('.'));
    let names: BTreeSet<_> = paths.chain(["x"]).collect();
    names.into_iter().collect()
}

/// A platform, and a body of its form with anything in it.
fn delivery() -> impl Strategy<Value = (&'static Provider, String)> {
    let named = select(providers::ALL).prop_flat_map(|provider| {
        let known = select(provider.events).prop_map(|(name, _)| name.to_owned());
        let payload = prop::collection::btree_map(select(names(provider)), value(), 0..8);
        (Just(provider), prop_oneof![4 => known, 1 => "[a-z:.]{1,20}", 1 => ".{1,100}"], payload)
    });
    (named, value(), prop_oneof![Just(json!("evt_1")), value()]).prop_map(|((provider, name, payload), time, id)| {
        let fields = &provider.fields;
        let mut body = Json::parse(b"{}").unwrap();
        let json = |value: &Value| Json::parse(value.to_string().as_bytes()).unwrap();
        if fields.object.is_empty() {
            body = json(&json!(payload));
        } else {
            body.set(fields.object, json(&json!(payload))).unwrap();
        }
        let name = json!(name);
        // What stands in the payload already is as it is.
        for (path, value) in ids(provider)
            .map(|path| (path, &id))
            .chain([(fields.time, &time)])
            .chain(fields.name.member().map(|path| (path, &name)))
        {
            let _ = body.set(path, json(value));
        }
        (provider, body.write(Style { space: Space::None, escapes: Escapes::Kept, sorted: false }))
    })
}

/// Where ids of the event stand in the body.
fn ids(provider: &Provider) -> impl Iterator<Item = &'static str> {
    let paths = match provider.identity {
        Identity::Id(path) => vec![path],
        Identity::Together(paths) => paths.to_vec(),
        Identity::SignedHeader | Identity::Content => Vec::new(),
    };
    let (name, time) = (provider.fields.name.member(), provider.fields.time);
    paths.into_iter().filter(move |path| Some(*path) != name && *path != time)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_is_delivered_keeps_to_the_schema(deliveries in prop::collection::vec(delivery(), 20)) {
            let read: Vec<_> = deliveries.iter().filter_map(|(provider, body)| delivered(provider, body)).collect();
        prop_assert!(!read.is_empty(), "all of them are quarantined");
        for event in read.iter().flatten() {
            assert_valid(event);
        }
    }
}

/// Each of these changes makes an event into none, by the published schema too.
#[test]
fn what_is_no_event_is_refused() {
    // Whoever signs a delivery's id, else whoever says most.
    let signs_id = |provider: &Provider| provider.default_schemes()[0].id_header().is_some();
    let provider = support::find(signs_id).unwrap_or(with_ids());
    let fields = &provider.fields;
    let mut body = Json::parse(&support::body(provider, &[])).unwrap();
    let object = |paths: &[&str]| paths.first().map(|path| in_object(provider, path));
    for (path, value) in [
        (object(fields.amount), Json::Token("49.99".to_owned())),
        (object(fields.currency), Json::text("USD")),
        (object(fields.customer), Json::text("c1")),
        (object(fields.status), Json::text("COMPLETED")),
    ] {
        if let Some(path) = path {
            body.set(&path, value).unwrap();
        }
    }
    let body = body.write(Style { space: Space::None, escapes: Escapes::Kept, sorted: false });
    let [event, _] = delivered(provider, &body).unwrap();
    assert_valid(&event);
    let event: Value = serde_json::from_str(&event).unwrap();

    let replaced = |path: &str, value: Value| {
        let mut event = event.clone();
        *event.pointer_mut(path).unwrap_or_else(|| panic!("{path} is not there")) = value;
        event
    };
    let mut spoiled = vec![json!([]), json!("event"), json!({})];
    // What this platform has no place for is not there to be spoiled.
    let paths = [
        "/specversion",
        "/id",
        "/source",
        "/type",
        "/subject",
        "/time",
        "/datacontenttype",
        "/provider",
        "/account",
        "/providertype",
        "/receivedtime",
        "/deliveryid",
        "/data",
        "/data/resource",
        "/data/resource/kind",
        "/data/resource/id",
        "/data/amount",
        "/data/amount/value",
        "/data/amount/unit",
        "/data/amount/currency",
        "/data/customer",
        "/data/customer/id",
        "/data/status",
        "/data/payload",
    ];
    for path in paths.into_iter().filter(|path| event.pointer(path).is_some()) {
        // Never null, never of another type.
        spoiled.extend([Value::Null, json!(7), json!([])].map(|value| replaced(path, value)));
        let optional =
            ["/time", "/deliveryid", "/data/amount", "/data/amount/currency", "/data/customer", "/data/status"];
        let (parent, name) = path.rsplit_once('/').unwrap();
        let mut without = event.clone();
        without.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(name).unwrap();
        if optional.contains(&path) {
            assert_valid(&without.to_string());
        } else {
            spoiled.push(without);
        }
    }
    for (path, value) in [
        ("/specversion", "0.3"),
        ("/id", ""),
        ("/source", "/webhooks/platform"),
        ("/source", "/webhooks/platform/EU"),
        ("/type", "order.paid"),
        ("/subject", "order"),
        ("/data/resource/kind", ""),
        ("/data/resource/kind", "a/b"),
        ("/time", "2026-03-14T16:00:00"),
        ("/receivedtime", "2026-03-14T16:00:00Z"),
        ("/datacontenttype", "text/xml"),
        ("/account", "a b"),
        ("/deliveryid", "a.b"),
        ("/data/amount/value", "49,99"),
        ("/data/amount/value", "NaN"),
        ("/data/amount/unit", "cents"),
        ("/data/amount/currency", "usd"),
        ("/data/payload", "{}"),
    ] {
        spoiled.extend(event.pointer(path).is_some().then(|| replaced(path, value.into())));
    }
    let mut both = event.clone();
    both["data"]["payload_gzip"] = "H4sI".into();
    spoiled.push(both);
    for event in spoiled {
        assert!(!SCHEMAS.iter().any(|schema| schema.is_valid(&event)), "{event:#}");
    }
}

#[test]
fn what_a_later_version_may_add_is_let_pass() {
    let [published, closed] = &*SCHEMAS;
    let [event, _] = delivered(with_ids(), &support::order("evt_1")).unwrap();
    for (path, value) in [("/type", "commerce.order.returned"), ("/provider", "another")] {
        let mut event: Value = serde_json::from_str(&event).unwrap();
        *event.pointer_mut(path).unwrap() = value.into();
        assert!(published.is_valid(&event) && !closed.is_valid(&event), "{path}");
    }
    let mut event: Value = serde_json::from_str(&event).unwrap();
    event["dataschema"] = "urn:x".into();
    assert!(published.is_valid(&event) && !closed.is_valid(&event));
}
