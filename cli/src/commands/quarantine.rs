//! `hookgate quarantine`: what is in quarantine and why, and out of it once it can be read.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use anstyle::{AnsiColor, Style};
use aws_sdk_sqs::types::Message;
use base64::{Engine, prelude::BASE64_STANDARD};
use hookgate_intake::{
    QUARANTINE, Quarantined,
    release::{Installation, Readable, Release, StoreOutcome, Unusable},
};
use hookgate_verify::{Provider, Unreadable, Verifier, providers};
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::{
    client::aws::{Clients, Deployment, Queue},
    client::messages::{self, Held, plain, print},
    commands::claims::{self, Meaning},
    error::{self as usage, UsageError},
};

/// Authentic deliveries that are no usable event: see them, and release them once they are.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    List(List),
    Show(Show),
    Release(Box<ReleaseArguments>),
}

/// Which quarantine.
#[derive(Debug, clap::Args)]
struct Where {
    /// The quarantine's queue, by name or URL [default: the installation's].
    #[arg(long, value_name = "QUEUE")]
    quarantine: Option<String>,
    /// Receive from a queue with dead letters, too: each message counts as received once more, and its consumers do not
    /// get it meanwhile.
    #[arg(long)]
    disturb_consumers: bool,
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    deployment: Deployment,
}

/// List what is in quarantine, and leave it there: reason, platform, account, when it came, bytes, id. No bodies.
#[derive(Debug, clap::Args)]
#[command(after_help = usage::examples("Examples:
  hookgate quarantine list
  hookgate quarantine list --reason not_json --provider PLATFORM
  hookgate quarantine list --aws --profile prod --json

Exit code: 0 there is something, 1 there is nothing, 2 it could not be done as asked."))]
struct List {
    #[command(flatten)]
    only: Only,
    #[command(flatten)]
    at: Where,
}

/// Show one delivery: why it is in quarantine and what to do about it, its headers, and its whole body.
#[allow(clippy::doc_markdown, reason = "help is shown as it is written")]
#[derive(Debug, clap::Args)]
#[command(after_help = usage::examples("Examples:
  hookgate quarantine show 3f1c2a90
  hookgate quarantine show 3f1c2a90 --json | jq -r .body

The body may hold personal data. Headers are without signatures, cookies and authorization: the quarantine keeps none.
Exit code: 0 shown, 1 there is none of this id, 2 it could not be done as asked."))]
struct Show {
    /// The id of its message, as list shows it (message_id in the log), or its first 8 characters or more; or the id that the
    /// platform was answered (id in the log): quarantine and a hash.
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    at: Where,
}

/// Take deliveries out of quarantine once they can be read: read, claimed, queued and settled like any other.
///
/// They are read by this program, so use the version that has the fix. The quarantine keeps no signatures: you vouch that
/// the platform sent them. A message is deleted from the quarantine only once its event is on the queue, or known to be
/// there; what still cannot be read stays. To stop half-way is safe: the next release knows what was queued.
///
/// too_old: nobody can tell any more whether it was queued long ago or is a replay. Look whether your consumers know its
/// id, then release it by its id, or all of them by --reason too_old; --all alone leaves them.
///
/// key_conflict: the platform used one id for two contents, and the first of them holds the id. A release meets the same
/// conflict, shows both hashes, and leaves it, unless --new-id gives it an id made of its own content, by which consumers
/// take it for an event of its own.
#[allow(clippy::doc_markdown, reason = "help is shown as it is written")]
#[allow(clippy::struct_excessive_bools, reason = "each is an option of its own")]
#[derive(Debug, clap::Args)]
#[command(after_help = usage::examples("Examples:
  hookgate quarantine release 3f1c2a90 --dry-run
  hookgate quarantine release 3f1c2a90
  hookgate quarantine release --all --reason event_name --provider PLATFORM
  hookgate quarantine release --all --aws --profile prod --yes
  hookgate quarantine release 3f1c2a90 --new-id

