//! Runs whole functions as Lambda would, and prints what a start and a delivery cost. `bench/run` builds them first.
//!
//! ```text
//! table [COLD WARM [TEXT]]            cold starts and warm deliveries, a row each (those with TEXT in their name)
//! curve [DELIVERIES]                  CPU per delivery over the size of its body
//! platform                            the name of the platform whose function is measured
//! count OUTCOME BYTES NUMBER COMMAND… sends deliveries to one process, prints their cost
//! ```

mod aws;
mod sandbox;

use std::{
    io::Write,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use flate2::{Compression, write::DeflateEncoder};
use hookgate_bench::{SECRET, body, invocation, plainest, signed};
use hookgate_verify::providers::Identity;
use hyper::body::Bytes;

use aws::Aws;
use sandbox::Sandbox;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// A function to measure.
struct Subject {
    /// Where it runs, in the repository.
    folder: &'static str,
    /// `{platform}` stands for the name of the platform whose function is measured.
    command: &'static [&'static str],
    environment: &'static [(&'static str, &'static str)],
    /// The command that builds it, run in its folder.
    remedy: &'static str,
}

const HOOKGATE: Subject = Subject {
    folder: ".",
    command: &["target/release/{platform}"],
    environment: &[("WEBHOOK_SECRETS", r#"["whsec_test"]"#)],
    remedy: "cargo build --release --package hookgate-functions --bin {platform}",
};
const HOOKGATE_WITH_SECRETS_MANAGER: Subject = Subject { environment: &[("SECRET_ID", "hookgate")], ..HOOKGATE };
const HOOKGATE_GUIDED: Subject = Subject { command: &["target/pgo/{platform}"], remedy: "bench/pgo", ..HOOKGATE };
const HELLO: Subject = Subject {
    folder: "bench",
    command: &["target/release/floor-hello"],
    environment: &[],
    remedy: "cargo build --release --package floor-hello",
};
const HAND_SIGNED: Subject = Subject {
    folder: "bench",
    command: &["target/release/floor-hand-signed"],
    environment: &[],
    remedy: "cargo build --release --package floor-hand-signed",
};
const NODE: Subject = Subject {
    folder: "bench/peers/node",
    command: &["node_modules/aws-lambda-ric/bin/index.mjs", "index.handler"],
    environment: &[("WEBHOOK_SECRET", SECRET)],
    remedy: "npm install && npm run build # with cmake, autoconf, libtool and libcurl4-openssl-dev",
};
const PYTHON: Subject = Subject {
    folder: "bench/peers/python",
    command: &["venv/bin/python3", "-m", "awslambdaric", "app.handler"],
    environment: &[("WEBHOOK_SECRET", SECRET)],
    remedy: "python3 -m venv venv && venv/bin/pip install -r requirements.txt",
};

/// The outcomes that are measured.
#[derive(Clone, Copy, PartialEq)]
enum Outcome {
    Queued,
    Duplicate,
    Rejected,
}

const ROWS: [(&str, Subject, Outcome, usize); 11] = [
    ("floor: `lambda_http`, no AWS", HELLO, Outcome::Queued, 1024),
    ("lower bound: signed by hand", HAND_SIGNED, Outcome::Queued, 1024),
    ("**Hookgate, fresh**", HOOKGATE, Outcome::Queued, 1024),
    ("Hookgate, duplicate", HOOKGATE, Outcome::Duplicate, 1024),
    ("Hookgate, rejected", HOOKGATE, Outcome::Rejected, 1024),
    ("Hookgate, fresh, 64 KiB", HOOKGATE, Outcome::Queued, 64 * 1024),
    ("Hookgate, rejected, 64 KiB", HOOKGATE, Outcome::Rejected, 64 * 1024),
    ("Hookgate, fresh, Secrets Manager", HOOKGATE_WITH_SECRETS_MANAGER, Outcome::Queued, 1024),
    ("Hookgate, fresh, profile-guided", HOOKGATE_GUIDED, Outcome::Queued, 1024),
    ("Node + Powertools", NODE, Outcome::Queued, 1024),
    ("Python + Powertools", PYTHON, Outcome::Queued, 1024),
];

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["table"] => table(15, 2_000, "").await,
        ["table", cold, warm] => table(cold.parse()?, warm.parse()?, "").await,
        ["table", cold, warm, text] => table(cold.parse()?, warm.parse()?, text).await,
        ["curve"] => curve(200).await,
        ["curve", deliveries] => curve(deliveries.parse()?).await,
        ["platform"] => {
            println!("{}", plainest().name);
            Ok(())
        }
        ["count", outcome, size, number, ref command @ ..] => {
            let outcome = match outcome {
                "queued" => Outcome::Queued,
                "duplicate" => Outcome::Duplicate,
                "rejected" => Outcome::Rejected,
                _ => bail!("an outcome is queued, duplicate or rejected"),
            };
            let command: Vec<String> = command.iter().map(ToString::to_string).collect();
            count(Sender::new(outcome, size.parse()?), number.parse()?, &command).await
        }
        _ => bail!(
            "usage: table [COLD WARM [TEXT]] | curve [DELIVERIES] | platform | count OUTCOME BYTES NUMBER COMMAND…"
        ),
    }
}

