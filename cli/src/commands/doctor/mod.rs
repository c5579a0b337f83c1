//! `hookgate doctor`: checks an installation for known problems.

mod bootstrap;
mod endpoints;
mod functions;
mod queues;
mod secrets;
mod table;
mod tools;

use std::{collections::BTreeMap, fmt::Write as _};

use anyhow::bail;
use clap::ValueEnum;
use hookgate_verify::{Provider, providers};
use serde_json::{Value, json};

use crate::{
    arguments::{self, LOCAL},
    client::{aws::Deployment, stack::Stack},
    error::ExitCode,
    local::host,
    output::{BAD, BOLD, GOOD, MAYBE, Style, print, print_json},
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

/// The sections of the report, in its order.
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
struct Check {
    /// What was checked, like "expiry".
    what: String,
    verdict: Verdict,
    /// What was found, or why it could not be checked.
    finding: String,
    /// Empty if there is no problem, or if the finding names the remedy.
    remedy: String,
}

impl Check {
    fn ok(what: impl Into<String>, finding: impl Into<String>) -> Self {
        Check { what: what.into(), verdict: Verdict::Ok, finding: finding.into(), remedy: String::new() }
    }

    fn problem(what: impl Into<String>, finding: impl Into<String>, remedy: impl Into<String>) -> Self {
        Check { what: what.into(), verdict: Verdict::Problem, finding: finding.into(), remedy: remedy.into() }
    }

    fn unknown(what: impl Into<String>, why: impl Into<String>, remedy: impl Into<String>) -> Self {
        Check { what: what.into(), verdict: Verdict::Unknown, finding: why.into(), remedy: remedy.into() }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
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

type Report = BTreeMap<Section, Vec<Check>>;

pub async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let report = arguments.check().await?;
    let count = |verdict| report.values().flatten().filter(|check| check.verdict == verdict).count();
    let [ok, problems, unknown] = [Verdict::Ok, Verdict::Problem, Verdict::Unknown].map(count);
    if arguments.json {
        print_json(&json!({"ok": problems + unknown == 0, "checks": as_json(&report)}))?;
    } else {
        let text = as_text(&report);
        print(format_args!("{text}{ok} ok, {problems} with a problem, {unknown} could not be checked"))?;
    }
    if problems == 0 && unknown > 0 {
        bail!("{unknown} of {} checks could not be made", ok + unknown);
    }
    Ok((problems == 0).into())
}

impl Arguments {
    async fn check(&self) -> anyhow::Result<Report> {
        let is_here = self.is_here();
        let sections = self.sections(is_here)?;
        let wanted = |section: Section| sections.contains(&section);
        let clients = self.deployment.clients().await?;
        let mut report = Report::new();

        let (mut table, mut queues) = (None, [None, None, None]);
        let mut checks;
        if wanted(Section::Table) || wanted(Section::Functions) {
            (table, checks) = table::check(&clients, self.table.as_deref()).await;
            report.insert(Section::Table, checks);
        }
        if wanted(Section::Queues) || wanted(Section::Functions) {
            let given = [&self.queue, &self.dead_letters, &self.quarantine].map(Option::as_deref);
            (queues, checks) = queues::check(&clients, given).await;
            report.insert(Section::Queues, checks);
        }
        let mut used = if self.provider.is_empty() { providers::ALL.to_vec() } else { self.provider.clone() };
        let mut urls = self.url.clone();
        if urls.is_empty() && clients.is_local() {
            urls.push(LOCAL.to_owned());
        }
        let of_functions = wanted(Section::Functions) || wanted(Section::Secrets);
        let of_endpoints = wanted(Section::Endpoints) || wanted(Section::Clock);
        if let Some(aws) = clients.aws.as_ref().filter(|_| of_functions || of_endpoints) {
            match clients.stack().await.and_then(Stack::served) {
                Ok(served) => {
                    // Platforms that are not deployed are not checked.
                    if self.provider.is_empty() {
                        used = served.iter().map(|(provider, _)| *provider).collect();
                    }
                    if urls.is_empty() {
                        urls = served.into_iter().map(|(_, url)| url.to_owned()).collect();
                    }
                    if of_functions {
                        let [events, _, quarantine] = &queues;
                        let expected = [
                            ("TABLE_NAME", table.as_deref()),
                            ("QUEUE_URL", events.as_deref()),
                            ("QUARANTINE_QUEUE_URL", quarantine.as_deref()),
                        ];
                        let stack = &self.deployment.stack;
                        let (checks, entries) = functions::check(&clients, aws, stack, &used, expected).await?;
                        report.insert(Section::Functions, checks);
                        if wanted(Section::Secrets) {
                            report.insert(Section::Secrets, secrets::check(&clients, aws, entries).await);
                        }
                    }
                }
                Err(why) => {
                    for section in [Section::Functions, Section::Secrets] {
                        report.insert(section, vec![Check::unknown("stack", why.to_string(), "")]);
                    }
                }
            }
        }
        if of_endpoints {
            let (checks, clock) = endpoints::check(&urls, &used, is_here).await?;
            report.insert(Section::Endpoints, checks);
            report.insert(Section::Clock, vec![clock]);
        }
        if wanted(Section::Tools) {
            report.insert(Section::Tools, tools::check().await);
        }
        report.retain(|section, _| wanted(*section));
        Ok(report)
    }

    /// Whether only this machine is checked.
    fn is_here(&self) -> bool {
        let elsewhere = |url| arguments::address("--url", url).is_ok_and(|url| !host::is_this_machine(&url));
        !self.deployment.aws && !self.url.iter().any(|url| elsewhere(url))
    }

    fn sections(&self, is_here: bool) -> anyhow::Result<Vec<Section>> {
        let aws = self.deployment.aws;
        let mut of_aws = self.only.iter().filter(|section| matches!(section, Section::Functions | Section::Secrets));
        if !aws && let Some(section) = of_aws.next() {
            bail!("--only {} needs --aws: the local intake has none", section.name());
        }
        if !self.only.is_empty() {
            return Ok(self.only.clone());
        }
        let applies = |section: &Section| match section {
            Section::Table | Section::Queues => aws || is_here,
            Section::Functions | Section::Secrets => aws,
            Section::Endpoints | Section::Clock => true,
            // A deployed stack may have been built on another machine.
            Section::Tools => is_here,
        };
        Ok(Section::value_variants().iter().copied().filter(applies).collect())
    }
}

fn as_json(report: &Report) -> Vec<Value> {
    let all = report.iter().flat_map(|(section, checks)| checks.iter().map(move |check| (section, check)));
    all.map(|(section, check)| {
        let remedy = Some(&check.remedy).filter(|remedy| !remedy.is_empty());
        json!({
            "section": section.name(),
            "what": check.what,
            "status": check.verdict.shown().2,
            "finding": check.finding,
            "remedy": remedy,
        })
    })
    .collect()
}

fn as_text(report: &Report) -> String {
    let mut text = String::new();
    for (section, checks) in report {
        let _ = writeln!(text, "{BOLD}{}{BOLD:#}", section.heading());
        for Check { what, verdict, finding, remedy } in checks {
            let (colour, words, _) = verdict.shown();
            let _ = writeln!(text, "  {colour}{words:<15}{colour:#}  {what}: {finding}");
            if !remedy.is_empty() {
                let _ = writeln!(text, "  {:<15}  → {remedy}", "");
            }
        }
        text.push('\n');
    }
    text
}
