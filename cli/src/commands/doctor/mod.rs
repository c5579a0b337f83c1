//! `hookgate doctor`: looks at an installation for what is known to go wrong, and says what to do about it.

mod bootstrap;
mod endpoints;
mod functions;
mod queues;
mod secrets;
mod table;
mod tools;

use std::{collections::BTreeSet, fmt::Write as _};

use anyhow::bail;
use clap::ValueEnum;
use hookgate_verify::{Provider, providers};
use serde_json::{Value, json};

use crate::{
    arguments::{self, LOCAL},
    client::{aws::Deployment, stack::Stack},
    error::ExitCode,
    local::host,
    output::{BAD, BOLD, GOOD, MAYBE, print, print_json},
};

/// Look for what is known to go wrong, and say what to do about it.
///
/// Looks at the running local intake, and for the tools to deploy; with --aws at a deployed stack. Changes nothing, and
/// shows no secret. Each endpoint is sent one unsigned delivery, which it counts as rejected.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  hookgate doctor
  hookgate doctor --only tools
  hookgate doctor --aws --stack hookgate-dev
  hookgate doctor --url https://hooks.example.com
  hookgate doctor --aws --only queues,secrets --json

With --aws the credentials need cloudformation:DescribeStacks, dynamodb:DescribeTable and DescribeTimeToLive,
sqs:GetQueueAttributes, lambda:GetFunctionConfiguration, secretsmanager:GetSecretValue and DescribeSecret.
Exit code: 0 all is well, 1 there are problems, 2 something could not be checked.")]
pub struct Arguments {
    #[command(flatten)]
    deployment: Deployment,
    /// Where deliveries go: an address for all platforms, or one with /webhooks/{provider} for one. Repeatable [default: the
    /// local intake's, or the stack's outputs]. An address elsewhere without --aws is all that is looked at.
    #[arg(long)]
    url: Vec<String>,
    /// A platform that is in use. Repeatable [default: those that are deployed, else all].
    #[arg(long, value_parser = arguments::provider())]
    provider: Vec<&'static Provider>,
    /// What to look at.
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    only: Vec<Section>,
    /// The table of claims, where it is not the stack's.
    #[arg(long, value_name = "NAME")]
    table: Option<String>,
    /// The queue of events, by name or URL, where it is not the stack's.
    #[arg(long, value_name = "QUEUE")]
    queue: Option<String>,
    /// The queue of dead letters.
    #[arg(long, value_name = "QUEUE")]
    dead_letters: Option<String>,
    /// The queue of the quarantine.
    #[arg(long, value_name = "QUEUE")]
    quarantine: Option<String>,
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
}

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
enum Section {
    /// The table of claims: its key, expiry, billing and protection.
    Table,
    /// The three queues: size, encryption, where dead letters go and how long they stay.
    Queues,
    /// With --aws: the functions' settings and time-out.
    Functions,
    /// With --aws: the signing secrets.
    Secrets,
    /// Whether each endpoint turns an unsigned delivery away.
    Endpoints,
    /// This machine's clock, by the endpoints'.
    Clock,
    /// What `sam build` needs on this machine.
    Tools,
}

impl Section {
    const fn heading(self) -> &'static str {
        match self {
            Self::Table => "Table of claims",
            Self::Queues => "Queues",
            Self::Functions => "Functions",
            Self::Secrets => "Signing secrets",
            Self::Endpoints => "Endpoints",
            Self::Clock => "Clock",
            Self::Tools => "To deploy",
        }
    }

    fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Check {
    section: Section,
    /// What, as in "expiry".
    what: String,
    verdict: Verdict,
    /// What was found, or why nothing could be.
    finding: String,
    /// What to do about it. Empty where all is well, or where the finding says it.
    remedy: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Ok,
    Problem,
    /// Could not be checked.
    Unknown,
}

impl Verdict {
    const fn words(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Problem => "problem",
            Self::Unknown => "could not check",
        }
    }
}

/// The checks of one section, as they are made.
struct Checks {
    section: Section,
    made: Vec<Check>,
}

impl Checks {
    const fn of(section: Section) -> Self {
        Checks { section, made: Vec::new() }
    }

    fn ok(&mut self, what: &str, finding: impl Into<String>) {
        self.add(Verdict::Ok, what, finding.into(), String::new());
    }

    fn problem(&mut self, what: &str, finding: impl Into<String>, remedy: impl Into<String>) {
        self.add(Verdict::Problem, what, finding.into(), remedy.into());
    }

    fn unknown(&mut self, what: &str, why: impl Into<String>, remedy: impl Into<String>) {
        self.add(Verdict::Unknown, what, why.into(), remedy.into());
    }

    fn add(&mut self, verdict: Verdict, what: &str, finding: String, remedy: String) {
        self.made.push(Check { section: self.section, what: what.to_owned(), verdict, finding, remedy });
    }
}

/// Whether all is well.
pub async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let checks = arguments.check().await?;
    let count = |verdict| checks.iter().filter(|check| check.verdict == verdict).count();
    let (problems, unknown) = (count(Verdict::Problem), count(Verdict::Unknown));
    if arguments.json {
        print_json(&as_json(&checks))?;
    } else {
        let (checks, ok) = (as_text(&checks), count(Verdict::Ok));
        print(format_args!("{checks}\n{ok} ok, {problems} with a problem, {unknown} could not be checked"))?;
    }
    if problems == 0 && unknown > 0 {
        bail!("{unknown} of {} checks could not be made", checks.len());
    }
    Ok((problems == 0).into())
}