A platform's own setting must be in the environment as its function has it, where it is set there.
Exit code: 0 all were released, 1 some stayed or there were none, 2 it could not be done as asked."))]
struct ReleaseArguments {
    /// Their ids, as for show.
    #[arg(value_name = "ID", required_unless_present = "all", conflicts_with = "all")]
    ids: Vec<String>,
    /// All that --reason and --provider let through.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    only: Only,
    /// Only say what would become of them.
    #[arg(long)]
    dry_run: bool,
    /// Where the id stands for other content, give it one made of its own.
    #[arg(long)]
    new_id: bool,
    /// Do it: asked for with --all --aws.
    #[arg(long)]
    yes: bool,
    /// The queue of events, by name or URL [default: the installation's].
    #[arg(long, value_name = "QUEUE")]
    queue: Option<String>,
    /// The table of claims [default: the installation's].
    #[arg(long, value_name = "NAME")]
    table: Option<String>,
    /// How long the installation keeps claims (its ClaimTtlDays).
    #[arg(long, value_name = "DAYS", default_value = "30", value_parser = clap::value_parser!(u64).range(1..=3650))]
    claim_ttl_days: u64,
    #[command(flatten)]
    at: Where,
}

/// Which deliveries.
#[derive(Debug, clap::Args)]
struct Only {
    /// Only what is there for this reason. Repeatable.
    #[arg(long)]
    reason: Vec<String>,
    /// Only this platform's. Repeatable.
    #[arg(long, value_parser = usage::provider())]
    provider: Vec<&'static Provider>,
}

impl Only {
    fn admits(&self, entry: &Quarantined) -> bool {
        (self.reason.is_empty() || self.reason.contains(&entry.reason))
            && (self.provider.is_empty() || self.provider.iter().any(|provider| provider.name == entry.provider))
    }
}

/// One message of the quarantine.
struct Item {
    message_id: String,
    /// None where the message is none of Hookgate's.
    entry: Option<Quarantined>,
}

impl Item {
    /// Whether this is the id that was asked for, or how it begins: its message's, or the one that the platform was answered.
    fn is(&self, id: &str) -> bool {
        let begins = |own: &str, least: usize| own == id || (id.len() >= least && own.starts_with(id));
        begins(&self.message_id, 8)
            || (id.starts_with(QUARANTINE) && self.id().is_some_and(|own| begins(&own, QUARANTINE.len() + 8)))
    }

    fn id(&self) -> Option<String> {
        let entry = self.entry.as_ref()?;
        let verifier = Verifier::new(Provider::named(&entry.provider)?, |name| std::env::var(name).ok()).ok()?;
        entry.id(&verifier)
    }
}

impl From<Message> for Item {
    fn from(message: Message) -> Self {
        let entry = serde_json::from_str(message.body.as_deref().unwrap_or_default()).ok();
        Item { message_id: message.message_id.unwrap_or_default(), entry }
    }
}

/// Whether there was anything, or all was released.
///
/// # Errors
/// A queue or table is not there, or an option cannot be used.
pub async fn run(arguments: &Arguments) -> Result<bool, UsageError> {
    let at = match &arguments.command {
        Command::List(List { at, .. }) | Command::Show(Show { at, .. }) => at,
        Command::Release(release) => &release.at,
    };
    let clients = at.deployment.clients().await?;
    let url = clients.queue(Queue::Quarantine, at.quarantine.as_deref()).await?;
    if !at.disturb_consumers && messages::has_dead_letters(&clients, &url).await? {
        return Err(messages::would_disturb(&url, "Name the quarantine with --quarantine: as deployed, it has none"));
    }
    let mut held = Held::new(&clients, &url);
    let worked = match &arguments.command {
        Command::List(list) => tokio::select! {
            worked = list.run(&clients, &mut held) => worked,
            () = messages::ended() => Err(UsageError("stopped".to_owned())),
        },
        Command::Show(show) => tokio::select! {
            worked = show.run(&clients, &mut held) => worked,
            () = messages::ended() => Err(UsageError("stopped".to_owned())),
        },
        Command::Release(release) => release.run(&clients, &mut held).await,
    };
    let back = held.give_back().await;
    worked.and_then(|worked| back.map(|()| worked))
}

