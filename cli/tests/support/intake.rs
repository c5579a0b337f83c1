//! A local intake as a process, for tests of the commands beside it.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
    time::Duration,
};

use hookgate_verify::Provider;
use serde_json::Value;
use time::OffsetDateTime;

/// A running intake on ports that the system chose: two tests can never get the same ones. Ends with its test.
pub struct Intake {
    process: Child,
    /// Deliveries, the page, DynamoDB, SQS.
    urls: Vec<String>,
}

impl Intake {
    /// Without samples.
    pub fn start() -> Self {
        Self::with(&["--no-samples"], &[])
    }

    pub fn with(options: &[&str], settings: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hookgate"));
        command.args(["--port", "0"]).args(options).envs(settings.iter().copied());
        let (intake, lines) = Self::printing(&mut command);
        // Nobody reading would end it.
        std::thread::spawn(move || lines.count());
        intake
    }

    /// Whose further lines the test reads itself.
    pub fn printing(command: &mut Command) -> (Self, impl Iterator<Item = String> + Send + use<>) {
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut urls = Vec::new();
        for line in lines.by_ref().take_while(|line| !line.starts_with("Waiting")) {
            urls.extend(line.split_whitespace().find(|word| word.starts_with("http://")).map(str::to_owned));
        }
        (Intake { process, urls }, lines)
    }

    pub fn url(&self) -> &str {
        self.urls[1].trim_end_matches('/')
    }

    /// `127.0.0.1:port`.
    pub fn host(&self) -> &str {
        self.url().trim_start_matches("http://")
    }

    pub fn dynamodb(&self) -> &str {
        &self.urls[2]
    }

    pub fn sqs(&self) -> &str {
        &self.urls[3]
    }

    /// Waits until it ends by itself.
    pub fn ended(mut self) -> (Option<i32>, String) {
        let mut err = String::new();
        if let Some(mut stderr) = self.process.stderr.take() {
            stderr.read_to_string(&mut err).unwrap();
        }
        (self.process.wait().unwrap().code(), err)
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    pub fn send(&self, provider: &Provider, event: &str, more: &[&str]) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hookgate"));
        command.args(["send", provider.name, event, "--url", self.url()]).args(more);
        let sent = command.output().unwrap();
        assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stdout));
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.host()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream
    }

    /// One request with these headers and no others: the answer's status, headers and body.
    pub fn request(&self, line: &str, headers: &[(&str, &str)], body: &[u8]) -> (u16, String, Vec<u8>) {
        let mut request = format!("{line} HTTP/1.1\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
        for (name, value) in headers {
            request.extend([name, ": ", value, "\r\n"]);
        }
        let mut stream = self.connect();
        stream.write_all(&[request.as_bytes(), b"\r\n", body].concat()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
        let head = String::from_utf8(answer[..end].to_vec()).unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), head, answer[end + 4..].to_vec())
    }

    pub fn get(&self, path: &str) -> Value {
        let (status, _, body) = self.request(&format!("GET {path}"), &[("host", self.host())], b"");
        assert_eq!(status, 200, "{path}");
        serde_json::from_slice(&body).unwrap()
    }

    pub fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let headers = [("host", self.host()), ("content-type", "application/json")];
        let (status, _, body) = self.request(&format!("POST {path}"), &headers, body.to_string().as_bytes());
        (status, serde_json::from_slice(&body).unwrap())
    }

    /// A webhook from outside.
    pub fn deliver(&self, path: &str, headers: &[(String, String)], body: &[u8]) -> u16 {
        let mut all = vec![("host", self.host())];
        all.extend(headers.iter().map(|(name, value)| (&**name, &**value)));
        self.request(&format!("POST {path}"), &all, body).0
    }

    /// Sends a body, signed as the platform does, and gives the delivery as the page shows it.
    pub fn signed(&self, provider: &Provider, body: &[u8]) -> Value {
        let now = OffsetDateTime::now_utc().unix_timestamp().cast_unsigned();
        let signed = super::signed(provider, body, now);
        let headers: Vec<_> = signed.headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        self.deliver(&format!("/webhooks/{}", provider.name), &headers, &signed.body);
        self.latest()
    }

    pub fn latest(&self) -> Value {
        let all = self.get("/api/deliveries");
        let number = all["deliveries"].as_array().unwrap().last().unwrap()["number"].as_u64().unwrap();
        self.get(&format!("/api/deliveries/{number}"))
    }

    /// How many messages wait and are in flight on the queue, and how many on the dead-letter queue.
    pub fn held(&self, queue: &str) -> [u64; 2] {
        let queues = self.get("/api/queues");
        [&queues[queue]["waiting"], &queues[queue]["in_flight"]].map(|count| count.as_u64().unwrap())
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