async fn table(cold: usize, warm: usize, text: &str) -> Result<()> {
    println!(
        "| one function, release build | binary (deflated) MB | init ms | first call ms (CPU) \
         | cold, start to answer ms, least (CPU) | warm CPU ms per call (least) | warm p50 / p99 ms | peak memory MiB | AWS calls |\n\
         |---|---|---|---|---|---|---|---|---|"
    );
    for (name, subject, outcome, size) in ROWS.iter().filter(|(name, ..)| name.contains(text)) {
        if subject.program().exists() {
            println!("| {name} {}", row(subject, *outcome, *size, cold, warm).await.context(*name)?);
        } else {
            let remedy = subject.remedy.replace("{platform}", plainest().name);
            eprintln!("{name}: not here. To have it: (cd {} && {remedy})", subject.folder);
        }
    }
    Ok(())
}

impl Subject {
    fn program(&self) -> PathBuf {
        Path::new(ROOT).join(self.folder).join(self.command[0].replace("{platform}", plainest().name))
    }

    async fn start(&self, aws: &Aws) -> Result<Sandbox> {
        let program = self.program().display().to_string();
        let command: Vec<String> =
            [program].into_iter().chain(self.command[1..].iter().map(ToString::to_string)).collect();
        Sandbox::start(&command, &format!("{ROOT}/{}", self.folder), &self.environment(aws)).await
    }

    fn environment(&self, aws: &Aws) -> Vec<(String, String)> {
        let (provider, given) = (plainest(), self.environment.iter());
        let Identity::Id(id) = provider.identity else { unreachable!("the plainest platform has ids") };
        // The peers need these facts of the platform: they work for any that is as simple.
        let peers = [
            ("TABLE_NAME", "hookgate-claims"),
            ("SIGNATURE_HEADER", provider.default_schemes()[0].signature_header().unwrap_or_default()),
            ("EVENT_ID", id),
            ("EVENT_NAME", provider.fields.name.member().unwrap_or_default()),
            ("EVENT_TIME", provider.fields.time),
            ("EVENT_DATA", provider.fields.payload_member().unwrap_or_default()),
        ];
        let given = given.chain(&peers).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        aws.environment.iter().cloned().chain(given).collect()
    }
}

/// Makes the deliveries, all different unless they are to be duplicates.
struct Sender {
    outcome: Outcome,
    size: usize,
    sent: usize,
}

impl Sender {
    fn new(outcome: Outcome, size: usize) -> Self {
        Sender { outcome, size, sent: 0 }
    }

    fn next(&mut self) -> String {
        self.sent += 1;
        let number = if self.outcome == Outcome::Duplicate { 1 } else { self.sent };
        let scheme = &plainest().default_schemes()[0];
        let mut signed = signed(scheme, &body(plainest(), number, self.size));
        if self.outcome == Outcome::Rejected {
            let (_, signature) = &mut signed.headers[0];
            let wrong = if signature.starts_with('0') { "1" } else { "0" };
            signature.replace_range(..1, wrong);
        }
        invocation(plainest(), &signed)
    }

    /// Fails unless this is the expected answer.
    fn check(&self, answer: &Bytes) -> Result<()> {
        let answer = String::from_utf8_lossy(answer);
        // Only Hookgate's answer has an outcome.
        let expected = match self.outcome {
            _ if !answer.contains("outcome") => r#""statusCode":20"#,
            Outcome::Queued => r#"\"queued\""#,
            Outcome::Duplicate => r#"\"duplicate\""#,
            Outcome::Rejected => r#"\"rejected\""#,
        };
        ensure!(answer.replace(": ", ":").contains(expected), "the answer was {answer}");
        Ok(())
    }
}

