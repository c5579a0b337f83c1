//! What stands between the functions and AWS, and fails on demand: call by call, by a plan, and keeps a record.
//!
//! Faults strike calls, not connections: the SDK keeps its connections open, and a plan is about "the second `PutItem`".
//! So this speaks just enough HTTP/1.1 to tell one call from the next: the SDK and both engines announce every body's
//! length.

#![allow(dead_code, reason = "every test target uses its own part of this module")]

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use hookgate::local::engines::Engines;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::Notify,
    task::JoinSet,
    time::sleep,
};

/// How long [`Fault::Refuse`] lasts: all attempts that the SDK makes at one call must fall into it.
const REFUSAL: Duration = Duration::from_millis(300);

/// An answer under [`Fault::Drip`] comes in this many pieces, with this pause before each: slower than any attempt here
/// may take.
const DRIP: (usize, Duration) = (60, Duration::from_millis(25));

/// What goes wrong with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    // AWS never sees the call.
    /// Nothing listens at the service's address, for a while.
    Refuse,
    /// The connection breaks before the call is through.
    ResetBefore,
    /// No answer, ever.
    Hang,
    /// 400, turned down for the load.
    Throttle,
    /// 500.
    Error,
    /// 503.
    Overload,
    /// The function dies.
    KillBefore,
    // AWS does what the call asks, but the function does not learn of it.
    /// The connection breaks instead of the answer.
    ResetAfter,
    /// The answer never comes.
    HangAfter,
    /// 500 instead of the answer: AWS says itself that the call may have been done.
    ErrorAfter,
    /// 200, with JSON that ends in the middle.
    Garbage,
    /// The answer comes a few bytes at a time, slower than anyone waits.
    Drip,
    /// The call reaches AWS so many milliseconds late. Nobody waits for it any more.
    Late(u64),
    /// The function dies while the call is on its way.
    KillInFlight,
    /// The function dies while the answer is on its way.
    KillAfter,
}

/// AWS never sees the call; the function lives.
pub const NOT_DONE: &[Fault] =
    &[Fault::Refuse, Fault::ResetBefore, Fault::Hang, Fault::Throttle, Fault::Error, Fault::Overload];
/// AWS does what the call asks, and the function, though alive, does not learn of it.
pub const UNHEARD: &[Fault] =
    &[Fault::ResetAfter, Fault::HangAfter, Fault::ErrorAfter, Fault::Garbage, Fault::Drip, Fault::Late(2_000)];
/// The function dies.
pub const KILLS: &[Fault] = &[Fault::KillBefore, Fault::KillInFlight, Fault::KillAfter];

/// One attempt at a call, as the proxy saw it.
#[derive(Clone, Debug)]
pub struct Call {
    /// What it is for.
    pub step: Step,
    /// Who calls: see [`invocation`].
    pub invocation: String,
    /// The first, second… attempt of this invocation at this step.
    pub nth: usize,
    /// What the call asks.
    pub request: Value,
    /// What went wrong.
    pub fault: Option<Fault>,
    /// When it reached the proxy.
    pub arrived: Instant,
    /// When AWS had done it, and with what status. None: AWS never saw it, or has not yet.
    pub done: Option<(Instant, u16)>,
    /// The caller hung up instead of using the connection again: it may have lost its patience before the answer came.
    pub hung_up: bool,
}

impl Call {
    /// Whether AWS did what the call asks.
    pub fn applied(&self) -> bool {
        self.done.is_some_and(|(_, status)| status == 200)
    }
}

/// The four calls of the claim protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Step {
    Claim,
    Send,
    Settle,
    Release,
}

impl Step {
    /// By `X-Amz-Target`, and by what the update says where that leaves two.
    fn of(target: &str, request: &Value) -> Option<Self> {
        match target.rsplit('.').next()? {
            "PutItem" => Some(Step::Claim),
            "SendMessage" => Some(Step::Send),
            "UpdateItem" if request.pointer("/ExpressionAttributeValues/:queued").is_some() => Some(Step::Settle),
            "UpdateItem" | "DeleteItem" => Some(Step::Release),
            _ => None,
        }
    }
}

/// What is to go wrong with this call.
pub type Plan = Box<dyn Fn(&Call) -> Option<Fault> + Send>;

/// Ends the sandbox that works on this invocation, and returns when it is gone and replaced.
pub type Killer = Box<dyn Fn(String) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// Nothing goes wrong.
pub fn healthy() -> Plan {
    Box::new(|_| None)
}

