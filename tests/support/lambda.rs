//! AWS Lambda on loopback: runs the real function binaries against the Runtime API (2018-06-01) and invokes them.

#![allow(dead_code, reason = "every test target uses its own part of this module")]

use std::{
    collections::VecDeque,
    path::Path,
    process::Stdio,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
    serve::ListenerExt,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    net::TcpListener,
    process::{Child, Command},
    sync::{Notify, oneshot},
    task::JoinSet,
    time::{sleep, timeout},
};

/// The longest any call waits for a process to do something.
const PATIENCE: Duration = Duration::from_secs(30);
/// The timeout the template gives every function.
const FUNCTION_TIMEOUT: Duration = Duration::from_secs(8);
/// Lambda's limit for a buffered response, in bytes.
const RESPONSE_LIMIT: usize = 6_291_556;

/// One Lambda function: several sandboxes (processes of the real binary), which poll one queue of invocations.
///
/// A sandbox that has died is not replaced unasked: see [`Function::respawn`]. Dropping the function kills them all.
pub struct Function {
    binary: String,
    env: Vec<(String, String)>,
    size: usize,
    shared: Arc<Shared>,
    /// Dropping the set aborts its tasks, which own the processes (`kill_on_drop`).
    tasks: Mutex<JoinSet<()>>,
}

/// What became of an invocation.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// What the function returned; for an HTTP API: `statusCode`, `headers`, `body`, `isBase64Encoded`.
    Response(Value),
    /// The runtime reported an error (`errorType`, `errorMessage`); API Gateway would answer 500.
    Error(Value),
    /// The sandbox exited before it answered, or there was none left to take the event.
    Died,
    /// The deadline passed. The sandbox is killed, as Lambda does.
    TimedOut,
}

/// What Lambda tells a sandbox along with the event.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// Unique, unless Lambda itself invokes again.
    pub request_id: String,
    /// Counts from the moment a sandbox takes the event, not while it is queued.
    pub deadline: Duration,
    /// In the format of `X-Amzn-Trace-Id`.
    pub trace_id: String,
    /// What is said of the deadline in place of the truth.
    pub deadline_header: Option<String>,
}

impl Default for Invocation {
    fn default() -> Self {
        let serial = serial();
        Self {
            request_id: format!("{:08x}-0000-4000-8000-{serial:012x}", std::process::id()),
            deadline: FUNCTION_TIMEOUT,
            deadline_header: None,
            trace_id: format!("Root=1-5bef4de7-{serial:024x};Parent={serial:016x};Sampled=0"),
        }
    }
}

/// How a process ended.
#[derive(Clone, Debug)]
pub struct Exit {
    /// None: ended by a signal.
    pub code: Option<i32>,
    /// What was posted to `/runtime/init/error`, if anything.
    pub init_error: Option<Value>,
    /// Everything written until then.
    pub log: Vec<String>,
}

impl Function {
    /// Starts the sandboxes and does not wait for them: invocations are queued until one polls.
    ///
    /// The environment is what Lambda sets, then `env`; nothing is inherited.
    pub async fn start(binary: &str, sandboxes: usize, env: &[(&str, String)]) -> Self {
        let function = Self {
            binary: binary.to_owned(),
            env: env.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
            size: sandboxes,
            shared: Arc::default(),
            tasks: Mutex::default(),
        };
        function.respawn().await;
        function
    }

    /// Hands one event (JSON, or invalid on purpose) to the sandbox that polls next, and waits for its answer.
    pub async fn invoke(&self, event: String) -> Answer {
        self.invoke_with(event, Invocation::default()).await
    }

    /// As [`Function::invoke`], with a chosen request id, deadline or trace.
    pub async fn invoke_with(&self, event: String, invocation: Invocation) -> Answer {
        let limit = PATIENCE + invocation.deadline;
        let (answer, answered) = oneshot::channel();
        let job = Job { serial: serial(), event, invocation, answer };
        self.shared.change(|state| {
            if state.running() > 0 {
                state.queue.push_back(job);
            }
        });
        match timeout(limit, answered).await {
            Ok(Ok(answer)) => answer,
            // Whoever held the job dropped it.
            Ok(Err(_)) => Answer::Died,
            Err(_) => Answer::TimedOut,
        }
    }

