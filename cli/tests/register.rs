//! `hookgate register` and `hookgate completions` as a person runs them; the platform's API is a stand-in on loopback.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use hookgate_verify::{Provider, providers};
use serde_json::{Value, json};

const KEY: &str = "sk_live_0123456789abcdef";
const SECRET: &str = "whsec_fedcba9876543210";
const HOOK: &str = "https://hooks.example.com/webhooks/etaildepot";

/// Answers one request, and hands it over: its head's lines and its body.
fn api(answer: String) -> (String, mpsc::Receiver<(Vec<String>, Value)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v2/webhooks", listener.local_addr().unwrap());
    let (seen, requests) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut head = Vec::new();
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                if line.trim_end().is_empty() {
                    break;
                }
                head.push(line.trim_end().to_owned());
            }
            let length = head.iter().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            let mut body = vec![0; length.parse().unwrap()];
            reader.read_exact(&mut body).unwrap();
            seen.send((head, serde_json::from_slice(&body).unwrap())).unwrap();
            if answer.is_empty() {
                // Never, until the client goes.
                let _ = stream.read(&mut [0]);
            } else {
                stream.write_all(answer.as_bytes()).unwrap();
            }
        }
    });
    (url, requests)
}

fn response(status: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}")
}

/// The command's exit code, output and errors. The key is in none of it, nor a secret.
fn register(key: Option<&str>, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookgate"));
    command.arg("register").args(arguments).env_remove("ETAILDEPOT_API_KEY");
    let Output { status, stdout, stderr } = command.envs(key.map(|key| ("ETAILDEPOT_API_KEY", key))).output().unwrap();
    let [out, err] = [stdout, stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    for hidden in [KEY, SECRET] {
        assert!(!out.contains(hidden) && !err.contains(hidden), "{out}\n{err}");
    }
    (status.code(), out, err)
}

/// A path where nothing is.
fn fresh(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("register-{name}-{}.json", std::process::id()));
    let _ = std::fs::remove_file(&path);
    path
}

#[test]
fn the_endpoint_is_created_by_the_documented_call() {
    let answer = json!({"id": "wh_1", "url": HOOK, "signing_secret": SECRET}).to_string();
    let (url, requests) = api(response("201 Created", &answer));
    let file = fresh("created");
    let path = file.to_str().unwrap();
    let call = ["etaildepot", "--url", "https://hooks.example.com", "--api-url", &url, "--secret-file", path];
    let (code, out, err) = register(Some(KEY), &call);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");

    let (head, body) = requests.try_recv().unwrap();
    assert_eq!(head[0], "POST /v2/webhooks HTTP/1.1");
    assert!(head.contains(&format!("authorization: Bearer {KEY}")), "{head:?}");
    assert!(head.contains(&"content-type: application/json".to_owned()), "{head:?}");
    let events = [
        "payment.succeeded",
        "payment.failed",
        "payment.refunded",
        "order.created",
        "order.fulfilled",
        "order.cancelled",
        "account.updated",
        "card.issued",
        "transaction.created",
    ];
    assert_eq!(body, json!({"url": HOOK, "events": events, "description": "Hookgate"}));

    assert_eq!(std::fs::read_to_string(&file).unwrap(), format!("{{\"default\":[\"{SECRET}\"]}}\n"));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert!(out.starts_with(&format!("created (wh_1): deliveries go to {HOOK}\n")), "{out}");
    let store =
        format!("secretsmanager put-secret-value --secret-id ETAILDEPOT_SECRET --secret-string 'file://{path}'\n");
    assert!(out.contains(&store) && out.contains("output EtaildepotSecret"), "{out}");

    // The file stays as it is, and the platform is not asked.
    let (code, _, err) = register(Some(KEY), &call);
    assert_eq!((code, err.contains("never overwritten")), (Some(2), true), "{err}");
    assert!(requests.try_recv().is_err());
}