/// What goes wrong with exactly these calls: step, which attempt (0: each), fault.
pub fn exactly(faults: &[(Step, usize, Fault)]) -> Plan {
    let faults = faults.to_vec();
    Box::new(move |call| {
        let strikes = |&&(step, nth, _): &&(Step, usize, Fault)| call.step == step && (nth == 0 || nth == call.nth);
        faults.iter().find(strikes).map(|&(.., fault)| fault)
    })
}

/// Each call goes wrong with this probability, in one of these ways. The dice depend on the seed and on which call of
/// which invocation it is, so that a replay meets the same faults whatever the order of concurrent calls.
pub fn randomly(seed: u64, percent: u64, faults: Vec<Fault>) -> Plan {
    Box::new(move |call| {
        let text = format!("{:?} {} {}", call.step, call.invocation, call.nth);
        let dice = |purpose: u64| text.bytes().fold(dice(seed ^ purpose), |state, byte| dice(state ^ u64::from(byte)));
        (dice(1) % 100 < percent).then(|| faults[usize::try_from(dice(2) % faults.len() as u64).unwrap()])
    })
}

/// The next number of a sequence that looks random (splitmix64).
pub fn dice(state: u64) -> u64 {
    let z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The part of an invocation's request id that its trace id shares: the last twelve digits. A call to DynamoDB names the
/// one (as owner), a call to SQS the other.
pub fn invocation(id: &str) -> String {
    let root = id.split(';').next().unwrap_or_default();
    root[root.len().saturating_sub(12)..].to_owned()
}

/// The proxy, in front of both services of one function.
pub struct Proxy {
    dynamodb: SocketAddr,
    sqs: SocketAddr,
    shared: Arc<Shared>,
    /// Dropping the set ends the proxy.
    _tasks: JoinSet<()>,
}

struct Shared {
    state: Mutex<State>,
    /// Per service: stop listening for a while.
    refuse: [Notify; 2],
    changed: Notify,
}

struct State {
    plan: Plan,
    killer: Option<Arc<Killer>>,
    calls: Vec<Call>,
    /// Per service: nobody listens.
    refused: [bool; 2],
    /// Calls that AWS has yet to do, and kills under way.
    on_their_way: usize,
}

impl Proxy {
    /// In front of these engines. Healthy until told otherwise.
    pub fn start(engines: &Engines) -> Self {
        let state = State { plan: healthy(), killer: None, calls: Vec::new(), refused: [false; 2], on_their_way: 0 };
        let shared = Arc::new(Shared { state: Mutex::new(state), refuse: Default::default(), changed: Notify::new() });
        let mut tasks = JoinSet::new();
        let mut front = |service, url: String| {
            // Holds the port while nobody listens on it.
            let holder = socket(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
            let address = holder.local_addr().expect("a bound socket");
            let upstream = url.strip_prefix("http://").unwrap().parse().expect("an engine's address");
            let listener = socket(address).listen(1024).expect("a free port");
            tasks.spawn(listen(Arc::clone(&shared), service, upstream, listener, holder));
            address
        };
        let (dynamodb, sqs) = (front(0, engines.dynamodb_url()), front(1, engines.sqs_url()));
        Proxy { dynamodb, sqs, shared, _tasks: tasks }
    }

    /// In place of DynamoDB's address.
    pub fn dynamodb_url(&self) -> String {
        format!("http://{}", self.dynamodb)
    }

    /// In place of SQS's address.
    pub fn sqs_url(&self) -> String {
        format!("http://{}", self.sqs)
    }

    /// What goes wrong from now on.
    pub fn plan(&self, plan: Plan) {
        self.shared.look(|state| state.plan = plan);
    }

    /// How to carry out [`KILLS`].
    pub fn on_kill(&self, killer: Killer) {
        self.shared.look(|state| state.killer = Some(Arc::new(killer)));
    }

    /// Nothing goes wrong from now on. Calls that are late stay late.
    pub async fn heal(&self) {
        self.plan(healthy());
        self.shared.until(|state| state.refused == [false; 2]).await;
    }

    /// Waits until AWS has done every call, those that are late and those of the dead too, and the dead are replaced.
    pub async fn settled(&self) {
        self.shared.until(|state| state.on_their_way == 0).await;
    }

    /// Every call so far, in the order of their arrival.
    pub fn calls(&self) -> Vec<Call> {
        self.shared.look(|state| state.calls.clone())
    }
}

impl Shared {
    fn look<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        let result = act(&mut self.state.lock().unwrap());
        self.changed.notify_waiters();
        result
    }

    async fn until(&self, holds: impl Fn(&State) -> bool) {
        loop {
            // Before the look, or a change right after it would go unnoticed.
            let changed = self.changed.notified();
            if holds(&self.state.lock().unwrap()) {
                return;
            }
            changed.await;
        }
    }

    /// Enters a call into the record. Gives its place there, and what is to go wrong with it. None: no call of a
    /// delivery, but one by which a function opens its connections.
    fn enter(&self, service: usize, message: &Message) -> Option<(usize, Option<Fault>)> {
        let request: Value = serde_json::from_slice(&message.body).ok()?;
        let step = Step::of(message.header("x-amz-target")?, &request)?;
        let caller = [
            "/Item/owner/S",
            "/ExpressionAttributeValues/:owner/S",
            "/MessageSystemAttributes/AWSTraceHeader/StringValue",
        ];
        let invocation = caller.iter().find_map(|path| request.pointer(path)?.as_str()).map(invocation)?;
        let arrived = Instant::now();
        let mut call = Call { step, invocation, nth: 1, request, fault: None, arrived, done: None, hung_up: false };
        self.look(|state| {
            let same = |earlier: &&Call| earlier.step == call.step && earlier.invocation == call.invocation;
            call.nth += state.calls.iter().filter(same).count();
            // Whoever holds a connection meets the same as who wants one.
            let fault = if state.refused[service] { Some(Fault::Refuse) } else { (state.plan)(&call) };
            if fault == Some(Fault::Refuse) && !std::mem::replace(&mut state.refused[service], true) {
                self.refuse[service].notify_one();
            }
            let dies_here = fault.is_some_and(|fault| fault == Fault::KillBefore || NOT_DONE.contains(&fault));
            state.on_their_way += usize::from(!dies_here);
            call.fault = fault;
            state.calls.push(call);
            Some((state.calls.len() - 1, fault))
        })
    }

    async fn kill(&self, place: usize) {
        let (killer, invocation) = self.look(|state| {
            state.on_their_way += 1;
            (state.killer.clone(), state.calls[place].invocation.clone())
        });
        killer.expect("a plan that kills needs a killer")(invocation).await;
        self.look(|state| state.on_their_way -= 1);
    }
}

/// A socket that shares its port with others of its kind, of which those that listen get the connections.
fn socket(address: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_reuseaddr(true).and_then(|()| socket.set_reuseport(true)).expect("options that Linux and macOS know");
    socket.bind(address).expect("a port on loopback");
    socket
}

async fn listen(
    shared: Arc<Shared>,
    service: usize,
    upstream: SocketAddr,
    mut listener: TcpListener,
    holder: TcpSocket,
) {
    let address = holder.local_addr().expect("a bound socket");
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = shared.refuse[service].notified() => {
                drop(listener);
                sleep(REFUSAL).await;
                listener = socket(address).listen(1024).expect("a port that is held");
                shared.look(|state| state.refused[service] = false);
            }
            accepted = listener.accept() => {
                let Ok((client, _)) = accepted else { continue };
                let shared = Arc::clone(&shared);
                connections.spawn(async move { serve(&shared, service, upstream, client).await });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Takes the calls of one connection, and notes which was the last.
async fn serve(shared: &Arc<Shared>, service: usize, upstream: SocketAddr, client: TcpStream) {
    let mut last = None;
    // An error is a client that went away, which is its right.
    drop(serve_all(shared, service, upstream, client, &mut last).await);
    if let Some(last) = last {
        shared.look(|state| state.calls[last].hung_up = true);
    }
}

/// Takes the calls of one connection, one after the other.
async fn serve_all(
    shared: &Arc<Shared>,
    service: usize,
    upstream: SocketAddr,
    client: TcpStream,
    last: &mut Option<usize>,
) -> io::Result<()> {
    client.set_nodelay(true)?;
    let mut client = BufReader::new(client);
    let mut aws = Aws { address: upstream, connection: None };
    while let Some(message) = Message::read(&mut client).await? {
        let Some((place, fault)) = shared.enter(service, &message) else {
            client.write_all(&aws.ask(&message).await?.bytes()).await?;
            continue;
        };
        *last = Some(place);
        let reset = |client: BufReader<TcpStream>| client.into_inner().set_zero_linger();
        match fault {
            None => {
                let answer = aws.done(shared, place, &message).await?;
                client.write_all(&answer).await?;
            }
            Some(Fault::Refuse | Fault::ResetBefore) => return reset(client),
            Some(Fault::Hang) => return silence(&mut client).await,
            Some(Fault::Throttle) => {
                let error = ["ProvisionedThroughputExceededException", "RequestThrottled"][service];
                client.write_all(&error_answer(400, error)).await?;
            }
            Some(Fault::Error) => client.write_all(&error_answer(500, "InternalServerError")).await?,
            Some(Fault::Overload) => client.write_all(&error_answer(503, "ServiceUnavailable")).await?,
            Some(Fault::ResetAfter) => {
                aws.done(shared, place, &message).await?;
                return reset(client);
            }
            Some(Fault::HangAfter) => {
                aws.done(shared, place, &message).await?;
                return silence(&mut client).await;
            }
            Some(Fault::ErrorAfter) => {
                aws.done(shared, place, &message).await?;
                client.write_all(&error_answer(500, "InternalServerError")).await?;
            }
            Some(Fault::Garbage) => {
                aws.done(shared, place, &message).await?;
                client.write_all(&answer(200, r#"{"MessageId": "#)).await?;
            }
            Some(Fault::Drip) => {
                let answer = aws.done(shared, place, &message).await?;
                let (pieces, pause) = DRIP;
                for piece in answer.chunks(answer.len().div_ceil(pieces)) {
                    sleep(pause).await;
                    client.write_all(piece).await?;
                }
            }
            Some(Fault::Late(milliseconds)) => {
                // Survives the connection: that the client goes away does not call the message back.
                let shared = Arc::clone(shared);
                tokio::spawn(async move {
                    sleep(Duration::from_millis(milliseconds)).await;
                    drop(aws.done(&shared, place, &message).await);
                });
                return silence(&mut client).await;
            }
            Some(Fault::KillBefore) => {
                shared.kill(place).await;
                return Ok(());
            }
            Some(Fault::KillInFlight) => {
                shared.kill(place).await;
                aws.done(shared, place, &message).await?;
                return Ok(());
            }
            Some(Fault::KillAfter) => {
                aws.done(shared, place, &message).await?;
                shared.kill(place).await;
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Says nothing until the client goes away.
async fn silence(client: &mut BufReader<TcpStream>) -> io::Result<()> {
    while client.read(&mut [0; 64]).await? > 0 {}
    Ok(())
}

/// One connection to an engine.
struct Aws {
    address: SocketAddr,
    connection: Option<BufReader<TcpStream>>,
}

impl Aws {
    /// Has the call done, and enters that into the record. Gives the answer's bytes.
    async fn done(&mut self, shared: &Shared, place: usize, message: &Message) -> io::Result<Vec<u8>> {
        let answer = self.ask(message).await;
        let status = answer.as_ref().ok().and_then(Message::status);
        shared.look(|state| {
            state.calls[place].done = status.map(|status| (Instant::now(), status));
            state.on_their_way -= 1;
        });
        Ok(answer?.bytes())
    }

    async fn ask(&mut self, message: &Message) -> io::Result<Message> {
        let mut connection = if let Some(connection) = self.connection.take() {
            connection
        } else {
            let connection = TcpStream::connect(self.address).await?;
            connection.set_nodelay(true)?;
            BufReader::new(connection)
        };
        connection.write_all(&message.bytes()).await?;
        let answer = Message::read(&mut connection).await?.ok_or(io::ErrorKind::UnexpectedEof)?;
        self.connection = Some(connection);
        Ok(answer)
    }
}

/// A request or an answer.
struct Message {
    /// With the empty line at its end.
    head: String,
    body: Vec<u8>,
}

impl Message {
    /// None where the other side has nothing more to say.
    async fn read(connection: &mut BufReader<TcpStream>) -> io::Result<Option<Self>> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if connection.read_line(&mut head).await? == 0 {
                return if head.is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
        }
        let mut message = Message { head, body: Vec::new() };
        let length = match message.header("content-length") {
            // What opens a connection at the start has no body.
            None if message.head.starts_with("GET ") => Some(0),
            length => length.and_then(|length| length.parse().ok()),
        };
        assert!(length.is_some(), "a body of unknown length: {}", message.head);
        message.body.resize(length.unwrap_or_default(), 0);
        connection.read_exact(&mut message.body).await?;
        Ok(Some(message))
    }

    fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.head.lines().filter_map(|line| line.split_once(':'));
        headers.find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    fn status(&self) -> Option<u16> {
        self.head.split(' ').nth(1)?.parse().ok()
    }

    fn bytes(&self) -> Vec<u8> {
        [self.head.as_bytes(), &self.body].concat()
    }
}

fn error_answer(status: u16, error: &str) -> Vec<u8> {
    answer(status, &format!(r#"{{"__type":"com.amazonaws#{error}","message":"by plan"}}"#))
}

fn answer(status: u16, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status} -\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: {length}\r\n\r\n{body}")
        .into_bytes()
}