    /// Every line the sandboxes wrote to stdout and stderr so far. May lag behind an answer: see [`Function::logged`].
    pub fn log(&self) -> Vec<String> {
        self.shared.look(|state| state.log.clone())
    }

    /// Waits for a line that contains `text`.
    pub async fn logged(&self, text: &str) -> String {
        let line = self.shared.until(|state| state.log.iter().find(|line| line.contains(text)).cloned());
        let line = timeout(PATIENCE, line).await;
        line.unwrap_or_else(|_| panic!("no line contains {text:?}: {:#?}", self.log()))
    }

    /// SIGKILL to the sandbox that works on this invocation; returns when the process is gone. False: none does.
    pub async fn kill(&self, request_id: &str) -> bool {
        self.kill_where(|sandbox| sandbox.job.as_ref().is_some_and(|job| job.invocation.request_id == request_id)).await
    }

    /// SIGKILL to all sandboxes; returns when the processes are gone. What is queued ends as [`Answer::Died`].
    pub async fn kill_all(&self) {
        self.kill_where(|_| true).await;
    }

    /// Starts a sandbox in the place of every one that died or was killed.
    pub async fn respawn(&self) {
        for _ in self.shared.look(|state| state.running())..self.size {
            self.spawn().await;
        }
    }

    /// Waits until no sandbox is left, for functions that are meant to fail at start-up. The code is the last one's.
    pub async fn exit(&self) -> Exit {
        let exit = self.shared.until(|state| {
            let codes = state.sandboxes.iter().map(|sandbox| match sandbox.life {
                Life::Exited(code) => Some(code),
                Life::Running | Life::Killed => None,
            });
            let code = codes.collect::<Option<Vec<_>>>()?.pop()?;
            Some(Exit { code, init_error: state.init_error.clone(), log: state.log.clone() })
        });
        let exit = timeout(PATIENCE, exit).await;
        exit.unwrap_or_else(|_| panic!("{} is still running: {:#?}", self.binary, self.log()))
    }

    /// Sends this signal to every sandbox, and returns when they have it: `STOP` freezes them, `CONT` thaws them.
    pub async fn signal(&self, name: &str) {
        let ids =
            self.shared.look(|state| state.sandboxes.iter().filter_map(|sandbox| sandbox.process).collect::<Vec<_>>());
        for id in ids {
            let sent = Command::new("kill").args(["-s", name, &id.to_string()]).status().await;
            assert!(sent.is_ok_and(|status| status.success()), "no {name} to {id}");
        }
    }

    async fn kill_where(&self, chosen: impl Fn(&Sandbox) -> bool) -> bool {
        let ids = self.shared.look(|state| {
            let ids: Vec<usize> = (0..state.sandboxes.len())
                .filter(|&id| !state.sandboxes[id].has_exited() && chosen(&state.sandboxes[id]))
                .collect();
            for &id in &ids {
                state.sandboxes[id].kill();
            }
            ids
        });
        let gone = self.shared.until(|state| ids.iter().all(|&id| state.sandboxes[id].has_exited()).then_some(()));
        timeout(PATIENCE, gone).await.expect("a process outlives SIGKILL");
        !ids.is_empty()
    }

    async fn spawn(&self) {
        // A port for each sandbox, so that we know who polls.
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port on loopback");
        let address = listener.local_addr().expect("a bound listener").to_string();
        let name = Path::new(&self.binary).file_stem().map_or_else(String::new, |stem| stem.display().to_string());
        let child = Command::new(&self.binary)
            .env_clear()
            .envs(lambda_environment(&name, &address))
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {}: {error}", self.binary));

        let shared = Arc::clone(&self.shared);
        let sandbox = Sandbox { life: Life::Running, process: child.id(), job: None, killer: Arc::default() };
        let killer = Arc::clone(&sandbox.killer);
        let id = shared.look(|state| {
            state.sandboxes.push(sandbox);
            state.sandboxes.len() - 1
        });
        let listener = listener.tap_io(|connection| drop(connection.set_nodelay(true)));
        let api = runtime_api(Poller { id, name, shared: Arc::clone(&shared) });
        self.tasks.lock().unwrap().spawn(async move {
            tokio::select! {
                served = axum::serve(listener, api) => panic!("the Runtime API ended: {served:?}"),
                () = watch(shared, id, child, &killer) => {}
            }
        });
    }
}