impl List {
    async fn run(&self, clients: &Clients, held: &mut Held<'_>) -> Result<bool, UsageError> {
        let wait = messages::patience(clients);
        let (mut listed, mut json) = (0, Vec::new());
        while let Some(batch) = held.more(wait).await? {
            for item in batch.into_iter().map(Item::from) {
                if item.entry.as_ref().is_some_and(|entry| !self.only.admits(entry)) {
                    continue;
                }
                listed += 1;
                if self.at.json {
                    json.push(item.summary());
                } else if !print(&item.line())? {
                    return Ok(true);
                }
            }
        }
        if self.at.json {
            anstream::println!("{:#}", Value::Array(json));
        } else if listed == 0 {
            anstream::println!("Nothing in quarantine.");
        }
        match held.held_by_others().await? {
            0 => {}
            others => anstream::eprintln!("{others} more are being looked at by somebody else: again in two minutes."),
        }
        Ok(listed > 0)
    }
}

impl Show {
    async fn run(&self, clients: &Clients, held: &mut Held<'_>) -> Result<bool, UsageError> {
        let wait = messages::patience(clients);
        while let Some(batch) = held.more(wait).await? {
            if let Some(item) = batch.into_iter().map(Item::from).find(|item| item.is(&self.id)) {
                if self.at.json {
                    anstream::println!("{:#}", item.json());
                } else {
                    anstream::print!("{}", item.text());
                }
                return Ok(true);
            }
        }
        anstream::eprintln!("Nothing in quarantine has the id {}.", plain(&self.id));
        Ok(false)
    }
}

impl ReleaseArguments {
    async fn run(&self, clients: &Clients, held: &mut Held<'_>) -> Result<bool, UsageError> {
        if self.all && !clients.is_local() && !self.yes && !self.dry_run {
            return Err(UsageError(
                "--all releases every delivery of an AWS account's quarantine that can be read: see what would become of \
                 them with --dry-run, then say --yes"
                    .to_owned(),
            ));
        }
        let installation = Installation {
            table: clients.table(self.table.as_deref()).await?,
            queue_url: clients.queue(Queue::Events, self.queue.as_deref()).await?,
            claim_ttl: Duration::from_secs(self.claim_ttl_days * 86_400),
            dynamodb: clients.dynamodb.clone(),
            sqs: clients.sqs.clone(),
        };
        let table = installation.table.clone();
        let mut releases = BTreeMap::new();
        for provider in providers::ALL {
            let release = Release::new(provider, |name| std::env::var(name).ok(), installation.clone());
            releases.insert(provider.name, release.map_err(|error| UsageError(error.to_string()))?);
        }

        let mut report = Report { wanted: self.ids.clone(), met: 0, stayed: 0, json: Vec::new() };
        let worked = self.each(clients, held, &releases, &table, &mut report).await;
        let Report { wanted, met, stayed, json } = report;
        if self.at.json {
            anstream::println!("{:#}", Value::Array(json));
        }
        worked?;
        if met == 0 && self.all && !self.at.json {
            anstream::println!("Nothing to release.");
        }
        for id in &wanted {
            anstream::eprintln!("Nothing in quarantine has the id {}.", plain(id));
        }
        Ok(met > 0 && stayed == 0 && wanted.is_empty())
    }