#[test]
fn events_account_and_description_are_as_asked_for() {
    let answer = json!({"data": {"secret": SECRET}}).to_string();
    let (url, requests) = api(response("200 OK", &answer));
    let (file, hook) = (fresh("account"), format!("{HOOK}/eu-shop"));
    let arn = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:EtaildepotSecret-abc-x1Y2z3";
    let call = ["etaildepot", "--url", &hook, "--api-url", &url, "--secret-file", file.to_str().unwrap()];
    let more =
        ["--event", "card.issued", "--event", "payment.failed", "--description", "EU", "--secret-id", arn, "--json"];
    let (code, out, err) = register(Some(KEY), &[&call[..], &more].concat());
    assert_eq!(code, Some(0), "{out} {err}");
    let events = ["payment.failed", "card.issued"];
    assert_eq!(requests.try_recv().unwrap().1, json!({"url": hook, "events": events, "description": "EU"}));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), format!("{{\"eu-shop\":[\"{SECRET}\"]}}\n"));
    let told: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&told["created"], &told["id"], &told["has_secret"]), (&json!(true), &json!(null), &json!(true)));
    assert!(told["store"].as_str().unwrap().contains(arn), "{told}");
}

/// The form of the answer is not documented: what is not surely the secret is kept and not used.
#[test]
fn an_answer_without_one_whole_secret_is_kept() {
    for (name, answer) in [
        ("none", json!({"id": "wh_1", "status": "enabled"}).to_string()),
        ("two", json!({"secret": SECRET, "old": {"clientSecret": "whsec_another_one"}}).to_string()),
        ("shortened", json!({"id": "not plain!", "secret": "whsec_****************"}).to_string()),
        ("text", "OK".to_owned()),
        ("page", "<html>Sign in</html>".to_owned()),
        ("empty", String::new()),
    ] {
        // A 200 may be a proxy's.
        let known = !matches!(name, "page" | "empty");
        let (url, _requests) = api(response(if name == "text" { "201 Created" } else { "200 OK" }, &answer));
        let file = fresh(name);
        let call = ["etaildepot", "--url", HOOK, "--api-url", &url, "--secret-file", file.to_str().unwrap()];
        let (code, out, _) = register(Some(KEY), &call);
        assert_eq!(code, Some(1), "{name}: {out}");
        assert!(out.starts_with(if known { "created" } else { "unknown" }), "{name}: {out}");
        assert_eq!(out.contains("look in the dashboard first"), !known, "{name}: {out}");
        assert!(out.contains("No signing secret was recognised"), "{name}: {out}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), answer, "{name}");
        assert_eq!(out.contains("The answer is empty."), answer.is_empty(), "{name}: {out}");
        assert_eq!(out.contains("(wh_1)"), name == "none", "{name}: {out}");
    }
}

#[test]
fn every_refusal_has_a_remedy_and_leaves_no_file() {
    let said = json!({"error": {"message": format!("no such key {KEY}\u{1b}[2J")}}).to_string();
    for (status, body, expected) in [
        ("401 Unauthorized", &*said, "check ETAILDEPOT_API_KEY, and what the key may do (it says: no such key …[2J)"),
        ("403 Forbidden", "{}", "check ETAILDEPOT_API_KEY"),
        ("404 Not Found", "", "check --api-url"),
        ("409 Conflict", "", "there is such an endpoint already"),
        (
            "422 Unprocessable Entity",
            r#"{"message": "url is taken"}"#,
            "check --url, --event and --description (it says: url is taken)",
        ),
        ("429 Too Many Requests", "", "wait"),
        ("302 Found\r\nlocation: http://127.0.0.1:9/", "", "the API key is not sent there"),
        ("500 Internal Server Error", "", "another run could create a second one"),
        ("503 Service Unavailable", "<html>", "look in the dashboard first"),
    ] {
        let (url, requests) = api(response(status, body));
        let file = fresh("refused");
        let call = ["etaildepot", "--url", HOOK, "--api-url", &url, "--secret-file", file.to_str().unwrap()];
        let (code, out, err) = register(Some(KEY), &call);
        assert_eq!((code, out.as_str()), (Some(1), ""), "{status}: {err}");
        assert!(err.starts_with(&format!("hookgate: HTTP {}: ", &status[..3])), "{status}: {err}");
        assert!(err.contains(expected) && err.lines().count() == 1, "{status}: {err}");
        assert!(!file.exists(), "{status}");
        requests.try_recv().unwrap();
        assert!(requests.try_recv().is_err(), "{status}: asked again");
    }
}

#[test]
fn silence_and_a_closed_port_are_told_apart() {
    let (url, _requests) = api(String::new());
    let file = fresh("silence");
    let path = file.to_str().unwrap();
    let call = ["etaildepot", "--url", HOOK, "--api-url", &url, "--secret-file", path, "--timeout", "1"];
    let (code, _, err) = register(Some(KEY), &call);
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("no answer within 1 s: whether the endpoint now exists is unknown"), "{err}");

    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{closed}/v2/webhooks");
    let (code, out, err) =
        register(Some(KEY), &["etaildepot", "--url", HOOK, "--api-url", &url, "--secret-file", path, "--json"]);
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("cannot be reached") && err.contains("Nothing was created"), "{err}");
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap()["created"], false);
    assert!(!file.exists());
}