/// Documented at <https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html>.
fn lambda_environment(name: &str, runtime_api: &str) -> Vec<(&'static str, String)> {
    let fixed = [
        ("AWS_REGION", "us-east-1"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "ASIAEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "example"),
        ("AWS_SESSION_TOKEN", "example"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
        ("AWS_LAMBDA_LOG_STREAM_NAME", "2026/01/01/[$LATEST]00000000000000000000000000000000"),
        ("_HANDLER", "bootstrap"),
        ("LAMBDA_TASK_ROOT", "/var/task"),
        ("LAMBDA_RUNTIME_DIR", "/var/runtime"),
        ("LANG", "en_US.UTF-8"),
        ("PATH", "/usr/local/bin:/usr/bin:/bin:/opt/bin"),
        ("TZ", ":UTC"),
    ];
    let mut environment: Vec<_> = fixed.map(|(name, value)| (name, value.to_owned())).into();
    environment.extend([
        ("AWS_LAMBDA_RUNTIME_API", runtime_api.to_owned()),
        ("AWS_LAMBDA_FUNCTION_NAME", name.to_owned()),
        ("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{name}")),
    ]);
    environment
}

/// Unique in this process.
fn serial() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Ordering::Relaxed) + 1
}

/// A monitor: one lock, and one condition that wakes whoever waits for a change.
#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Job>,
    /// Never shrinks: an index names one process for good.
    sandboxes: Vec<Sandbox>,
    init_error: Option<Value>,
    log: Vec<String>,
}

struct Job {
    /// Tells two invocations with the same request id apart.
    serial: u64,
    event: String,
    invocation: Invocation,
    /// Dropped without an answer, it means [`Answer::Died`].
    answer: oneshot::Sender<Answer>,
}

struct Sandbox {
    life: Life,
    /// Its id.
    process: Option<u32>,
    /// What it took and has not answered yet.
    job: Option<Job>,
    killer: Arc<Notify>,
}

enum Life {
    Running,
    /// Takes nothing any more, though the process may not be gone yet.
    Killed,
    Exited(Option<i32>),
}

impl Sandbox {
    fn has_exited(&self) -> bool {
        matches!(self.life, Life::Exited(_))
    }

    fn kill(&mut self) {
        if matches!(self.life, Life::Running) {
            self.life = Life::Killed;
            self.killer.notify_one();
        }
    }
}

impl State {
    fn running(&self) -> usize {
        self.sandboxes.iter().filter(|sandbox| matches!(sandbox.life, Life::Running)).count()
    }

    /// Moves the oldest job that someone still waits for to this sandbox.
    fn take(&mut self, id: usize) -> Option<&Job> {
        let sandbox = &mut self.sandboxes[id];
        if !matches!(sandbox.life, Life::Running) {
            return None;
        }
        let queue = &mut self.queue;
        let job = std::iter::from_fn(|| queue.pop_front()).find(|job| !job.answer.is_closed())?;
        Some(sandbox.job.insert(job))
    }
}

impl Shared {
    fn look<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().unwrap())
    }

    fn change<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        let result = self.look(act);
        self.changed.notify_waiters();
        result
    }

    async fn until<T>(&self, mut found: impl FnMut(&mut State) -> Option<T>) -> T {
        loop {
            // Before the look, or a change right after it would go unnoticed.
            let changed = self.changed.notified();
            if let Some(result) = self.look(&mut found) {
                return result;
            }
            changed.await;
        }
    }
}

/// Lives as long as the process: collects what it writes, kills it on demand, and settles what it leaves behind.
async fn watch(shared: Arc<Shared>, id: usize, mut child: Child, killer: &Notify) {
    let stdout = child.stdout.take().expect("stdout is piped");
    let stderr = child.stderr.take().expect("stderr is piped");
    let exit = async {
        tokio::select! {
            status = child.wait() => status,
            () = killer.notified() => {
                // Refused only if it has exited by itself.
                let _ = child.start_kill();
                child.wait().await
            }
        }
    };
    let (status, (), ()) = tokio::join!(exit, collect(&shared, stdout), collect(&shared, stderr));
    let code = status.expect("the status of a child process").code();
    shared.change(|state| {
        state.sandboxes[id].life = Life::Exited(code);
        state.sandboxes[id].job = None;
        if state.running() == 0 {
            state.queue.clear();
        }
    });
}