impl Arguments {
    async fn check(&self) -> anyhow::Result<Vec<Check>> {
        let sections = self.sections()?;
        let wanted = |section: Section| sections.contains(&section);
        let clients = self.deployment.clients().await?;
        let mut checks = Vec::new();

        let table = if wanted(Section::Table) || wanted(Section::Functions) {
            let (table, made) = table::check(&clients, self.table.as_deref()).await;
            checks.extend(made);
            table
        } else {
            None
        };
        let mut queues = queues::Found::default();
        if wanted(Section::Queues) || wanted(Section::Functions) {
            let given = [&self.queue, &self.dead_letters, &self.quarantine].map(Option::as_deref);
            let made;
            (queues, made) = queues::check(&clients, given).await;
            checks.extend(made);
        }
        let mut used = if self.provider.is_empty() { providers::ALL.to_vec() } else { self.provider.clone() };
        let mut urls = self.urls();
        let of_stack = [Section::Functions, Section::Secrets, Section::Endpoints, Section::Clock];
        if let Some(aws) = clients.aws.as_ref().filter(|_| of_stack.into_iter().any(wanted)) {
            match clients.stack().await.and_then(Stack::served) {
                Ok(served) => {
                    // A platform that was left out is not looked at.
                    if self.provider.is_empty() {
                        used = served.iter().map(|(provider, _)| *provider).collect();
                    }
                    if urls.is_empty() {
                        urls = served.into_iter().map(|(_, url)| url.to_owned()).collect();
                    }
                    let deployed = functions::look(&clients, aws, &self.deployment.stack, &used).await?;
                    checks.extend(functions::check(&deployed, table.as_deref(), &queues));
                    if wanted(Section::Secrets) {
                        checks.extend(secrets::check(&clients, aws, &deployed).await);
                    }
                }
                Err(why) => {
                    for section in [Section::Functions, Section::Secrets] {
                        let mut unknown = Checks::of(section);
                        unknown.unknown("stack", why.to_string(), "");
                        checks.extend(unknown.made);
                    }
                }
            }
        }
        if wanted(Section::Endpoints) || wanted(Section::Clock) {
            checks.extend(endpoints::check(&urls, &used, clients.is_local() && !self.is_elsewhere()).await?);
        }
        if wanted(Section::Tools) {
            checks.extend(tools::check().await);
        }
        checks.retain(|check| wanted(check.section));
        Ok(checks)
    }

    fn sections(&self) -> anyhow::Result<BTreeSet<Section>> {
        let aws = self.deployment.aws;
        if let Some(section) = self.only.iter().find(|section| matches!(section, Section::Functions | Section::Secrets))
            && !aws
        {
            bail!("--only {}: the local intake has none, add --aws", section.name());
        }
        if !self.only.is_empty() {
            return Ok(self.only.iter().copied().collect());
        }
        let elsewhere = self
            .urls()
            .iter()
            .any(|url| arguments::address("--url", url).is_ok_and(|url| !host::is_this_machine(&url)));
        Ok(Section::value_variants()
            .iter()
            .copied()
            .filter(|section| match section {
                Section::Table | Section::Queues => aws || !elsewhere,
                Section::Functions | Section::Secrets => aws,
                Section::Endpoints | Section::Clock => true,
                // What is deployed may have been built elsewhere.
                Section::Tools => !aws && !elsewhere,
            })
            .collect())
    }

    fn is_elsewhere(&self) -> bool {
        self.url.iter().any(|url| arguments::address("--url", url).is_ok_and(|url| !host::is_this_machine(&url)))
    }

    fn urls(&self) -> Vec<String> {
        if self.url.is_empty() && !self.deployment.aws { vec![LOCAL.to_owned()] } else { self.url.clone() }
    }
}

fn as_json(checks: &[Check]) -> Value {
    let status = |verdict| match verdict {
        Verdict::Ok => "ok",
        Verdict::Problem => "problem",
        Verdict::Unknown => "unknown",
    };
    let list = checks.iter().map(|check| {
        let remedy = Some(&check.remedy).filter(|remedy| !remedy.is_empty());
        json!({
            "section": check.section.name(),
            "what": check.what,
            "status": status(check.verdict),
            "finding": check.finding,
            "remedy": remedy,
        })
    });
    json!({"ok": checks.iter().all(|check| check.verdict == Verdict::Ok), "checks": list.collect::<Vec<_>>()})
}

fn as_text(checks: &[Check]) -> String {
    let mut text = String::new();
    let mut section = None;
    for check in checks {
        if section.replace(check.section) != Some(check.section) {
            let gap = if text.is_empty() { "" } else { "\n" };
            let _ = writeln!(text, "{gap}{BOLD}{}{BOLD:#}", check.section.heading());
        }
        let Check { what, verdict, finding, remedy, .. } = check;
        let colour = match verdict {
            Verdict::Ok => GOOD,
            Verdict::Problem => BAD,
            Verdict::Unknown => MAYBE,
        };
        let _ = writeln!(text, "  {colour}{:<15}{colour:#}  {what}: {finding}", verdict.words());
        if !remedy.is_empty() {
            let _ = writeln!(text, "  {:<15}  → {remedy}", "");
        }
    }
    text
}