#[test]
fn a_dry_run_shows_the_request_and_sends_nothing() {
    let (url, requests) = api(response("201 Created", "{}"));
    for (key, wanted) in [(None, "text"), (Some(KEY), "text"), (Some(KEY), "json")] {
        let call = ["etaildepot", "--url", HOOK, "--dry-run", "--api-url", &url, "--event", "card.issued"];
        let json = if wanted == "json" { &["--json"][..] } else { &[] };
        let (code, out, err) = register(key, &[&call[..], json].concat());
        assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
        assert!(out.contains(&url) && out.contains("the value of ETAILDEPOT_API_KEY, not shown"), "{out}");
        let body = json!({"url": HOOK, "events": ["card.issued"], "description": "Hookgate"});
        if wanted == "json" {
            assert_eq!(serde_json::from_str::<Value>(&out).unwrap()["request"]["body"], body);
        } else {
            assert_eq!(serde_json::from_str::<Value>(&out[out.find('{').unwrap()..]).unwrap(), body);
        }
    }
    thread::sleep(Duration::from_millis(50));
    assert!(requests.try_recv().is_err());
    // Where it would go, unless told otherwise.
    let (_, out, _) = register(None, &["etaildepot", "--url", HOOK, "--dry-run"]);
    assert!(out.contains("POST https://api.etaildepot.com/v2/webhooks\n"), "{out}");
}

