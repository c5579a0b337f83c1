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

use hookgate_verify::{
    Account, Provider,
    providers::{self, Call},
};
use serde_json::{Value, json};

const KEY: &str = "sk_live_0123456789abcdef";
const SECRET: &str = "whsec_fedcba9876543210";

mod support;

/// A platform whose endpoints are created by a call. What follows is about the command, and holds for each of them.
fn called() -> (&'static Provider, &'static Call) {
    let mut called =
        providers::ALL.iter().filter_map(|provider| Some((*provider, provider.registration.call.as_ref()?)));
    called.next().expect("a platform with a call")
}

/// Its address.
fn hook() -> String {
    format!("https://hooks.example.com/webhooks/{}", called().0.name)
}

/// One whose endpoints are made by hand.
fn by_hand() -> impl Iterator<Item = &'static Provider> {
    providers::ALL.iter().copied().filter(|provider| provider.registration.call.is_none())
}

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
    command.arg("register").args(arguments).env_remove(called().1.key);
    let Output { status, stdout, stderr } = command.envs(key.map(|key| (called().1.key, key))).output().unwrap();
    let [out, err] = [stdout, stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    for hidden in [KEY, SECRET] {
        assert!(!out.contains(hidden) && !err.contains(hidden), "{out}\n{err}");
    }
    (status.code(), out, err)
}

/// What stands for the entry of Secrets Manager.
fn stand_in(provider: &Provider) -> String {
    format!("{}_SECRET", provider.name.to_uppercase())
}

/// The stack's output that names it.
fn output(provider: &Provider) -> String {
    format!("{}Secret", provider.name)
}

/// A path where nothing is.
fn fresh(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("register-{name}-{}.json", std::process::id()));
    let _ = std::fs::remove_file(&path);
    path
}

#[test]
fn the_endpoint_is_created_by_the_documented_call() {
    let answer = json!({"id": "wh_1", "url": hook(), "signing_secret": SECRET}).to_string();
    let (url, requests) = api(response("201 Created", &answer));
    let file = fresh("created");
    let path = file.to_str().unwrap();
    let call = [called().0.name, "--url", "https://hooks.example.com", "--api-url", &url, "--secret-file", path];
    let (code, out, err) = register(Some(KEY), &call);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");

    let (head, body) = requests.try_recv().unwrap();
    assert_eq!(head[0], "POST /v2/webhooks HTTP/1.1");
    assert!(head.contains(&format!("authorization: Bearer {KEY}")), "{head:?}");
    assert!(head.contains(&"content-type: application/json".to_owned()), "{head:?}");
    let events: Vec<_> = called().0.events.iter().map(|(name, _)| *name).collect();
    assert_eq!(body, json!({"url": hook(), "events": events, "description": "Hookgate"}));

    assert_eq!(std::fs::read_to_string(&file).unwrap(), format!("{{\"default\":[\"{SECRET}\"]}}\n"));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert!(out.starts_with(&format!("created (wh_1): deliveries go to {}\n", hook())), "{out}");
    let store = format!(
        "secretsmanager put-secret-value --secret-id {} --secret-string 'file://{path}'\n",
        stand_in(called().0)
    );
    assert!(out.contains(&store) && out.contains(&format!("output {}", output(called().0))), "{out}");

    // The file stays as it is, and the platform is not asked.
    let (code, _, err) = register(Some(KEY), &call);
    assert_eq!((code, err.contains("must be a new file")), (Some(2), true), "{err}");
    assert!(requests.try_recv().is_err());
}

#[test]
fn events_account_and_description_are_as_asked_for() {
    let answer = json!({"data": {"secret": SECRET}}).to_string();
    let (url, requests) = api(response("200 OK", &answer));
    let (file, hook) = (fresh("account"), format!("{}/eu-shop", hook()));
    let arn = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:PlatformSecret-abc-x1Y2z3";
    let call = [called().0.name, "--url", &hook, "--api-url", &url, "--secret-file", file.to_str().unwrap()];
    let known = called().0.events;
    let (second, last) = (known[1].0, known[known.len() - 1].0);
    let more = ["--event", last, "--event", second, "--description", "EU", "--secret-id", arn, "--json"];
    let (code, out, err) = register(Some(KEY), &[&call[..], &more].concat());
    assert_eq!(code, Some(0), "{out} {err}");
    let events = [second, last];
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
        let call = [called().0.name, "--url", &hook(), "--api-url", &url, "--secret-file", file.to_str().unwrap()];
        let (code, out, _) = register(Some(KEY), &call);
        assert_eq!(code, Some(1), "{name}: {out}");
        assert!(out.starts_with(if known { "created" } else { "unknown" }), "{name}: {out}");
        assert_eq!(out.contains("check the dashboard before another run"), !known, "{name}: {out}");
        assert!(out.contains("No signing secret was recognised"), "{name}: {out}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), answer, "{name}");
        assert_eq!(out.contains("The answer is empty."), answer.is_empty(), "{name}: {out}");
        assert_eq!(out.contains("(wh_1)"), name == "none", "{name}: {out}");
    }
}

