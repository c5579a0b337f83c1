//! A local intake as a process, for tests of the commands beside it.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
};

use hookgate_verify::Provider;
use serde_json::Value;

/// A running intake. Ends with its test.
pub struct Intake(Child, Vec<String>);

impl Intake {
    pub fn start() -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_hookgate"))
            .args(["--no-samples", "--port", "0"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut urls = Vec::new();
        for line in lines.by_ref().take_while(|line| !line.starts_with("Waiting")) {
            urls.extend(line.split_whitespace().find(|word| word.starts_with("http://")).map(str::to_owned));
        }
        // Nobody reading would end it.
        std::thread::spawn(move || lines.count());
        // Deliveries, the page, DynamoDB, SQS.
        Intake(child, urls)
    }

    pub fn url(&self) -> String {
        self.1[1].trim_end_matches('/').to_owned()
    }

    pub fn dynamodb(&self) -> &str {
        &self.1[2]
    }

    pub fn sqs(&self) -> &str {
        &self.1[3]
    }

    pub fn send(&self, provider: &Provider, event: &str, more: &[&str]) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hookgate"));
        command.args(["send", provider.name, event, "--url", &self.url()]).args(more);
        let sent = command.output().unwrap();
        assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stdout));
    }

    /// How many messages wait and are in flight on the queue, and how many on the dead-letter queue.
    pub fn held(&self, queue: &str) -> [u64; 2] {
        let queues = get(&format!("{}/api/queues", self.url()));
        [&queues[queue]["waiting"], &queues[queue]["in_flight"]].map(|count| count.as_u64().unwrap())
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn get(url: &str) -> Value {
    let (host, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    write!(stream, "GET /{path} HTTP/1.0\r\nHost: {host}\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}
