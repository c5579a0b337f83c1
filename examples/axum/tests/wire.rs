//! The example as its platforms meet it: a server on a port of its own, and HTTP written by hand.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, ChildStdout, Command, Stdio},
    time::{SystemTime, UNIX_EPOCH},
};

use hookgate_verify::{
    Provider, Scheme,
    providers::{shoppex, stripe},
};

const SERVER: &str = env!("CARGO_BIN_EXE_example-axum");
const STRIPE_SECRET: &str = "whsec_example";
const SHOPPEX_SECRET: &str = "shoppex_example";
const STRIPE_BODY: &str = r#"{"id":"evt_1","type":"payment_intent.succeeded","created":1760000000,"data":{"object":{"id":"pi_1","amount":5500,"currency":"usd"}}}"#;
const SHOPPEX_BODY: &str =
    r#"{"event":"order:paid","created_at":1760000000,"data":{"uniqid":"o-1","total":"49.99","currency":"USD"}}"#;

struct Server {
    process: Child,
    output: BufReader<ChildStdout>,
    address: String,
}

impl Server {
    fn start() -> Self {
        let mut process = Command::new(SERVER)
            .envs([("ADDRESS", "127.0.0.1:0"), ("STRIPE_SECRET", STRIPE_SECRET), ("SHOPPEX_SECRET", SHOPPEX_SECRET)])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on http://").expect(&line).to_owned();
        Server { process, output, address }
    }