/// One row of the table: cold starts, and warm deliveries to the last of them.
async fn row(subject: &Subject, outcome: Outcome, size: usize, cold: usize, warm: usize) -> Result<String> {
    let aws = Aws::start().await?;
    let mut sender = Sender::new(outcome, size);
    let (mut init, mut first, mut first_cpu) = (vec![], vec![], vec![]);
    let (mut start, mut start_cpu) = (vec![], vec![]);

    // The first start is not counted: it reads the file from the disk, and sends the event that later ones repeat.
    let mut sandbox = subject.start(&aws).await?;
    sandbox.invoke(sender.next()).await?;
    for _ in 0..cold {
        sandbox = subject.start(&aws).await?;
        let init_cpu = sandbox.cpu().await?;
        let (wall, answer) = sandbox.invoke(sender.next()).await?;
        sender.check(&answer)?;
        let cpu = sandbox.cpu().await?;
        init.push(sandbox.init);
        first.push(wall);
        first_cpu.push(cpu);
        start.push(sandbox.init + wall);
        start_cpu.push(init_cpu + cpu);
    }

    let (calls, mut walls, mut cpu) = (aws.calls(), vec![], vec![]);
    let batch = warm.div_ceil(10).max(1);
    for _ in 0..10 {
        sandbox.cpu().await?;
        for _ in 0..batch {
            let (wall, answer) = sandbox.invoke(sender.next()).await?;
            sender.check(&answer)?;
            walls.push(wall);
        }
        cpu.push(sandbox.cpu().await? / u32::try_from(batch)?);
    }
    let calls = aws.calls() - calls;
    let memory = sandbox.peak_memory()?;

    let file = std::fs::read(subject.program())?;
    let binary = if subject.command.len() == 1 {
        let mut deflated = DeflateEncoder::new(Vec::new(), Compression::best());
        deflated.write_all(&file)?;
        format!("{:.2} ({:.2})", megabytes(file.len()), megabytes(deflated.finish()?.len()))
    } else {
        "–".to_owned()
    };
    Ok(format!(
        "| {binary} | {:.1} | {:.2} ({:.2}) | {:.1}, {:.1} ({:.1}) | {:.3} ({:.3}) | {:.2} / {:.2} | {memory:.1} | {} |",
        middle(&mut init),
        middle(&mut first),
        middle(&mut first_cpu),
        middle(&mut start),
        quantile(&mut start, 0),
        middle(&mut start_cpu),
        middle(&mut cpu),
        quantile(&mut cpu, 0),
        middle(&mut walls),
        quantile(&mut walls, 99),
        calls / (batch as u64 * 10),
    ))
}

/// How the CPU time of a delivery grows with its body.
async fn curve(deliveries: usize) -> Result<()> {
    println!(
        "| body, bytes | fresh: CPU ms (ns per byte) | rejected: CPU ms (ns per byte) | peak memory MiB |\n|---|---|---|---|"
    );
    for size in [1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 512 << 10, 900 << 10, 2 << 20, 4 << 20, 6_000_000] {
        print!("| {size}");
        let mut memory = 0.0_f64;
        for outcome in [Outcome::Queued, Outcome::Rejected] {
            let aws = Aws::start().await?;
            let mut sender = Sender::new(outcome, size);
            let mut sandbox = HOOKGATE.start(&aws).await?;
            let mut cpu = Vec::new();
            // Large ones take long enough to be measured one by one.
            let batch = (deliveries / 10).min((1 << 20) / size).max(1);
            for _ in 0..10 {
                sandbox.cpu().await?;
                for _ in 0..batch {
                    let (_, answer) = sandbox.invoke(sender.next()).await?;
                    sender.check(&answer)?;
                }
                cpu.push(sandbox.cpu().await? / u32::try_from(batch)?);
            }
            memory = memory.max(sandbox.peak_memory()?);
            let least = quantile(&mut cpu, 0);
            #[allow(clippy::cast_precision_loss, reason = "sizes are far below 2^52")]
            let per_byte = least * 1e6 / size as f64;
            print!(" | {least:.3} ({per_byte:.1})");
        }
        println!(" | {memory:.1} |");
    }
    Ok(())
}

/// Sends deliveries to one process of this command, then ends it. A tool like valgrind may wrap the function.
async fn count(mut sender: Sender, number: u32, command: &[String]) -> Result<()> {
    let aws = Aws::start().await?;
    let mut sandbox = Sandbox::start(command, ".", &HOOKGATE.environment(&aws)).await?;
    // The event that the others repeat.
    sandbox.invoke(sender.next()).await?;
    sandbox.cpu().await?;
    let (calls, connections) = (aws.calls(), aws.connections());
    for _ in 0..number {
        let (_, answer) = sandbox.invoke(sender.next()).await?;
        sender.check(&answer)?;
    }
    let cpu = milliseconds(sandbox.cpu().await? / number);
    let (calls, opened) = (aws.calls() - calls, aws.connections() - connections);
    sandbox.stop().await?;
    println!(
        r#"{{"aws_calls": {calls}, "cpu_ms_each": {cpu:.3}, "connections": {connections}, "opened_later": {opened}}}"#
    );
    Ok(())
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

fn middle(durations: &mut [Duration]) -> f64 {
    quantile(durations, 50)
}

/// The least for 0, the median for 50, in milliseconds.
fn quantile(durations: &mut [Duration], percent: usize) -> f64 {
    durations.sort_unstable();
    milliseconds(durations[(durations.len() - 1) * percent / 100])
}

#[allow(clippy::cast_precision_loss, reason = "sizes are far below 2^52")]
fn megabytes(bytes: usize) -> f64 {
    bytes as f64 / 1e6
}