#[test]
fn what_cannot_be_used_is_said_before_anything_is_sent() {
    let (url, requests) = api(response("201 Created", "{}"));
    let file = fresh("unusable");
    let file = file.to_str().unwrap();
    let with = |more: &[&'static str]| {
        let mut call = vec!["etaildepot", "--secret-file", file];
        call.extend(more);
        if !more.contains(&"--api-url") {
            call.extend(["--api-url", &url]);
        }
        register(Some(KEY), &call)
    };
    for (arguments, expected) in [
        (&[][..], "--url"),
        (&["--url", "http://hooks.example.com"], "platforms deliver to https only"),
        (&["--url", "hooks.example.com"], "is no address"),
        (&["--url", "https://hooks.example.com/webhooks/shoppex"], "does not end in /webhooks/etaildepot"),
        (&["--url", "https://hooks.example.com/webhooks/etaildepot/EU"], "does not end in /webhooks/etaildepot"),
        (&["--url", "https://hooks.example.com/webhooks/etaildepot/a/b"], "does not end in /webhooks/etaildepot"),
        (&["--url", "https://hooks.example.com/webhooks/etaildepot?a=b"], "question mark"),
        (
            &["--url", "https://hooks.example.com/webhooks/etaildepot", "--account", "eu"],
            "not the address of account eu",
        ),
        (&["--url", HOOK, "--event", "payment.suceeded"], "no event payment.suceeded: it has payment.succeeded, "),
        (&["--url", HOOK, "--api-url", "http://api.etaildepot.com/v2/webhooks"], "over https only"),
        (&["--url", HOOK, "--secret-id", "a b"], "letters, digits"),
    ] {
        let (code, _, err) = with(arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {err}");
        assert!(err.contains(expected), "{arguments:?}: {err}");
    }
    for (key, expected) in [(None, "no API key"), (Some(" \n"), "no API key"), (Some("a b"), "is no API key")] {
        let (code, _, err) = register(key, &["etaildepot", "--url", HOOK, "--api-url", &url, "--secret-file", file]);
        assert_eq!((code, err.contains(expected)), (Some(2), true), "{err}");
    }
    let (code, _, err) = register(Some(KEY), &["etaildepot", "--url", HOOK, "--api-url", &url]);
    assert_eq!((code, err.contains("--secret-file etaildepot.json")), (Some(2), true), "{err}");
    let (code, _, err) = register(None, &["shoppex", "--url", "https://hooks.example.com", "--dry-run"]);
    assert_eq!((code, err.contains("leave --dry-run out")), (Some(2), true), "{err}");
    assert!(requests.try_recv().is_err());
    assert!(!Path::new(file).exists());
}

/// The page that the command prints from: every event is named, every place to fill in is there.
#[test]
fn every_platforms_page_has_steps_to_print() {
    for provider in providers::ALL {
        let page = format!("{}/../docs/providers/{}.md", env!("CARGO_MANIFEST_DIR"), provider.name);
        let page = std::fs::read_to_string(page).unwrap();
        let section = page.split_once("\n## Set up\n").unwrap().1.split("\n## ").next().unwrap();
        for (event, _) in provider.events {
            assert!(section.contains(&format!("`{event}`")), "{}: {event}", provider.name);
        }
        for needed in [
            format!("https://hooks.example.com/webhooks/{}", provider.name),
            format!("--secret-id {}_SECRET ", provider.name.to_uppercase()),
            r#"{"default": ["#.to_owned(),
            "documentation: <https://".to_owned(),
        ] {
            assert!(section.contains(&needed), "{}: {needed}", provider.name);
        }
    }
}

#[test]
fn steps_are_printed_with_the_address_filled_in() {
    for provider in providers::ALL.iter().filter(|provider| provider.name != "etaildepot") {
        let Provider { name, .. } = provider;
        let url = format!("https://a1b2.execute-api.eu-west-1.amazonaws.com/webhooks/{name}/eu-shop");
        let arn = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:x-AbCdEf";
        let (code, out, err) = register(None, &[name, "--url", &url, "--secret-id", arn]);
        assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
        for filled in [&url, arn, r#"{"eu-shop": ["#] {
            assert!(out.contains(filled), "{name}: {filled}: {out}");
        }
        for open in
            ["hooks.example.com", &format!("{}_SECRET", name.to_uppercase()), r#"{"default""#, "\n## ", "```sh "]
        {
            assert!(!out.contains(open), "{name}: {open}: {out}");
        }
        let (_, out, _) = register(None, &[name]);
        assert!(out.ends_with("https://hooks.example.com stands for your address: --url fills it in.\n"), "{out}");
        let (_, out, _) = register(None, &[name, "--url", "https://h.example", "--json"]);
        let told: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(told["url"], format!("https://h.example/webhooks/{name}"));
        assert!(told["steps"].as_str().unwrap().contains("https://h.example/webhooks/"), "{told}");
    }
}

#[test]
fn completions_are_there_for_every_shell() {
    let completions = |shell: &str| {
        let ran = Command::new(env!("CARGO_BIN_EXE_hookgate")).args(["completions", shell]).output().unwrap();
        assert_eq!(ran.status.code(), Some(0), "{shell}");
        String::from_utf8(ran.stdout).unwrap()
    };
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = completions(shell);
        for word in ["hookgate", "register", "completions", "secret-file"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    let mut bash = Command::new("bash").args(["-n", "/dev/stdin"]).stdin(Stdio::piped()).spawn().unwrap();
    bash.stdin.take().unwrap().write_all(completions("bash").as_bytes()).unwrap();
    assert!(bash.wait().unwrap().success());
    // As a person would: what comes after `hookgate register sh`?
    let asked =
        "COMP_WORDS=(hookgate register sh); COMP_CWORD=2; _hookgate hookgate sh register; echo \"${COMPREPLY[@]}\"";
    let script = format!("{}\n{asked}", completions("bash"));
    let ran = Command::new("bash").args(["-c", &script]).output().unwrap();
    assert_eq!(String::from_utf8(ran.stdout).unwrap(), "shoppex\n", "{}", String::from_utf8_lossy(&ran.stderr));
}