    async fn each(
        &self,
        clients: &Clients,
        held: &mut Held<'_>,
        releases: &BTreeMap<&str, Release>,
        table: &str,
        report: &mut Report,
    ) -> Result<(), UsageError> {
        let wait = messages::patience(clients);
        let mut ended = std::pin::pin!(messages::ended());
        loop {
            let batch =
                tokio::select! { biased; () = &mut ended => return Err(stopped()), batch = held.more(wait) => batch? };
            let Some(batch) = batch else { return Ok(()) };
            for item in batch.into_iter().map(Item::from).filter(|item| self.asks_for(item)) {
                report.wanted.retain(|id| !item.is(id));
                report.met += 1;
                // Once begun it is finished, Ctrl-C or not: half of it would be queued once more by the next release.
                held.prolong().await?;
                let done = self.one(&item, releases, clients, table).await?;
                report.stayed += u64::from(!done.goes());
                if self.at.json {
                    report.json.push(done.json(&item));
                } else {
                    anstream::println!("{}", done.line(&item));
                }
                if done.goes() && !self.dry_run {
                    held.delete(&item.message_id).await.map_err(|UsageError(why)| {
                        UsageError(format!("{why}. Release it again: it will be known, and deleted"))
                    })?;
                }
                tokio::select! { biased; () = &mut ended => return Err(stopped()), () = std::future::ready(()) => {} }
            }
            if !self.all && report.wanted.is_empty() {
                return Ok(());
            }
        }
    }

    fn asks_for(&self, item: &Item) -> bool {
        let named = self.ids.iter().any(|id| item.is(id));
        item.entry.as_ref().map_or(named, |entry| self.only.admits(entry) && (self.all || named))
    }

    async fn one(
        &self,
        item: &Item,
        releases: &BTreeMap<&str, Release>,
        clients: &Clients,
        table: &str,
    ) -> Result<Done, UsageError> {
        let Some((entry, release)) = item.entry.as_ref().and_then(|e| Some((e, releases.get(&*e.provider)?))) else {
            return Ok(Done::new(None, End::Unusable(Unusable::Form)));
        };
        let may_be_old = !self.all || self.only.reason.iter().any(|reason| reason == TOO_OLD);
        let old = match release.read(entry, false) {
            Ok(readable) => self.outlives_claims(&readable),
            Err(_) => false,
        };
        if !may_be_old && (old || entry.reason == TOO_OLD) {
            return Ok(Done::new(None, End::TooOld));
        }
        if let Some(conflict) = self.conflict(entry, release, clients, table).await? {
            return if self.new_id { self.attempt(entry, release, clients, table, true).await } else { Ok(conflict) };
        }
        let mut done = self.attempt(entry, release, clients, table, false).await?;
        if self.new_id && matches!(done.end, End::Released(StoreOutcome::Conflict { .. })) {
            done = self.attempt(entry, release, clients, table, true).await?;
        }
        Ok(done)
    }

    /// Whether the event is older than any claim that could tell it from a replay. Its time in quarantine counts.
    fn outlives_claims(&self, readable: &Readable) -> bool {
        let most = time::Duration::days(i64::try_from(self.claim_ttl_days).unwrap_or(i64::MAX / 100_000));
        readable.time.is_some_and(|time| OffsetDateTime::now_utc() - time > most)
    }

    /// A conflict stays one when the claim of the other content has expired: consumers have had its id for that content,
    /// and would take this one for a copy. None where there was none, or where this very content holds the id by now.
    async fn conflict(
        &self,
        entry: &Quarantined,
        release: &Release,
        clients: &Clients,
        table: &str,
    ) -> Result<Option<Done>, UsageError> {
        let (Some(claimed), Some(received)) = (&entry.content_claimed, &entry.content_received) else {
            return Ok(None);
        };
        let Ok(readable) = release.read(entry, false) else { return Ok(None) };
        let claim = claims::find(clients, table, &readable.key).await?;
        if matches!(foretold(claim.as_ref(), &readable), End::Released(StoreOutcome::Duplicate)) {
            return Ok(None);
        }
        let end = StoreOutcome::Conflict { claimed: claimed.clone(), received: received.clone() };
        Ok(Some(Done { readable: Some(readable), end: End::Released(end), dry: self.dry_run }))
    }

