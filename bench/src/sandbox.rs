//! One execution environment as Lambda runs it: the function's process, and the Runtime API (2018-06-01) that it calls.

use std::{
    process::Stdio,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, bail};
use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request, Response,
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use nix::{
    sys::signal::{Signal, kill},
    time::{clock_getcpuclockid, clock_gettime},
    unistd::Pid,
};
use tokio::{
    net::TcpListener,
    process::{Child, Command},
    sync::{mpsc, oneshot},
    time::{sleep, timeout},
};

/// How long a function may be silent: valgrind is slow.
const PATIENCE: Duration = Duration::from_mins(1);

/// A running function that waits for its next event.
pub struct Sandbox {
    child: Child,
    pid: Pid,
    said: mpsc::UnboundedReceiver<Said>,
    next: oneshot::Sender<Event>,
    invocations: usize,
    charged: Duration,
    /// From just before the process was started to its first request for an event.
    pub init: Duration,
}

/// A function's calls of the Runtime API.
enum Said {
    /// It is ready for an event.
    Next { at: Instant, next: oneshot::Sender<Event> },
    /// It has answered.
    Answered { at: Instant, body: Bytes },
    /// It reports a failure.
    Failed(Bytes),
}

struct Event {
    request_id: String,
    payload: Bytes,
}

impl Sandbox {
    /// Starts the function and waits until it asks for an event. Its environment is Lambda's, and `environment`.
    pub async fn start(command: &[String], folder: &str, environment: &[(String, String)]) -> Result<Self> {
        let (program, arguments) = command.split_first().context("no command")?;
        let (api, mut said) = runtime_api().await?;
        let started = Instant::now();
        let mut child = Command::new(program)
            .args(arguments)
            .current_dir(folder)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .envs(LAMBDA)
            .env("AWS_LAMBDA_RUNTIME_API", api)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {program}"))?;
        let pid = Pid::from_raw(child.id().context("it has ended")?.try_into()?);
        let Said::Next { at, next } = hear(&mut said, &mut child).await? else { bail!("it answers unasked") };
        Ok(Sandbox { child, pid, said, next, invocations: 0, charged: Duration::ZERO, init: at - started })
    }

    /// Hands over one event, and waits for the answer and for the request for the next event. Returns how long the answer
    /// took, and the answer.
    pub async fn invoke(&mut self, payload: String) -> Result<(Duration, Bytes)> {
        self.invocations += 1;
        let request_id = format!("{:08x}-0000-4000-8000-{:012x}", self.pid.as_raw(), self.invocations);
        // Replaced below, when the function asks again.
        let next = std::mem::replace(&mut self.next, oneshot::channel().0);
        let started = Instant::now();
        if next.send(Event { request_id, payload: payload.into() }).is_err() {
            bail!("it hung up");
        }
        let (at, body) = match hear(&mut self.said, &mut self.child).await? {
            Said::Answered { at, body } => (at, body),
            Said::Failed(body) => bail!("it failed: {}", String::from_utf8_lossy(&body)),
            Said::Next { .. } => bail!("it asks for an event before it answered the last one"),
        };
        let Said::Next { next, .. } = hear(&mut self.said, &mut self.child).await? else {
            bail!("it answers twice");
        };
        self.next = next;
        Ok((at - started, body))
    }

    /// CPU time of all its threads since the last call: from one request for an event to a later one.
    pub async fn cpu(&mut self) -> Result<Duration> {
        // The CPU time of the last invocation is complete only when the process sleeps again.
        sleep(Duration::from_millis(1)).await;
        let charged: Duration = clock_gettime(clock_getcpuclockid(self.pid)?)?.into();
        Ok(charged.saturating_sub(std::mem::replace(&mut self.charged, charged)))
    }

    /// The peak of resident memory, in MiB.
    pub fn peak_memory(&self) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = line.and_then(|line| line.split_whitespace().next()).context("no VmHWM")?;
        Ok(kilobytes.parse::<f64>()? / 1024.0)
    }

    /// Asks the process to end, so that a tool around it can report, and waits until it has.
    pub async fn stop(mut self) -> Result<()> {
        kill(self.pid, Signal::SIGTERM)?;
        timeout(PATIENCE, self.child.wait()).await.context("it outlives SIGTERM")??;
        Ok(())
    }
}

/// The variables that Lambda sets for every function and that a function here reads.
const LAMBDA: [(&str, &str); 16] = [
    ("LANG", "en_US.UTF-8"),
    ("TZ", ":UTC"),
    ("AWS_REGION", "us-east-1"),
    ("AWS_DEFAULT_REGION", "us-east-1"),
    ("AWS_ACCESS_KEY_ID", "ASIAEXAMPLE"),
    ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
    ("AWS_SESSION_TOKEN", "example"),
    ("AWS_EXECUTION_ENV", "AWS_Lambda_provided.al2023"),
    ("AWS_LAMBDA_FUNCTION_NAME", "bench"),
    ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
    ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
    ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/bench"),
    ("AWS_LAMBDA_LOG_STREAM_NAME", "bench"),
    ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
    ("LAMBDA_TASK_ROOT", "/var/task"),
    ("_HANDLER", "bootstrap"),
];

async fn hear(said: &mut mpsc::UnboundedReceiver<Said>, child: &mut Child) -> Result<Said> {
    tokio::select! {
        biased;
        said = said.recv() => said.context("the Runtime API ended"),
        status = child.wait() => bail!("it ended: {}", status?),
        () = sleep(PATIENCE) => bail!("it said nothing for {PATIENCE:?}"),
    }
}

/// Serves the Runtime API. Returns its address, and the function's calls.
async fn runtime_api() -> Result<(String, mpsc::UnboundedReceiver<Said>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    let (say, said) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            let say = say.clone();
            tokio::spawn(async move {
                let service = service_fn(async |request| route(request, &say).await);
                // Fails when the function is stopped, which is fine.
                let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    Ok((address, said))
}

async fn route(request: Request<Incoming>, say: &mpsc::UnboundedSender<Said>) -> Result<Response<Full<Bytes>>> {
    let at = Instant::now();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    if method == Method::GET && path.ends_with("/invocation/next") {
        let (next, event) = oneshot::channel();
        say.send(Said::Next { at, next })?;
        let Event { request_id, payload } = event.await?;
        let deadline = SystemTime::now().duration_since(UNIX_EPOCH)? + PATIENCE;
        return Ok(Response::builder()
            .header("content-type", "application/json")
            .header("lambda-runtime-aws-request-id", request_id)
            .header("lambda-runtime-deadline-ms", deadline.as_millis().to_string())
            .header("lambda-runtime-invoked-function-arn", "arn:aws:lambda:us-east-1:123456789012:function:bench")
            .header(
                "lambda-runtime-trace-id",
                "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=0",
            )
            .body(Full::new(payload))?);
    }
    let body = request.into_body().collect().await?.to_bytes();
    let at = Instant::now();
    say.send(if path.ends_with("/response") { Said::Answered { at, body } } else { Said::Failed(body) })?;
    Ok(Response::builder().status(202).body(Full::new(Bytes::from_static(br#"{"status":"OK"}"#)))?)
}
