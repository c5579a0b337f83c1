//! The tools that `sam build` needs on this machine.

use std::{env, path::Path, process::Stdio, time::Duration};

use tokio::process::Command;

use super::Check;

/// The default target: see the stack's parameter Architecture.
const TARGET: &str = "aarch64-unknown-linux-gnu";

/// The SAM CLI takes seconds to start.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) async fn check() -> Vec<Check> {
    // cargo-lambda looks for Zig as cargo-zigbuild does: in this variable, on the path, as Python's package.
    let own_zig = env::var("CARGO_ZIGBUILD_ZIG_PATH").unwrap_or_else(|_| "zig".to_owned());
    let (sam, lambda, zig, zig_of_python, libraries) = tokio::join!(
        ask("sam", &["--version"]),
        ask("cargo", &["lambda", "--version"]),
        ask(&own_zig, &["version"]),
        ask("python3", &["-m", "ziglang", "version"]),
        ask("rustc", &["--print", "target-libdir", "--target", TARGET]),
    );
    // The compiler prints the folder's name even if it is missing.
    let target = match libraries {
        Some(folder) if Path::new(&folder).is_dir() => Check::ok("target", TARGET),
        Some(_) => {
            Check::problem("target", format!("{TARGET} is not installed"), format!("rustup target add {TARGET}"))
        }
        None => Check::problem("target", "rustc is missing", "install Rust: https://rustup.rs"),
    };
    vec![
        tool("sam", sam, "pip install aws-sam-cli"),
        tool("cargo lambda", lambda, "pip install cargo-lambda"),
        tool("zig", zig.or(zig_of_python), "pip install ziglang"),
        target,
    ]
}

fn tool(name: &str, version: Option<String>, install: &str) -> Check {
    match version {
        Some(version) => Check::ok(name, version),
        None => Check::problem(name, "missing, or it does not start", install),
    }
}

/// The first line of a command's output. None if it is missing or fails.
async fn ask(program: &str, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output()).await.ok()?.ok()?;
    let said = String::from_utf8_lossy(&output.stdout);
    let line = said.lines().next().unwrap_or_default().trim();
    output.status.success().then(|| line.chars().filter(|c| !c.is_control()).take(200).collect())
}