#[test]
fn every_refusal_has_a_remedy_and_leaves_no_file() {
    let said = json!({"error": {"message": format!("no such key {KEY}\u{1b}[2J")}}).to_string();
    let check = format!("check {}", called().1.key);
    let check_more = format!("{check}, and the key's permissions (its message: no such key …[2J)");
    for (status, body, expected) in [
        ("401 Unauthorized", &*said, &check_more[..]),
        ("403 Forbidden", "{}", &check[..]),
        ("404 Not Found", "", "check --api-url"),
        ("409 Conflict", "", "such an endpoint exists already"),
        (
            "422 Unprocessable Entity",
            r#"{"message": "url is taken"}"#,
            "check --url, --event and --description (its message: url is taken)",
        ),
        ("429 Too Many Requests", "", "wait"),
        ("302 Found\r\nlocation: http://127.0.0.1:9/", "", "the API key is not sent there"),
        ("500 Internal Server Error", "", "which could create a second one"),
        ("503 Service Unavailable", "<html>", "check the dashboard before another run"),
    ] {
        let (url, requests) = api(response(status, body));
        let file = fresh("refused");
        let call = [called().0.name, "--url", &hook(), "--api-url", &url, "--secret-file", file.to_str().unwrap()];
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
    let call = [called().0.name, "--url", &hook(), "--api-url", &url, "--secret-file", path, "--timeout", "1"];
    let (code, _, err) = register(Some(KEY), &call);
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("no answer within 1 s: the endpoint may exist now"), "{err}");

    let closed = ["--api-url", "http://127.0.0.1:1/v2/webhooks", "--secret-file", path, "--json"];
    let (code, out, err) = register(Some(KEY), &[&[called().0.name, "--url", &hook()], &closed[..]].concat());
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("cannot be reached") && err.contains("Nothing was created"), "{err}");
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap()["created"], false);
    assert!(!file.exists());
}

#[test]
fn a_dry_run_shows_the_request_and_sends_nothing() {
    let (url, requests) = api(response("201 Created", "{}"));
    let (event, hook) = (support::event(called().0), hook());
    let hidden = format!("the value of {}, not shown", called().1.key);
    for (key, wanted) in [(None, "text"), (Some(KEY), "text"), (Some(KEY), "json")] {
        let call = [called().0.name, "--url", &hook, "--dry-run", "--api-url", &url, "--event", event];
        let json = if wanted == "json" { &["--json"][..] } else { &[] };
        let (code, out, err) = register(key, &[&call[..], json].concat());
        assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
        assert!(out.contains(&url) && out.contains(&hidden), "{out}");
        let body = json!({"url": hook, "events": [event], "description": "Hookgate"});
        if wanted == "json" {
            assert_eq!(serde_json::from_str::<Value>(&out).unwrap()["request"]["body"], body);
        } else {
            assert_eq!(serde_json::from_str::<Value>(&out[out.find('{').unwrap()..]).unwrap(), body);
        }
    }
    thread::sleep(Duration::from_millis(50));
    assert!(requests.try_recv().is_err());
    // Where it would go, unless told otherwise.
    let (_, out, _) = register(None, &[called().0.name, "--url", &hook, "--dry-run"]);
    assert!(out.contains(&format!("POST {}\n", called().1.url)), "{out}");
}

