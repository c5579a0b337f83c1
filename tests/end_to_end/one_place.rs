//! What is peculiar to one platform stands in its file alone: no other code names a platform, its settings, its headers or
//! the members of its payloads. Everything else asks the `Provider`.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use hookgate_verify::{
    Provider, Scheme,
    providers::{self, Identity},
};

use crate::support::project;

/// Where platforms may be named: their own files, samples and published examples, what people read, what is deployed, and
/// the second opinions, which are written by hand on purpose. `functions/src/bin/NAME.rs` may too.
const NAMED: &[&str] = &[
    "shared/verify/src/providers",
    // Its examples speak of the platforms that they verify; there is no code in it.
    "shared/verify/src/lib.rs",
    // A server of somebody who uses two platforms.
    "examples/axum",
    "events",
    "docs/contract",
    "docs/consumers/messages.json",
    "consumers/rust/messages.json",
    "consumers/python/src/hookgate_consumer/messages.json",
    "fuzz/src",
    "shared/verify/tests/vectors",
    "clippy.toml",
    "template.yaml",
    "samconfig.toml",
    "tests/foreign",
    // The vendors' own libraries, each called by hand.
    "tests/vendors",
    "tests/sixth_provider",
];
/// Folders of tools.
const TOOLS: &[&str] =
    &["target", "node_modules", "dist", "generated", "venv", "corpus", "found", "artifacts", "__pycache__"];
/// Text for people, and what tools write.
const NO_CODE: &[&str] = &["md", "lock", "png", "proptest-regressions"];

/// Words that many a payload has, and that the event, AWS or our own texts have too. Whoever finds them in code has found
/// nothing.
const ORDINARY: &[&str] = &[
    "account",
    "accountId",
    "account_id",
    "address",
    "amount",
    "attributes",
    "body",
    "claimed",
    "code",
    "content",
    "count",
    "created",
    "currency",
    "customer",
    "data",
    "date",
    "default",
    "deliveries",
    "delivery",
    "delivery_id",
    "description",
    "dry_run",
    "email",
    "environment",
    "error",
    "event",
    "eventSource",
    "event_id",
    "event_name",
    "event_type",
    "events",
    "example",
    "expired",
    "expires_at",
    "failed",
    "file",
    "handle",
    "headers",
    "host",
    "id",
    "item",
    "items",
    "key",
    "kind",
    "level",
    "limit",
    "limits",
    "line",
    "lines",
    "list",
    "message",
    "messageId",
    "message_id",
    "messages",
    "meta",
    "method",
    "mode",
    "name",
    "new",
    "note",
    "number",
    "numbers",
    "object",
    "order",
    "outcome",
    "owner",
    "path",
    "payload",
    "platform",
    "price",
    "problem",
    "product",
    "provider",
    "quantity",
    "reason",
    "received",
    "reference",
    "released",
    "request",
    "requestId",
    "request_id",
    "resource",
    "result",
    "scheme",
    "secret",
    "secrets",
    "section",
    "sent",
    "sequence",
    "set",
    "signature",
    "signed",
    "signing_secret",
    "size",
    "sku",
    "source",
    "stage",
    "state",
    "status",
    "store",
    "subject",
    "sum",
    "summary",
    "table",
    "target",
    "text",
    "time",
    "timestamp",
    "title",
    "token",
    "topic",
    "type",
    "unit",
    "unknown",
    "updated",
    "url",
    "userAgent",
    "value",
    "version",
    "webhook",
    "what",
    "words",
];
/// Headers of [Standard Webhooks](https://www.standardwebhooks.com) and of HTTP itself: those that use them share them.
const SHARED_HEADERS: &[&str] =
    &["authorization", "date", "user-agent", "webhook-id", "webhook-signature", "webhook-timestamp", "x-request-id"];

/// What nobody but a platform's file may say.
struct Peculiar {
    provider: &'static Provider,
    /// In any case: names, titles, headers.
    names: BTreeSet<String>,
    /// As they are: settings, and members with a capital in them, which no other name here has.
    words: BTreeSet<&'static str>,
    /// In quotes, or behind the payload's name: members.
    members: BTreeSet<&'static str>,
}

impl Peculiar {
    fn new(provider: &'static Provider) -> Self {
        let fields = &provider.fields;
        let mut names: BTreeSet<_> = [provider.name, provider.title].map(str::to_lowercase).into();
        let headers = provider.schemes().flat_map(Scheme::headers);
        let headers =
            headers.chain(provider.deliveries.not_a_webhook.iter().copied()).chain(fields.name.unsigned_header());
        names.extend(headers.filter(|header| !SHARED_HEADERS.contains(header)).map(str::to_lowercase));

        // A word of every day.
        for ordinary in ["standard", "standard webhooks"] {
            names.remove(ordinary);
        }

        let mut paths = vec![fields.time, fields.object];
        paths.extend(fields.name.member());
        paths.extend([fields.amount, fields.currency, fields.customer, fields.status].concat());
        paths.extend(fields.resource.iter().flat_map(|(_, paths)| *paths));
        paths.extend(match &provider.identity {
            Identity::Id(path) => std::slice::from_ref(path),
            Identity::Together(paths) => paths,
            Identity::SignedHeader | Identity::Content => &[],
        });
        paths.extend(provider.schemes().filter_map(Scheme::signature_member));
        let members =
            paths.iter().flat_map(|path| path.split('.')).filter(|word| !word.is_empty() && !ORDINARY.contains(word));
        let (mut words, members): (BTreeSet<_>, _) = members.partition(|word| word.contains(char::is_uppercase));
        words.extend(provider.setting);
        words.extend(provider.registration.call.as_ref().map(|call| call.key));
        Peculiar { provider, names, words, members }
    }