    async fn attempt(
        &self,
        entry: &Quarantined,
        release: &Release,
        clients: &Clients,
        table: &str,
        new_id: bool,
    ) -> Result<Done, UsageError> {
        let readable = match release.read(entry, new_id) {
            Ok(readable) => readable,
            Err(unusable) => return Ok(Done::new(None, End::Unusable(unusable))),
        };
        let end = if self.dry_run {
            foretold(claims::find(clients, table, &readable.key).await?.as_ref(), &readable)
        } else {
            release.run(entry, new_id, &owner()).await.map_or_else(End::Unusable, End::Released)
        };
        Ok(Done { readable: Some(readable), end, dry: self.dry_run })
    }
}

/// What a release has come to.
struct Report {
    /// Ids that were not met yet.
    wanted: Vec<String>,
    met: u64,
    stayed: u64,
    json: Vec<Value>,
}

fn stopped() -> UsageError {
    UsageError("stopped: what was released is, the rest is where it was".to_owned())
}

const TOO_OLD: &str = "too_old";

/// What a release would meet.
fn foretold(claim: Option<&claims::Claim>, readable: &Readable) -> End {
    let now = claims::now();
    End::Released(match claim {
        Some(claim) if claim.meaning(now) != Meaning::Expired && claim.content != readable.content => {
            StoreOutcome::Conflict { claimed: claim.content.clone(), received: readable.content.clone() }
        }
        Some(claim) if claim.meaning(now) == Meaning::Queued => StoreOutcome::Duplicate,
        Some(claim) if claim.meaning(now) == Meaning::AtWork => {
            let left = claim.lease_until.map_or(0, |lease| lease - now);
            StoreOutcome::Busy { retry_after: u64::try_from(left / 1000 + 1).unwrap_or(1) }
        }
        _ => StoreOutcome::Queued { message_id: String::new(), unsettled: None },
    })
}

/// Unique per release: claims are owned by it.
fn owner() -> String {
    let nanoseconds = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_nanos();
    format!("release-{}-{nanoseconds}", std::process::id())
}

/// What became of one delivery, or would.
struct Done {
    readable: Option<Readable>,
    end: End,
    dry: bool,
}

enum End {
    Released(StoreOutcome),
    Unusable(Unusable),
    TooOld,
}

impl Done {
    fn new(readable: Option<Readable>, end: End) -> Self {
        Done { readable, end, dry: false }
    }

    /// Whether it leaves the quarantine.
    fn goes(&self) -> bool {
        matches!(self.end, End::Released(StoreOutcome::Queued { .. } | StoreOutcome::Duplicate))
    }