#[test]
fn what_cannot_be_used_is_said_before_anything_is_sent() {
    let (url, requests) = api(response("201 Created", "{}"));
    let file = fresh("unusable");
    let file = file.to_str().unwrap();
    let with = |more: &[&str]| {
        let mut call = vec![called().0.name, "--secret-file", file];
        call.extend(more);
        if !more.contains(&"--api-url") {
            call.extend(["--api-url", &url]);
        }
        register(Some(KEY), &call)
    };
    let (name, event) = (called().0.name, support::event(called().0));
    let other = format!("https://hooks.example.com/webhooks/{}", support::another(called().0).name);
    let (hook, elsewhere) = (hook(), format!("does not end in /webhooks/{name}"));
    let misspelled = &event[1..];
    let unknown = format!("has no event {misspelled:?} (did you mean {event}?): {event}");
    let plain = called().1.url.replace("https", "http");
    let [upper, deep, asked] = ["/EU", "/a/b", "?a=b"].map(|rest| format!("{hook}{rest}"));
    for (arguments, expected) in [
        (&[][..], "--url"),
        (&["--url", "http://hooks.example.com"], "platforms deliver to https only"),
        (&["--url", "hooks.example.com"], "is not a URL"),
        (&["--url", &other], &elsewhere),
        (&["--url", &upper], &elsewhere),
        (&["--url", &deep], &elsewhere),
        (&["--url", &asked], "question mark"),
        (&["--url", &hook, "--account", "eu"], "not the address of account eu"),
        (&["--url", &hook, "--event", misspelled], &unknown),
        (&["--url", &hook, "--api-url", &plain], "over https only"),
        (&["--url", &hook, "--secret-id", "a b"], "letters, digits"),
    ] {
        let (code, _, err) = with(arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {err}");
        assert!(err.contains(expected), "{arguments:?}: {err}");
    }
    for (key, expected) in
        [(None, "key is missing"), (Some(" \n"), "key is missing"), (Some("a b"), "is not an API key")]
    {
        let (code, _, err) =
            register(key, &[called().0.name, "--url", &hook, "--api-url", &url, "--secret-file", file]);
        assert_eq!((code, err.contains(expected)), (Some(2), true), "{err}");
    }
    let (code, _, err) = register(Some(KEY), &[called().0.name, "--url", &hook, "--api-url", &url]);
    assert_eq!(
        (
            code,
            err.contains(&format!(
                "--secret-file is missing: name a new file for the signing secret, like {name}.json"
            ))
        ),
        (Some(2), true),
        "{err}"
    );
    let (code, _, err) =
        register(None, &[by_hand().next().unwrap().name, "--url", "https://hooks.example.com", "--dry-run"]);
    assert_eq!((code, err.contains("leave out --dry-run")), (Some(2), true), "{err}");
    assert!(requests.try_recv().is_err());
    assert!(!Path::new(file).exists());
}

/// Every event is named, every place to fill in is there; for those that are called too, whose page has the steps.
#[test]
fn every_platform_has_steps() {
    for provider in providers::ALL {
        let account = Account::parse("eu-shop").unwrap();
        let steps = hookgate::commands::register::set_up(provider, "https://h.example/x", &account, None);
        for needed in [
            "https://h.example/x",
            r#"{"eu-shop": ["#,
            &format!("--secret-id {} ", stand_in(provider)),
            &output(provider),
        ] {
            assert!(steps.contains(needed), "{}: {needed}: {steps}", provider.name);
        }
        for (event, _) in provider.events {
            assert!(steps.contains(&format!("`{event}`")), "{}: {event}", provider.name);
        }
        assert!(!steps.contains("{url}") && !steps.contains("{events}"), "{steps}");
        // A numbered list: every line that begins no item is indented.
        let mut number = 0;
        for line in steps.lines().filter(|line| !line.is_empty() && !line.starts_with("   ")) {
            number += 1;
            assert!(line.starts_with(&format!("{number}. ")), "{line}");
        }
        assert_eq!(number, provider.registration.steps.len() + 1);
    }
}

#[test]
fn steps_are_printed_with_the_address_filled_in() {
    for provider in by_hand() {
        let Provider { name, .. } = provider;
        let url = format!("https://a1b2.execute-api.eu-west-1.amazonaws.com/webhooks/{name}/eu-shop");
        let arn = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:x-AbCdEf";
        let (code, out, err) = register(None, &[name, "--url", &url, "--secret-id", arn]);
        assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
        for filled in [&url, arn, r#"{"eu-shop": ["#] {
            assert!(out.contains(filled), "{name}: {filled}: {out}");
        }
        for open in ["hooks.example.com", &stand_in(provider), r#"{"default""#, "\n## ", "```sh "] {
            assert!(!out.contains(open), "{name}: {open}: {out}");
        }
        let (_, out, _) = register(None, &[name]);
        assert!(out.ends_with("https://hooks.example.com stands for your address: set it with --url.\n"), "{out}");
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
    // As a person would: what comes after the first letters of a platform's name?
    let begun = &support::first().name[..2];
    let asked = format!(
        "COMP_WORDS=(hookgate register {begun}); COMP_CWORD=2; _hookgate hookgate {begun} register; echo \"${{COMPREPLY[@]}}\""
    );
    let names: Vec<_> = providers::ALL.iter().map(|other| other.name).filter(|name| name.starts_with(begun)).collect();
    let script = format!("{}\n{asked}", completions("bash"));
    let ran = Command::new("bash").args(["-c", &script]).output().unwrap();
    assert_eq!(
        String::from_utf8(ran.stdout).unwrap(),
        format!("{}\n", names.join(" ")),
        "{}",
        String::from_utf8_lossy(&ran.stderr)
    );
}