    /// What the server prints next.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// The status and the body of the answer.
    fn request(&self, method: &str, path: &str, headers: &[(&str, String)], body: &[u8]) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {length}\r\n"
        )
        .unwrap();
        for (name, value) in headers {
            write!(stream, "{name}: {value}\r\n").unwrap();
        }
        stream.write_all(b"\r\n").unwrap();
        // The server may have answered, and hung up, before it has read all of a body that is too large.
        let _ = stream.write_all(body);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8(answer).unwrap();
        let status = answer.split(' ').nth(1).unwrap_or_else(|| panic!("no status in {answer:?}"));
        (status.parse().unwrap(), answer.split_once("\r\n\r\n").unwrap().1.to_owned())
    }

    fn post(&self, platform: &str, headers: &[(&str, String)], body: &str) -> (u16, String) {
        self.request("POST", &format!("/webhooks/{platform}"), headers, body.as_bytes())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn scheme(provider: &'static Provider, name: &str) -> &'static Scheme {
    provider.schemes().find(|scheme| scheme.name == name).unwrap()
}

/// The headers that a platform sends with this body.
fn signed(scheme: &Scheme, secret: &str, body: &str, seconds: u64) -> Vec<(&'static str, String)> {
    scheme.sign(secret.as_bytes(), body.as_bytes(), "whd_1", seconds).unwrap().headers
}

fn stripe_headers(seconds: u64) -> Vec<(&'static str, String)> {
    signed(scheme(&stripe::PROVIDER, "v1"), STRIPE_SECRET, STRIPE_BODY, seconds)
}

#[test]
fn a_verified_delivery_is_accepted_and_stored() {
    let mut server = Server::start();
    assert_eq!(server.post("stripe", &stripe_headers(now()), STRIPE_BODY).0, 200);
    assert_eq!(server.line(), "commerce.payment.succeeded payment/pi_1 /webhooks/stripe/default evt_1");
    // Both of Shoppex' schemes, and the same key for both.
    let mut lines = Vec::new();
    for version in ["v1", "v2"] {
        let headers = signed(scheme(&shoppex::PROVIDER, version), SHOPPEX_SECRET, SHOPPEX_BODY, now());
        assert_eq!(server.post("shoppex", &headers, SHOPPEX_BODY).0, 200, "{version}");
        lines.push(server.line());
    }
    assert!(lines[0].starts_with("commerce.order.paid order/o-1 /webhooks/shoppex/default "), "{lines:?}");
    assert_eq!(lines[0], lines[1]);
}

#[test]
fn every_rejection_gets_the_same_answer() {
    let server = Server::start();
    let good = stripe_headers(now());
    let twice = [good.clone(), good.clone()].concat();
    let other = signed(scheme(&stripe::PROVIDER, "v1"), "whsec_other", STRIPE_BODY, now());
    let tampered = STRIPE_BODY.replace("5500", "5501");
    let respelled = format!("{STRIPE_BODY}\n");
    for (what, headers, body) in [
        ("no signature", &Vec::new(), STRIPE_BODY),
        ("a signature of nobody", &vec![("stripe-signature", "v1=0".to_owned())], STRIPE_BODY),
        ("another secret", &other, STRIPE_BODY),
        ("another amount", &good, &tampered),
        ("one byte more", &good, &respelled),
        ("stale", &stripe_headers(now() - 301 - 5), STRIPE_BODY),
        ("from the future", &stripe_headers(now() + 301 + 60), STRIPE_BODY),
        ("the header twice", &twice, STRIPE_BODY),
        ("not even JSON", &good, "hello"),
    ] {
        assert_eq!(server.post("stripe", headers, body), (400, String::new()), "{what}");
    }
    let headers = signed(scheme(&shoppex::PROVIDER, "v2"), SHOPPEX_SECRET, SHOPPEX_BODY, now());
    // A wrong newer signature is not saved by a right older one.
    let mut downgraded = signed(scheme(&shoppex::PROVIDER, "v1"), SHOPPEX_SECRET, SHOPPEX_BODY, now());
    downgraded.extend(signed(scheme(&shoppex::PROVIDER, "v2"), "other", SHOPPEX_BODY, now()));
    // Whoever asks for goods must not get a 2xx.
    let goods = [headers.clone(), vec![("x-shoppex-delivery-id", "1".to_owned())]].concat();
    for (what, headers) in [("downgraded", &downgraded), ("a request for goods", &goods)] {
        assert_eq!(server.post("shoppex", headers, SHOPPEX_BODY), (401, String::new()), "{what}");
    }
    assert_eq!(server.post("shoppex", &headers, SHOPPEX_BODY).0, 200);
}

#[test]
fn what_was_not_stored_is_not_acknowledged() {
    let server = Server::start();
    let scheme = scheme(&stripe::PROVIDER, "v1");
    for body in ["{}", "[]", "hello", r#"{"id":7,"type":"invoice.paid","data":{"object":{}}}"#] {
        let headers = signed(scheme, STRIPE_SECRET, body, now());
        assert_eq!(server.post("stripe", &headers, body), (500, String::new()), "{body}");
    }
}

#[test]
fn what_is_no_delivery_is_refused() {
    let server = Server::start();
    let largest = "x".repeat(1024 * 1024);
    assert_eq!(server.post("stripe", &[], &largest).0, 400);
    assert_eq!(server.post("stripe", &[], &(largest + "x")).0, 413);
    assert_eq!(server.request("GET", "/webhooks/stripe", &[], b"").0, 405);
    assert_eq!(server.post("nobody", &[], STRIPE_BODY).0, 404);
}

#[test]
fn without_a_usable_secret_nothing_starts() {
    let refused = |stripe: Option<&str>| {
        let mut command = Command::new(SERVER);
        command.env_remove("STRIPE_SECRET").envs([("ADDRESS", "127.0.0.1:0"), ("SHOPPEX_SECRET", SHOPPEX_SECRET)]);
        command.envs(stripe.map(|secret| ("STRIPE_SECRET", secret)));
        let output = command.output().unwrap();
        assert!(!output.status.success() && output.stdout.is_empty());
        String::from_utf8(output.stderr).unwrap()
    };
    for (secret, says) in [(None, "set STRIPE_SECRET"), (Some(""), "STRIPE_SECRET: "), (Some("SECRET=s3cr3t"), ".env")]
    {
        let error = refused(secret);
        assert!(error.contains(says) && !error.contains("s3cr3t"), "{error}");
    }
}