    fn name(&self) -> &'static str {
        match &self.end {
            End::Released(StoreOutcome::Queued { .. }) => "queued",
            End::Released(StoreOutcome::Duplicate) => "duplicate",
            End::Released(StoreOutcome::Conflict { .. }) => "conflict",
            End::Unusable(Unusable::TooLarge) => "too_large",
            End::Released(StoreOutcome::Busy { .. }) => "busy",
            End::Released(StoreOutcome::Unavailable { .. }) => "unavailable",
            End::Unusable(_) => "unreadable",
            End::TooOld => TOO_OLD,
        }
    }

    /// What that means, and what to do about it.
    fn words(&self) -> String {
        match &self.end {
            End::Released(StoreOutcome::Queued { .. }) if self.dry => "it would be queued".to_owned(),
            End::Released(StoreOutcome::Queued { message_id, unsettled: None }) => {
                format!("message {}", plain(message_id))
            }
            End::Released(StoreOutcome::Queued { message_id, unsettled: Some(error) }) => format!(
                "message {}; its claim could not be settled ({error}): should the platform send it again, it is queued again",
                plain(message_id)
            ),
            End::Released(StoreOutcome::Duplicate) if self.dry => {
                "it is on the queue already; it would be deleted".to_owned()
            }
            End::Released(StoreOutcome::Duplicate) => "it was on the queue already; deleted".to_owned(),
            End::Released(StoreOutcome::Conflict { claimed, received }) => format!(
                "stays: its id stands for other content (that one has {}, this one {}). Compare it with the event that your \
                 consumers have; --new-id releases it as an event of its own",
                plain(claimed),
                plain(received)
            ),
            End::Released(StoreOutcome::Busy { retry_after }) => {
                format!("stays: somebody is at work on the same event, for {retry_after} s at most: again then")
            }
            End::Released(StoreOutcome::Unavailable { step, error }) => {
                format!("stays: {step} failed: {error}: again later")
            }
            End::Unusable(Unusable::TooLarge) => "stays: it is more than a message can carry".to_owned(),
            End::Unusable(Unusable::Form) => "stays: its message is none of Hookgate's quarantine".to_owned(),
            End::Unusable(Unusable::Unreadable(why)) => {
                format!("stays: still {}: {}", why.as_str(), explained(why.as_str()).0)
            }
            End::TooOld => {
                "stays: it may be a replay. Look at it, then release it by its id, or say --reason too_old".to_owned()
            }
        }
    }

    fn line(&self, item: &Item) -> String {
        let style = if self.goes() { AnsiColor::Green } else { AnsiColor::Yellow }.on_default();
        let mut line = format!("{style}{:<11}{style:#}  {}", self.name(), plain(&item.message_id));
        if let Some(readable) = &self.readable {
            let _ = write!(line, "  {}", readable.event_type);
            if let Some(subject) = &readable.subject {
                let _ = write!(line, "  {}", plain(subject));
            }
            let _ = write!(line, "  {}", plain(&readable.id));
        }
        let _ = write!(line, "  {}", self.words());
        line
    }

    fn json(&self, item: &Item) -> Value {
        let readable = self.readable.as_ref();
        let (claimed, received) = match &self.end {
            End::Released(StoreOutcome::Conflict { claimed, received }) => (Some(claimed), Some(received)),
            _ => (None, None),
        };
        json!({
            "quarantine_id": item.message_id, "outcome": self.name(), "dry_run": self.dry, "words": self.words(),
            "id": readable.map(|r| &r.id), "type": readable.map(|r| r.event_type), "key": readable.map(|r| &r.key),
            "subject": readable.and_then(|r| r.subject.as_ref()),
            "content_claimed": claimed, "content_received": received,
        })
    }
}

impl Item {
    fn line(&self) -> String {
        const REASON: Style = AnsiColor::Yellow.on_default();
        let Some(entry) = &self.entry else {
            return format!("{REASON}{:<15}{REASON:#}  {}", "no quarantine", plain(&self.message_id));
        };
        let (account, bytes) = (format!("{}/{}", plain(&entry.provider), plain(&entry.account)), bytes(entry));
        format!(
            "{}  {REASON}{:<15}{REASON:#}  {account:<20}  {bytes:>8} B  {}",
            plain(&entry.received),
            plain(&entry.reason),
            plain(&self.message_id)
        )
    }

    fn summary(&self) -> Value {
        let Some(entry) = &self.entry else { return json!({"quarantine_id": self.message_id, "reason": null}) };
        let mut json = json!({
            "quarantine_id": self.message_id, "reason": entry.reason, "provider": entry.provider, "account": entry.account,
            "received": entry.received, "bytes": bytes(entry),
        });
        for (name, hash) in [("content_claimed", &entry.content_claimed), ("content_received", &entry.content_received)]
        {
            if let Some(hash) = hash {
                json[name] = json!(hash);
            }
        }
        json
    }

    /// The body as text where it is UTF-8, else in base64.
    fn json(&self) -> Value {
        let mut json = self.summary();
        if let Some(entry) = &self.entry {
            json["explained"] = json!(explained(&entry.reason).0);
            json["remedy"] = json!(explained(&entry.reason).1);
            json["headers"] = json!(entry.headers);
            match entry.body_bytes().map(String::from_utf8) {
                Some(Ok(text)) => json["body"] = json!(text),
                Some(Err(bytes)) => json["body_base64"] = json!(BASE64_STANDARD.encode(bytes.as_bytes())),
                None => json["body"] = Value::Null,
            }
        }
        json
    }