async fn collect(shared: &Shared, output: impl AsyncRead + Unpin) {
    let mut output = BufReader::new(output);
    let mut line = Vec::new();
    while output.read_until(b'\n', &mut line).await.is_ok_and(|read| read > 0) {
        let text = String::from_utf8_lossy(&line).trim_end_matches('\n').to_owned();
        shared.change(|state| state.log.push(text));
        line.clear();
    }
}

/// One sandbox, as its Runtime API knows it.
#[derive(Clone)]
struct Poller {
    id: usize,
    name: String,
    shared: Arc<Shared>,
}

fn runtime_api(poller: Poller) -> Router {
    Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(next))
        .route("/2018-06-01/runtime/invocation/{request_id}/response", post(response))
        .route("/2018-06-01/runtime/invocation/{request_id}/error", post(error))
        .route("/2018-06-01/runtime/init/error", post(init_error))
        // Refused unread, a large body would break the connection, and that ends the process.
        .layer(extract::DefaultBodyLimit::disable())
        .with_state(poller)
}

async fn next(extract::State(poller): extract::State<Poller>) -> Response {
    let Poller { id, name, shared } = poller;
    let (serial, event, invocation) =
        shared.until(|state| state.take(id).map(|job| (job.serial, job.event.clone(), job.invocation.clone()))).await;
    let deadline = SystemTime::now() + invocation.deadline;
    let said = invocation.deadline_header.clone().unwrap_or_else(|| unix_millis(deadline).to_string());
    tokio::spawn(async move {
        sleep(invocation.deadline).await;
        shared.look(|state| {
            let sandbox = &mut state.sandboxes[id];
            if let Some(job) = sandbox.job.take_if(|job| job.serial == serial) {
                let _ = job.answer.send(Answer::TimedOut);
                sandbox.kill();
            }
        });
    });
    Response::builder()
        .header("content-type", "application/json")
        .header("lambda-runtime-aws-request-id", invocation.request_id)
        .header("lambda-runtime-deadline-ms", said)
        .header("lambda-runtime-invoked-function-arn", format!("arn:aws:lambda:us-east-1:123456789012:function:{name}"))
        .header("lambda-runtime-trace-id", invocation.trace_id)
        .body(Body::from(event))
        .expect("request id and trace id fit into headers")
}

async fn response(
    extract::State(poller): extract::State<Poller>,
    extract::Path(request_id): extract::Path<String>,
    body: Bytes,
) -> Response {
    if body.len() > RESPONSE_LIMIT {
        let message = format!("Response payload size exceeded maximum allowed payload size ({RESPONSE_LIMIT} bytes).");
        let error = json!({"errorType": "Function.ResponseSizeTooLarge", "errorMessage": message});
        poller.answer(&request_id, Answer::Error(error));
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    }
    poller.answer(&request_id, Answer::Response(read_json(&body)))
}

async fn error(
    extract::State(poller): extract::State<Poller>,
    extract::Path(request_id): extract::Path<String>,
    body: Bytes,
) -> Response {
    poller.answer(&request_id, Answer::Error(read_json(&body)))
}

async fn init_error(extract::State(poller): extract::State<Poller>, body: Bytes) -> Response {
    poller.shared.change(|state| state.init_error = Some(read_json(&body)));
    accepted()
}

impl Poller {
    fn answer(&self, request_id: &str, answer: Answer) -> Response {
        let job = self
            .shared
            .look(|state| state.sandboxes[self.id].job.take_if(|job| job.invocation.request_id == request_id));
        let Some(job) = job else {
            let error = json!({"errorType": "InvalidRequestID", "errorMessage": "Invalid request ID"});
            return (StatusCode::BAD_REQUEST, Json(error)).into_response();
        };
        // The caller may have gone away, as an HTTP client may.
        let _ = job.answer.send(answer);
        accepted()
    }
}

fn accepted() -> Response {
    (StatusCode::ACCEPTED, Json(json!({"status": "OK"}))).into_response()
}

fn read_json(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap_or_else(|_| String::from_utf8_lossy(body).into())
}

fn unix_millis(at: SystemTime) -> u128 {
    at.duration_since(UNIX_EPOCH).expect("a time after 1970").as_millis()
}
