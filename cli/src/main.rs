//! `hookgate`: starts the local intake, or runs a subcommand.

use std::process;

use clap::{CommandFactory, Parser, Subcommand, error::ErrorKind};
use hookgate::{
    arguments,
    commands::{
        claims, completions, doctor, explain, listen, quarantine, redrive, register, replay, send, start, tail, trace,
    },
    error::{ExitCode, report},
};

/// Run the webhook intake on this machine: every platform's function, DynamoDB and SQS, without an AWS account.
///
/// Without a subcommand, starts the intake, sends every sample three times (new, repeated, tampered), prints the results,
/// and waits for your deliveries.
#[derive(Parser)]
#[command(
    version,
    args_conflicts_with_subcommands = true,
    after_help = arguments::examples("Examples:
  hookgate                     start, send the samples, run until Ctrl-C; see http://127.0.0.1:9000/
  hookgate --once              start, send the samples, exit
  hookgate --no-samples --secrets my-secrets.json
  hookgate send PLATFORM EVENT
  hookgate explain PLATFORM request.txt --secrets my-secrets.json
  hookgate tail --type 'order.*'
  hookgate trace order/8f3e
  hookgate listen --forward-to http://localhost:3000/hooks
  hookgate quarantine list
  hookgate doctor

Exit code: 0 as expected, 1 not as expected, 2 failed: the error says why.")
)]
struct CommandLine {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    start: start::Arguments,
}

#[derive(Subcommand)]
enum Command {
    Send(Box<send::Arguments>),
    Explain(explain::Arguments),
    Tail(tail::Arguments),
    Trace(Box<trace::Arguments>),
    Listen(Box<listen::Arguments>),
    Quarantine(quarantine::Arguments),
    Redrive(redrive::Arguments),
    Replay(Box<replay::Arguments>),
    Claims(claims::Arguments),
    Register(register::Arguments),
    Doctor(doctor::Arguments),
    Completions(completions::Arguments),
}

/// Subcommands of other tools, and what to use here.
const HABITS: [(&[&str], &str); 7] = [
    (&["start", "serve", "dev", "up", "run", "intake"], "hookgate starts the local intake without a subcommand"),
    (&["trigger", "fixtures", "simulate", "post"], "hookgate send sends a signed sample"),
    (&["logs", "log", "events", "watch", "follow"], "hookgate tail shows events as they arrive"),
    (&["find", "history", "timeline", "track", "status", "where"], "hookgate trace shows what happened to an event"),
    (&["forward", "proxy", "tunnel", "connect"], "hookgate listen forwards events to code on this machine"),
    (&["verify", "validate", "debug", "why", "inspect"], "hookgate explain says why a signature does not match"),
    (&["dlq", "retry", "resend", "requeue"], "hookgate redrive moves dead letters back to their queue"),
];

fn main() -> process::ExitCode {
    let arguments = CommandLine::try_parse().unwrap_or_else(|mut error| {
        if error.kind() == ErrorKind::InvalidSubcommand || error.kind() == ErrorKind::UnknownArgument {
            let typed = std::env::args().nth(1).unwrap_or_default();
            if let Some((_, hint)) = HABITS.iter().find(|(words, _)| words.contains(&&*typed)) {
                error = CommandLine::command()
                    .error(ErrorKind::InvalidSubcommand, format!("unknown subcommand '{typed}': {hint}"));
            }
        }
        error.exit()
    });
    let ended = tokio::runtime::Runtime::new()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(run(arguments)));
    report(ended).into()
}

async fn run(CommandLine { command, start }: CommandLine) -> anyhow::Result<ExitCode> {
    let Some(command) = command else { return start::run(start).await };
    match command {
        Command::Send(arguments) => send::run(*arguments).await,
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Tail(arguments) => tail::run(&arguments).await,
        Command::Trace(arguments) => trace::run(&arguments).await,
        Command::Listen(arguments) => listen::run(&arguments).await,
        Command::Quarantine(arguments) => quarantine::run(&arguments).await,
        Command::Redrive(arguments) => redrive::run(&arguments).await,
        Command::Replay(arguments) => replay::run(&arguments).await,
        Command::Claims(arguments) => claims::run(&arguments).await,
        Command::Register(arguments) => register::run(arguments).await,
        Command::Doctor(arguments) => doctor::run(arguments).await,
        Command::Completions(arguments) => completions::run(&arguments, CommandLine::command()),
    }
}
