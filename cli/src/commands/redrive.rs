//! `hookgate redrive`: moves dead letters back to their queue, by SQS's own move task.

use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use aws_sdk_sqs::types::{ListMessageMoveTasksResultEntry, QueueAttributeName};
use serde_json::{Value, json};

use super::interrupted;
use crate::{
    client::aws::{Clients, Deployment, Queue},
    client::messages,
    error::ExitCode,
    output::{Progress, print, print_json},
};

/// How long SQS may take to list a task that it has started.
const LISTED: Duration = Duration::from_secs(30);

/// Move dead letters back to their queue, once the consumer is fixed.
///
/// SQS moves them itself, as new messages with the same content: age and receive count start again. Consumers recognise
/// events that they had before by `source` and `id`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  hookgate redrive
  hookgate redrive --aws --profile prod --max-per-second 20
  hookgate redrive --to hookgate-events

SQS knows the original queue only of messages that it moved to the dead-letter queue itself. Its task fails at a message \
that was sent there directly (CouldNotDetermineMessageSource): name the destination with --to.

Ctrl-C stops waiting; the task goes on in SQS.
Exit code: 0 all moved, or none to move; 1 not all moved; 2 failed.")]
pub struct Arguments {
    /// Move messages from this dead-letter queue, a name or URL [default: the installation's]
    #[arg(long, value_name = "QUEUE")]
    queue: Option<String>,
    /// Move them to this queue, a name or URL [default: the queue that each came from]
    #[arg(long, value_name = "QUEUE")]
    to: Option<String>,
    /// Move at most N messages a second, so that consumers keep up [default: SQS decides]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..=500))]
    max_per_second: Option<i32>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    deployment: Deployment,
}

/// Starts the move and waits for its end.
pub async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let clients = arguments.deployment.clients().await?;
    let url = clients.queue(Queue::DeadLetters, arguments.queue.as_deref()).await?;
    let to = match &arguments.to {
        Some(queue) => Some(arn_of(&clients, &clients.queue(Queue::Events, Some(queue)).await?).await?),
        None => None,
    };
    let moved = tokio::select! {
        moved = redrive(&clients, &url, to, arguments.max_per_second, !arguments.json) => moved?,
        () = interrupted() => return Err(anyhow!("stopped waiting: SQS goes on moving messages")),
    };
    if arguments.json {
        print_json(&moved.json())?;
    } else {
        print(moved.words())?;
    }
    if let Some(hidden) = &moved.hidden {
        eprintln!("{hidden} more are held by somebody else: try again in two minutes.");
    }
    Ok((moved.is_complete() && moved.hidden.is_none()).into())
}

/// What a redrive came to.
pub(crate) struct Moved {
    name: String,
    task: ListMessageMoveTasksResultEntry,
    /// How many were hidden for a while by somebody who looks at them, and left behind by the task.
    hidden: Option<String>,
}

impl Moved {
    fn is_complete(&self) -> bool {
        self.task.status() == Some("COMPLETED")
    }

    pub(crate) fn json(&self) -> Value {
        let Moved { name, task, hidden } = self;
        json!({
            "queue": name, "status": task.status().unwrap_or("UNKNOWN"),
            "moved": task.approximate_number_of_messages_moved(), "reason": task.failure_reason(), "hidden": hidden,
        })
    }

    pub(crate) fn words(&self) -> String {
        let Moved { name, task, hidden } = self;
        let moved = task.approximate_number_of_messages_moved();
        if self.is_complete() {
            return match moved {
                0 if hidden.is_none() => format!("The dead-letter queue {name} is empty."),
                _ => format!("Moved {moved} from {name}."),
            };
        }
        let reason = task.failure_reason();
        let mut words =
            format!("Moved {moved} from {name}, then {}", task.status().unwrap_or("UNKNOWN").to_lowercase());
        words += &reason.map_or_else(|| ".".to_owned(), |reason| format!(": {reason}."));
        if reason.is_some_and(|reason| reason.contains("CouldNotDetermineMessageSource")) {
            words += &format!("\nA message was sent to {name} directly: name its destination with --to.");
        }
        words
    }
}

/// Has SQS move the messages of the dead-letter queue at `url` to the queue with the ARN `to`, or to where each is from,
/// and waits until it has.
pub(crate) async fn redrive(
    clients: &Clients,
    url: &str,
    to: Option<String>,
    max_per_second: Option<i32>,
    show: bool,
) -> anyhow::Result<Moved> {
    let name = messages::name(url).to_owned();
    let arn = arn_of(clients, url).await?;
    let before = tasks(clients, &arn).await?.iter().map(|task| task.started_timestamp).max();
    let start = clients.sqs.start_message_move_task().source_arn(&arn).set_destination_arn(to);
    let start = start.set_max_number_of_messages_per_second(max_per_second).send().await;
    let started = start.map_err(|error| clients.failed(&format!("cannot move the messages of {name}"), &error))?;
    let task = finished(clients, &arn, started.task_handle(), before, show).await?;
    let mut attributes = messages::attributes(clients, url).await?;
    let hidden = attributes.remove(&QueueAttributeName::ApproximateNumberOfMessagesNotVisible);
    Ok(Moved { name, task, hidden: hidden.filter(|count| count != "0") })
}

async fn arn_of(clients: &Clients, url: &str) -> anyhow::Result<String> {
    let arn = messages::attributes(clients, url).await?.remove(&QueueAttributeName::QueueArn);
    arn.with_context(|| format!("SQS returned no ARN of {}", messages::name(url)))
}

/// The queue's latest tasks.
async fn tasks(clients: &Clients, arn: &str) -> anyhow::Result<Vec<ListMessageMoveTasksResultEntry>> {
    let list = clients.sqs.list_message_move_tasks().source_arn(arn).max_results(10).send().await;
    let list = list.map_err(|error| clients.failed("cannot read the progress of the move", &error))?;
    Ok(list.results.unwrap_or_default())
}

/// The task with this handle, when it has ended. `before` is the start of the latest earlier task.
///
/// SQS returns the handle of a running task only. A task that ended before it was seen running is taken to be the first
/// one after `before`. That is wrong only if somebody else's task started and ended between reading `before` and starting
/// this one.
async fn finished(
    clients: &Clients,
    arn: &str,
    handle: Option<&str>,
    before: Option<i64>,
    show: bool,
) -> anyhow::Result<ListMessageMoveTasksResultEntry> {
    let mut progress = show.then(Progress::new);
    let started = Instant::now();
    let mut began = None;
    loop {
        let tasks = tasks(clients, arn).await?;
        let running = tasks.iter().find(|task| task.task_handle.is_some() && task.task_handle() == handle);
        began = running.map(|task| task.started_timestamp).or(began);
        let may_be_it = |task: &ListMessageMoveTasksResultEntry| match began {
            Some(began) => task.started_timestamp == began,
            None => Some(task.started_timestamp) > before && task.task_handle.is_none(),
        };
        let Some(task) = tasks.into_iter().filter(may_be_it).min_by_key(|task| task.started_timestamp) else {
            if started.elapsed() > LISTED {
                bail!("SQS does not list the task that it has started: check the SQS console");
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
            continue;
        };
        if !matches!(task.status(), Some("RUNNING" | "CANCELLING")) {
            return Ok(task);
        }
        let count = |number: i64| u64::try_from(number).unwrap_or_default();
        if let Some(progress) = &mut progress {
            let most = task.approximate_number_of_messages_to_move().map_or(0, count);
            progress.show(count(task.approximate_number_of_messages_moved()), most);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
