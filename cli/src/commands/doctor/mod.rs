//! `hookgate doctor`: checks an installation for known problems.

mod bootstrap;
mod endpoints;
mod functions;
mod queues;
mod secrets;
mod table;
mod tools;

use std::{collections::BTreeSet, fmt::Write as _};

use anstyle::Style;
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

/// Check an installation for known problems, and say how to fix each.
///
/// Checks the running local intake and the tools for deploying; with --aws a deployed stack. Changes nothing and shows no
/// secret. Sends each endpoint one unsigned delivery, which counts there as rejected.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  hookgate doctor
  hookgate doctor --only tools
  hookgate doctor --aws --stack hookgate-dev
  hookgate doctor --url https://hooks.example.com
  hookgate doctor --aws --only queues,secrets --json

With --aws the credentials need cloudformation:DescribeStacks, dynamodb:DescribeTable and DescribeTimeToLive, \
sqs:GetQueueAttributes, lambda:GetFunctionConfiguration, secretsmanager:GetSecretValue and DescribeSecret.
Exit code: 0 no problems, 1 problems found, 2 something could not be checked.")]
pub struct Arguments {
    /// Check this endpoint: a base address for all platforms, or one with /webhooks/{provider}. Repeatable. An address on
    /// another machine without --aws limits the checks to endpoints and clock [default: the local intake, or the stack's
    /// outputs]
    #[arg(long)]
    url: Vec<String>,
    /// Check this platform. Repeatable [default: the deployed ones, else all]
    #[arg(long, value_parser = arguments::provider())]
    provider: Vec<&'static Provider>,
    /// Check only these sections [default: all that apply]
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    only: Vec<Section>,
    /// Check this table of claims [default: the installation's]
    #[arg(long, value_name = "NAME")]
    table: Option<String>,
    /// Check this event queue, a name or URL [default: the installation's]
    #[arg(long, value_name = "QUEUE")]
    queue: Option<String>,
    /// Check this dead-letter queue, a name or URL [default: the installation's]
    #[arg(long, value_name = "QUEUE")]
    dead_letters: Option<String>,
    /// Check this quarantine queue, a name or URL [default: the installation's]
    #[arg(long, value_name = "QUEUE")]
    quarantine: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    deployment: Deployment,
}

/// The sections of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
enum Section {
    /// The table of claims: key, expiry, billing, deletion protection
    Table,
    /// The three queues: message size, encryption, redrive policy, retention of dead letters
    Queues,
    /// With --aws: the functions' settings and timeouts
    Functions,
    /// With --aws: the signing secrets
    Secrets,
    /// Whether each endpoint rejects an unsigned delivery
    Endpoints,
    /// This machine's clock, compared with the endpoints'
    Clock,
    /// The tools that `sam build` needs on this machine
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
            Self::Tools => "Tools for deploying",
        }
    }

    fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Check {
    section: Section,
    /// What was checked, like "expiry".
    what: String,
    verdict: Verdict,
    /// What was found, or why it could not be checked.
    finding: String,
    /// Empty if there is no problem, or if the finding names the remedy.
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
    /// Its colour and words in text, and its status in JSON.
    const fn shown(self) -> (Style, &'static str, &'static str) {
        match self {
            Self::Ok => (GOOD, "ok", "ok"),
            Self::Problem => (BAD, "problem", "problem"),
            Self::Unknown => (MAYBE, "could not check", "unknown"),
        }
    }
}

/// The checks of one section.
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

/// Runs the checks and prints them.
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

        let (mut table, mut queues) = (None, queues::Found::default());
        let mut made;
        if wanted(Section::Table) || wanted(Section::Functions) {
            (table, made) = table::check(&clients, self.table.as_deref()).await;
            checks.append(&mut made);
        }
        if wanted(Section::Queues) || wanted(Section::Functions) {
            let given = [&self.queue, &self.dead_letters, &self.quarantine].map(Option::as_deref);
            (queues, made) = queues::check(&clients, given).await;
            checks.append(&mut made);
        }
        let mut used = if self.provider.is_empty() { providers::ALL.to_vec() } else { self.provider.clone() };
        let mut urls = self.urls();
        let of_stack = [Section::Functions, Section::Secrets, Section::Endpoints, Section::Clock];
        if let Some(aws) = clients.aws.as_ref().filter(|_| of_stack.into_iter().any(wanted)) {
            match clients.stack().await.and_then(Stack::served) {
                Ok(served) => {
                    // Platforms that are not deployed are not checked.
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
            bail!("--only {} needs --aws: the local intake has none", section.name());
        }
        if !self.only.is_empty() {
            return Ok(self.only.iter().copied().collect());
        }
        let elsewhere = self.is_elsewhere();
        Ok(Section::value_variants()
            .iter()
            .copied()
            .filter(|section| match section {
                Section::Table | Section::Queues => aws || !elsewhere,
                Section::Functions | Section::Secrets => aws,
                Section::Endpoints | Section::Clock => true,
                // A deployed stack may have been built on another machine.
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
    let list = checks.iter().map(|check| {
        let remedy = Some(&check.remedy).filter(|remedy| !remedy.is_empty());
        json!({
            "section": check.section.name(),
            "what": check.what,
            "status": check.verdict.shown().2,
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
        let (colour, words, _) = verdict.shown();
        let _ = writeln!(text, "  {colour}{words:<15}{colour:#}  {what}: {finding}");
        if !remedy.is_empty() {
            let _ = writeln!(text, "  {:<15}  → {remedy}", "");
        }
    }
    text
}