    fn text(&self) -> String {
        const BOLD: Style = Style::new().bold();
        let Some(entry) = &self.entry else {
            return format!("{}: this message is none of Hookgate's quarantine.\n", plain(&self.message_id));
        };
        let (why, remedy) = explained(&entry.reason);
        let mut text = format!(
            "{BOLD}{}{BOLD:#}: {why}\n{remedy}\n\n  id        {}\n  account   {}/{}\n  received  {}\n",
            plain(&entry.reason),
            plain(&self.message_id),
            plain(&entry.provider),
            plain(&entry.account),
            plain(&entry.received),
        );
        if let (Some(claimed), Some(received)) = (&entry.content_claimed, &entry.content_received) {
            let _ = writeln!(text, "  claimed   {}\n  this one  {}", plain(claimed), plain(received));
        }
        text.push('\n');
        for (name, value) in &entry.headers {
            let _ = writeln!(text, "{BOLD}{}{BOLD:#}: {}", plain(name), plain(value));
        }
        match entry.body_bytes().map(String::from_utf8) {
            // Line breaks and tabs are the platform's layout; all else that a terminal would obey is escaped.
            Some(Ok(body)) => {
                let _ = write!(text, "\n{}\n", body.split('\n').map(plain_but_tabs).collect::<Vec<_>>().join("\n"));
            }
            Some(Err(bytes)) => {
                let bytes = bytes.as_bytes();
                let _ = write!(text, "\nNot UTF-8, in base64:\n{}\n", BASE64_STANDARD.encode(bytes));
            }
            None => text.push_str("\nIts message holds no body that can be read.\n"),
        }
        text
    }
}

fn plain_but_tabs(line: &str) -> String {
    line.split('\t').map(plain).collect::<Vec<_>>().join("\t")
}

fn bytes(entry: &Quarantined) -> usize {
    entry.body_bytes().map_or(0, |body| body.len())
}

/// What a reason means, and what to do about it.
fn explained(reason: &str) -> (&'static str, &'static str) {
    const READING: &str = "Ask the platform whether that is meant. If it is, mend the reading of it \
                           (shared/verify/src/providers), deploy, and release it with the mended hookgate.";
    const NO_JSON: &str = "Nothing can read it as it is: fetch the event from the platform, and ask it why.";
    let words = [
        (Unreadable::NotUtf8, "its body is not UTF-8, as JSON must be.", NO_JSON),
        (Unreadable::ByteOrderMark, "its body begins with a byte order mark, which JSON must not.", READING),
        (Unreadable::NotJson, "its body is not JSON.", NO_JSON),
        (Unreadable::NotAnObject, "its body is JSON, but no object.", READING),
        (
            Unreadable::DuplicateKey,
            "its body has two members of one name at the top level, and readers differ in which they take.",
            READING,
        ),
        (Unreadable::EventName, "it has no event name, or one that is no text of 1 to 256 bytes.", READING),
        (Unreadable::Payload, "it has no payload object.", READING),
        (Unreadable::Id, "its id is of the wrong type, or longer than 256 bytes.", READING),
    ];
    let unreadable = words.into_iter().find(|(why, ..)| why.as_str() == reason);
    match (unreadable, reason) {
        (Some((_, why, remedy)), _) => (why, remedy),
        (None, TOO_OLD) => (
            "the event is older than claims are kept: it may be a replay of one that was queued long ago.",
            "Look whether your consumers know its id. If they do not, release it.",
        ),
        (None, "key_conflict") => (
            "its id stands for other content already: the platform used one id for two contents.",
            "Compare it with the event that your consumers have. To give them this one too, release it with --new-id.",
        ),
        (None, _) => ("this version does not know the reason.", "Use the version of hookgate that is deployed."),
    }
}
