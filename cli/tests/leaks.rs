//! What the command says of what it cannot use: never a word of it. What shows a payload because it was asked to is not
//! meant here.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use hookgate::local::engines::{Engines, provision};
use hookgate_verify::providers;

mod support;

/// Stands wherever something secret or personal can.
const MARK: &str = "s3cr3t-mark";

fn run(arguments: &[&str], stdin: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookgate"));
    command.args(arguments).env("HOOKGATE_SECRET", format!("{MARK}-secret"));
    command.stdin(fs::File::open(stdin).unwrap()).output().unwrap()
}

/// It fails, and says why without the mark.
#[track_caller]
fn assert_unmarked(of: &str, ran: &Output) {
    let said = format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.code().is_some_and(|code| code == 1 || code == 2), "{of}: {said}");
    assert!(!said.contains(MARK), "{of}: {said}");
}

#[test]
fn no_error_quotes_a_file() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("leaks-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.join(name);
        fs::write(&path, text.replace("MARK", MARK)).unwrap();
        path
    };
    for provider in providers::ALL {
        let (name, event) = (provider.name, support::event(provider));
        let signed = support::signed(provider, &support::body(provider, &[]), 1_736_611_200);
        let headers: Vec<_> = signed.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let body = String::from_utf8(signed.body).unwrap();
        let capture = file("capture", &format!("POST /webhooks/{name} HTTP/1.1\r\n{}\r\n{body}", headers.concat()));
        // `PLATFORM` stands for its name.
        for (number, secrets) in [
            "MARK MARK",
            "SECRET=MARK",
            "# MARK\n\nis a README",
            "default: MARK",
            "MARK\u{200b}",
            "{\"default\":[\"MARK\"",
            "{\"default\":[\"MARK\",7]}",
            "{\"PLATFORM\":{\"default\":\"MARK\"},\"PLATFORM2\":",
            "{\"PLATFORM\":{\"default\":[\"MARK\"],\"b\":[\"MARK\"]}}",
            "{\"PLATFORM\":{\"MARK MARK\":[\"a\"]}}",
            "{\"SecretString\":\"MARK\"}",
            "\"{\\\"default\\\":\\\"MARK\\\"}\"",
        ]
        .into_iter()
        .enumerate()
        {
            let path = file(&format!("secrets-{number}"), &secrets.replace("PLATFORM", name));
            let path = path.to_str().unwrap();
            for arguments in [
                &["explain", name, "--secrets", path][..],
                &["send", name, event, "--secrets", path, "--url", "http://127.0.0.1:9"],
                &["--once", "--no-samples", "--secrets", path, "--listen", "127.0.0.1:0", "--dynamodb", "127.0.0.1:0"],
            ] {
                assert_unmarked(&format!("{arguments:?} {secrets}"), &run(arguments, &capture));
            }
        }
        for (number, text) in
            ["MARK", "{\"MARK\":", "[\"MARK\"]", "\"MARK\"", "{\"log\":{\"entries\":[\"MARK\"]}}", "curl MARK"]
                .into_iter()
                .enumerate()
        {
            let path = file(&format!("text-{number}"), text);
            assert_unmarked(&format!("explain {name} {text}"), &run(&["explain", name], &path));
            let data = ["send", name, event, "--data", path.to_str().unwrap(), "--url", "http://127.0.0.1:9"];
            assert_unmarked(&format!("send {name} --data {text}"), &run(&data, &capture));
        }
    }
    fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_error_quotes_a_message() {
    let engines = Engines::anywhere().await.unwrap();
    let resources = provision(&engines).await.unwrap();
    let empty = Path::new("/dev/null");
    for text in [
        "MARK",
        "\"MARK\"",
        "{\"reason\":{\"MARK\":1}}",
        "{\"MARK\":",
        "{\"reason\":\"not_json\",\"provider\":\"MARK\"}",
    ] {
        let send = engines.sqs().send_message().queue_url(&resources.quarantine_url);
        send.message_body(text.replace("MARK", MARK)).send().await.unwrap();
    }
    let (sqs, dynamodb) = (engines.sqs_url(), engines.dynamodb_url());
    for command in [&["list"][..], &["list", "--json"], &["release", "--all"], &["release", "--all", "--json"]] {
        let arguments = [&["quarantine"], command, &["--sqs", &sqs, "--dynamodb", &dynamodb]].concat();
        let ran = tokio::task::block_in_place(|| run(&arguments, empty));
        let said = format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
        assert!(!said.contains(MARK) && !said.is_empty(), "{command:?}: {said}");
    }
}