    /// The first word in this line of this file that is none of its business.
    fn find(&self, file: &Path, line: &str) -> Option<&str> {
        let lower = line.to_lowercase();
        let in_any_case = self.names.iter().map(String::as_str).find(|name| stands_alone(&lower, name, &|_, _| true));
        let as_it_is = || self.words.iter().copied().find(|word| stands_alone(line, word, &|_, _| true));
        let fields = &self.provider.fields;
        let payload = [fields.payload_member(), fields.object.rsplit('.').next().filter(|name| !name.is_empty())];
        // A plain word in quotes can be anything in a test or a page; in the product itself it is a guess at a payload.
        let is_product = file.extension().is_some_and(|ending| ending == "rs") && file.iter().any(|part| part == "src");
        let is_member = |word: &str, before: &str, after: &str| {
            let before = before.trim_end_matches('\\');
            let is_quoted =
                before.ends_with(['"', '\'', '`']) && after.trim_start_matches('\\').starts_with(['"', '\'', '`']);
            let path = before.strip_suffix('.');
            is_quoted && (is_product || word.contains('_'))
                || path.is_some_and(|path| payload.iter().flatten().any(|name| path.ends_with(name)))
        };
        let members = || self.members.iter().copied();
        let as_member =
            || members().find(|word| stands_alone(line, word, &|before, after| is_member(word, before, after)));
        in_any_case.or_else(as_it_is).or_else(as_member)
    }
}

/// Whether the word is in the line, not within a longer one, where `fits` likes what is before and after it.
fn stands_alone(line: &str, word: &str, fits: &dyn Fn(&str, &str) -> bool) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let (before, after) = (&line[..at], &line[at + word.len()..]);
        !before.ends_with(char::is_alphanumeric) && !after.starts_with(char::is_alphanumeric) && fits(before, after)
    })
}

/// Every file of code, with its path within the project.
fn code(folder: &Path, files: &mut Vec<PathBuf>) {
    let root = project();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let inner = path.strip_prefix(&root).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        let is_tool = TOOLS.contains(&name) || name.starts_with('.') && name != ".ci";
        if is_tool || NAMED.iter().any(|named| inner == Path::new(named)) {
            continue;
        }
        if path.is_dir() {
            code(&path, files);
        } else if path.extension().is_none_or(|ending| !NO_CODE.iter().any(|other| ending == *other)) {
            files.push(path);
        }
    }
}

#[test]
fn no_code_but_a_platforms_own_knows_it() {
    let mut files = Vec::new();
    code(&project(), &mut files);
    let peculiar: Vec<_> = providers::ALL.iter().copied().map(Peculiar::new).collect();
    let mut found = Vec::new();
    for file in &files {
        let Ok(text) = std::fs::read_to_string(file) else { continue };
        let inner = file.strip_prefix(project()).unwrap();
        let is_binary =
            |each: &&Peculiar| inner == Path::new("functions/src/bin").join(each.provider.name).with_extension("rs");
        for (number, line) in (1..).zip(text.lines()) {
            let mut words = peculiar.iter().filter(|each| !is_binary(each));
            if let Some((word, owner)) = words.find_map(|each| Some((each.find(inner, line)?, each.provider))) {
                found.push(format!("{}:{number} says {word:?}, which is {owner:?}'s own", inner.display()));
            }
        }
    }
    assert!(files.len() > 100, "the code is not where this test looks for it");
    assert!(found.is_empty(), "ask the Provider instead, in {} lines:\n{}", found.len(), found.join("\n"));
}

#[test]
fn a_platforms_own_words_are_found_as_names_words_and_members() {
    let provider = providers::ALL[0];
    let shop = Peculiar {
        provider,
        names: ["shop seven".to_owned(), "x-shop-sign".to_owned()].into(),
        words: ["saleNo", "SHOP_MODE"].into(),
        members: ["sold_at", "grand"].into(),
    };
    let payload = provider.fields.payload_member().unwrap();
    for (line, in_product, in_test) in [
        ("// As Shop Seven does", Some("shop seven"), Some("shop seven")),
        (r#"headers.get("X-Shop-Sign")"#, Some("x-shop-sign"), Some("x-shop-sign")),
        ("x-shop-signature", None, None),
        ("let mode = env(SHOP_MODE)", Some("SHOP_MODE"), Some("SHOP_MODE")),
        ("event.data.saleNo", Some("saleNo"), Some("saleNo")),
        ("wholesaleNo", None, None),
        (r#"envelope["sold_at"]"#, Some("sold_at"), Some("sold_at")),
        (r#""{\"sold_at\":1}""#, Some("sold_at"), Some("sold_at")),
        ("let sold_at = now();", None, None),
        ("unsold_at", None, None),
        (&*format!("--set {payload}.sold_at=1"), Some("sold_at"), Some("sold_at")),
        (&*format!("--set {payload}.grand=1"), Some("grand"), Some("grand")),
        (r#"object.get("grand")"#, Some("grand"), None),
        ("a grand sale", None, None),
    ] {
        assert_eq!(shop.find(Path::new("cli/src/send/mod.rs"), line), in_product, "{line}");
        assert_eq!(shop.find(Path::new("cli/tests/send.rs"), line), in_test, "{line}");
    }
}

/// What the check is for, as the platforms of today have it.
#[test]
fn their_members_are_peculiar() {
    let all: BTreeSet<_> = providers::ALL
        .iter()
        .copied()
        .map(Peculiar::new)
        .flat_map(|each| each.words.into_iter().chain(each.members))
        .collect();
    assert!(all.len() >= providers::ALL.len(), "{all:?}");
    assert!(ORDINARY.is_sorted() && all.iter().all(|word| !ORDINARY.contains(word)), "{all:?}");
}
