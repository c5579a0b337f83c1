#!/usr/bin/env python3
"""Runs every command of every document, and checks what the documents say that comes of it.

    tests/documents.py [README.md …]

Needs `cargo build`, `fuzz/run`, the tools of .ci/requirements.txt in the PATH, MiniStack, and ports 3000, 9000 to 9002, 9010
and 9100 to 9102.

Documents are run as a reader runs them: README, troubleshooting, deploying, then the others, all against one local intake,
which is started as README says, samples included, and keeps what the documents before have sent. So an id that is used twice
shows: the second answer is `duplicate`, or `quarantined`. Each document is one shell session, from its first `sh` block to its
last, beside a server that stands in for AWS and one for the platforms' own APIs.

A block `sh` must succeed. One tagged `sh no` must end with exit code 1, one tagged `sh error` with 2, and in one tagged `sh any`
every command with 0 or 1, since what it looks for may not be there. What a block prints must contain what the document shows
next: a block `text output` (… stands for anything), or a line that begins with "says", "prints" or "The answer is" and a text
in backquotes. A command that another step of CI runs is listed in ELSEWHERE.
"""

import ast
import contextlib
import http.server
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import tomllib
import zipfile
from pathlib import Path

import yaml
from jsonschema import Draft202012Validator

from emulator import client, ministack, sam, stage
from template import FUNCTIONS, PROVIDERS, WRITTEN, Cfn

ROOT = Path(__file__).resolve().parent.parent
SCRATCH, CLOUD = ROOT / "target/documents", ROOT / "target/cloud"

# Takes long, and is run by another step of CI: the file that has this very line.
ELSEWHERE = {
    "cargo test --workspace": ".ci/run",
    "fuzz/run 20000": ".ci/run",
    "bench/guard": ".ci/run",
    "bench/run table 1 20": ".ci/run",
    "cargo bench --manifest-path bench/Cargo.toml -- --test": ".ci/run",
    "cargo fmt --all --check": ".ci/run",
    "cargo clippy --workspace --all-targets -- -D warnings": ".ci/run",
    "UPDATE_SAMPLES=1 cargo test -p hookgate --test command signed": "tests/sixth_provider/follow_contributing",
    "UPDATE_CONTRACT=1 cargo test -p hookgate --test contract": "tests/sixth_provider/follow_contributing",
    "UPDATE_SAMPLES=1 cargo test -p hookgate-functions --test end_to_end consumers": "tests/sixth_provider/follow_contributing",
    "pip install ./consumers/python pytest": ".ci/run",
    "npm install --prefix examples/consumer-typescript": ".ci/run",
    "pytest examples/consumer-python": ".ci/run",
    "npm test --prefix examples/consumer-typescript": ".ci/run",
    "fuzz/run 1000": "tests/sixth_provider/follow_contributing",
}

# In this order; then all others.
FIRST = ["README.md", "docs/troubleshooting.md", "docs/deploy.md"]

# What else makes the documents' sessions those of a reader.
PREAMBLE = r"""
set -eo pipefail
hookgate() {
  case "${1-} $*" in
    " "* | --*)
      case " $* " in *" --once "* | *" --help "* | *" --version "*) "$HOOKGATE" "$@"; return ;; esac
      start_intake "$@" ;;
    # A new event, unless it says otherwise: whatever it is answered but "queued", its id is used twice.
    "send "*)
      "$HOOKGATE" "$@" | tee sent
      case "$*" in *--help* | *--same* | *--data* | *--tamper* | *--scenario* | *--print* | *--json*) ;; *) grep -q '^200 queued' sent ;; esac ;;
    # Stays up until Ctrl-C, and posts to the reader's own code.
    "listen "*)
      # The reader's code is up before it is posted to, and gets three attempts.
      case "$*" in *127.0.0.1:3000*) for _ in $(seq 100); do (exec 3<> /dev/tcp/127.0.0.1/3000) 2> /dev/null && break; sleep 0.1; done ;; esac
      timeout --preserve-status --signal INT 4 "$HOOKGATE" "${@/#http:\/\/localhost:+([^\/])/$PLATFORM}" ;;
    "tail "*) case " $* " in *" --once "* | *" --max "*) "$HOOKGATE" "$@" ;; *) timeout --preserve-status --signal INT 3 "$HOOKGATE" "$@" ;; esac ;;
    "register "*" --secret-file "*) "$HOOKGATE" "$@" --api-url "$PLATFORM" ;;
    # MiniStack cannot move messages, the local intake's SQS can: it has the stack's queues then.
    "redrive "*" --aws "*)
      local arn sqs=http://127.0.0.1:9002
      arn=$(aws cloudformation describe-stacks --stack-name hookgate --output text \
        --query 'Stacks[0].Outputs[?OutputKey==`DeadLettersQueueArn`].OutputValue')
      aws sqs create-queue --endpoint-url $sqs --queue-name "${arn##*:}" > /dev/null
      aws sqs create-queue --endpoint-url $sqs --queue-name redriven --attributes \
        "{\"RedrivePolicy\": \"{\\\"deadLetterTargetArn\\\": \\\"$arn\\\", \\\"maxReceiveCount\\\": 5}\"}" > /dev/null
      AWS_ENDPOINT_URL_SQS=$sqs "$HOOKGATE" "$@" ;;
    *) "$HOOKGATE" "$@" ;;
  esac
}
# Platforms' own APIs.
shopt -s extglob
curl() { command curl "${@/#https:\/\/+([^\/])/$PLATFORM}"; }
# An archive that is to be looked into has an event.
aws() {
  command aws "$@" || return
  case "$*" in
    "cloudformation deploy --stack-name hookgate-archive "*)
      command aws sns publish --topic-arn "$topic" --message "$EVENT" \
        --message-attributes '{"type": {"DataType": "String", "StringValue": "any"}}' > /dev/null ;;
  esac
}
# In the project itself, for SAM cannot follow links; says yes to whatever it asks.
sam() { (cd "$PROJECT" && command sam "$@" <<< $'y\ny'); }
# Stays up in the reader's other terminal. One for all documents: whoever has it running does not start it again. One on other
# ports ends with the document.
start_intake() {
  local log=$INTAKE pid
  case "$*" in *--port\ *) log=another.log ;; esac
  if [ ! -e "$log" ]; then
    echo "$*" > "$log.options"
    setsid "$HOOKGATE" "$@" > "$log" 2>&1 &
    pid=$!
    echo $pid >> "$PIDS"
    for _ in $(seq 600); do
      grep -q '^Waiting for deliveries' "$log" && break
      kill -0 $pid 2> /dev/null || { cat "$log"; rm "$log"; return 1; }
      sleep 0.1
    done
  fi
  [ "$*" = "$(cat "$log.options")" ] || { echo "an intake runs already, started with '$(cat "$log.options")'"; return 1; }
  sed '/^Waiting for deliveries/q' "$log"
}
cargo() {
  case "$*" in
    # What it builds is there already: $HOOKGATE.
    "install --locked --path cli") ;;
    "run --manifest-path "* | "run -q -p "*) (cd "$PROJECT" && command cargo "$@") ;;
    run | "run "*)
      shift
      while [ $# -gt 0 ]; do case "$1" in -q | --quiet) shift ;; --) shift; break ;; *) break ;; esac; done
      hookgate "$@" ;;
    "lambda watch"*)
      (cd "$PROJECT" && exec cargo "$@") > watch.log 2>&1 &
      echo $! > watch.pid
      for _ in $(seq 300); do (exec 3<> /dev/tcp/127.0.0.1/9010) 2> /dev/null && return; sleep 0.2; done
      cat watch.log; return 1 ;;
    *) (cd "$PROJECT" && command cargo "$@") ;;
  esac
}
"""

RUNS = re.compile(r"(?:[A-Z_]+=\S+ )?(?:cargo|hookgate|aws|sam|pip|python3|npm|rustup|fuzz/run|bench/\w+|tests/\w+)(?: |$)")


class Block:
    def __init__(self, document, line, tag, text):
        self.place, self.tag, self.text, self.expected = f"{document}:{line}", tag, text, []


def blocks(document):
    """Every fenced block; what the document says that an `sh` block prints is with that block."""
    lines = (ROOT / document).read_text().split("\n")
    found, fence, start, previous = [], None, 0, None
    for number, line in enumerate(lines, 1):
        stripped = line.strip()
        if fence is None and (opening := re.fullmatch(r"( *)```(.*)", line)):
            fence, start = opening, number
        elif fence is not None and stripped == "```":
            text = "\n".join(each.removeprefix(fence[1]) for each in lines[start : number - 1])
            block = Block(document, start, fence[2], text)
            if block.tag == "text output":
                assert previous, f"{block.place} follows no command"
                previous.expected.append(text)
            found.append(block)
            previous, fence = (block if block.tag.split()[:1] == ["sh"] else previous), None
        elif fence is None and stripped:
            if previous and (said := re.match(r"(?:says|prints|The answer is) (`+)(.+?)\1", stripped)):
                previous.expected.append(said[2])
            listed = any(re.match(r" *([-*]|\d+\.) ", each) for each in lines[max(0, number - 12) : number])
            assert listed or not line.startswith("    "), f"{document}:{number} is indented: fence it"
    assert fence is None, f"{document}:{start} is never closed"
    return found


def commands(text):
    """The block's lines, joined where they go on, without comments."""
    joined = re.sub(r"\s*\\\n\s*", " ", text)
    return [re.sub(r"(^|\s)#\s.*$", "", line).strip() for line in joined.split("\n")]


def inline(document):
    """Commands in the running text, up to the first thing that the reader fills in."""
    text = re.sub(r"(?ms)^ *```.*?^ *```$", "", (ROOT / document).read_text())
    for span in re.findall(r"(?<!`)`([^`\n]+)`(?!`)", text):
        if RUNS.match(span) and " " in span:
            yield plain(re.split(r"[<\[{…]|\.\.\.", span)[0])


def dead_links(document):
    """Links into the project that lead nowhere: no such file, or no such heading in it."""
    text = re.sub(r"(?ms)^ *```.*?^ *```$", "", (ROOT / document).read_text())
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"\w+:", link):
            continue
        name, _, heading = link.partition("#")
        target = (ROOT / document).parent / name if name else ROOT / document
        headings = re.findall(r"(?m)^#+ (.*)$", target.read_text()) if heading and target.exists() else []
        if not target.exists() or heading and heading not in {re.sub(r"[^\w -]", "", each).lower().replace(" ", "-") for each in headings}:
            yield f"{document}: {link} leads nowhere"


def plain(command):
    return re.sub(r"\bcargo run -q --(?= |$)", "hookgate", command).strip()


def script(document):
    """The session, one marker before each block."""
    lines = [PREAMBLE]
    for index, block in enumerate(document_blocks := blocks(document)):
        words = block.tag.split()
        if words[:1] != ["sh"]:
            judge(block)
            continue
        assert set(words[1:]) <= {"no", "error", "any"}, f"{block.place}: what is {block.tag}?"
        kept = []
        for command in commands(block.text):
            if command in ELSEWHERE:
                written = (ROOT / ELSEWHERE[command]).read_text().split("\n")
                assert command in [line.strip().split(" > ")[0] for line in written], f"{ELSEWHERE[command]} does not run {command}"
            else:
                kept.append(command)
        lines.append(f"printf '\\n@@ {index}\\n'")
        kept = [line for line in kept if line]
        if {"no", "error"} & set(words):
            lines += [*kept[:-1], f"code=0; {kept[-1]} || code=$?; [ $code = {1 if 'no' in words else 2} ]"]
        elif "any" in words:
            lines += [f"{each} || [ $? = 1 ]" for each in kept]
        else:
            lines += kept
    lines.append("printf '\\n@@ end\\n'")
    return document_blocks, "\n".join(lines)


def judge(block):
    """Blocks that are not run can at least be read."""
    match block.tag.split(",")[0]:
        case "json":
            read = json.loads(block.text)
            if "specversion" in read:
                Draft202012Validator(json.loads((ROOT / "docs/contract/event.schema.json").read_text())).validate(read)
        case "yaml":
            yaml.safe_load(block.text.replace("!Ref", ""))
        case "toml":
            tomllib.loads(block.text)
        case "python":
            ast.parse(block.text)
        # Rust in a crate's README is a documentation test.
        case "text" | "text output" | "ts" | "rust":
            pass
        case other:
            raise AssertionError(f"{block.place}: a block tagged {other!r}: tag it sh, or say what else it is")


def pattern(expected):
    lines = [" *".join(".*?".join(map(re.escape, part.split("…"))) for part in line.split()) for line in expected.split("\n")]
    return re.compile(r"\s*".join(line.replace(r"\ ", " +") for line in lines), re.S)


def play(document, aws, platform):
    document_blocks, session = script(document)
    if not any(block.tag.startswith("sh") for block in document_blocks):
        return
    folder = SCRATCH / document.replace("/", "-")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in {Path(name).parts[0] for name in tracked()}:
        (folder / name).symlink_to(ROOT / name)
    # What the reader writes by hand, where no command does.
    for provider in PROVIDERS:
        if not re.search(rf"(>|--secret-file) {provider}\.json", session):
            (folder / f"{provider}.json").write_text('{"default": ["chosen_by_the_reader"]}\n')
    environment = aws | {
        "PROJECT": str(ROOT),
        "HOOKGATE": os.environ.get("HOOKGATE", str(ROOT / "target/debug/hookgate")),
        "INTAKE": str(SCRATCH / "intake.log"),
        "PIDS": str(SCRATCH / "pids"),
        "PLATFORM": platform,
        # Six binaries for another machine: as documented, but in three minutes and not in a quarter of an hour.
        "CARGO_PROFILE_RELEASE_LTO": "off",
        "CARGO_PROFILE_RELEASE_OPT_LEVEL": "0",
        "CARGO_PROFILE_RELEASE_CODEGEN_UNITS": "16",
        "EVENTS_QUEUE_ARN": "arn:aws:sqs:us-east-1:123456789012:hookgate-events",
        "EVENT": json.loads((ROOT / "docs/consumers/messages.json").read_text())["Records"][0]["body"],
    }
    # What the steps of registering ask for.
    asked = re.findall(r'key: "(\w+)"|\$([A-Z]\w+)', "".join(PROVIDERS.values()))
    environment |= {name: "given" for names in asked for name in names if name}
    started = time.monotonic()
    # Started by the document itself, if by any.
    intake = "" if re.search(r"^(cargo run|hookgate)$", session, re.M) else "start_intake > /dev/null\n"
    process = subprocess.Popen(
        ["timeout", "1200", "bash", "-c", session.replace(PREAMBLE, PREAMBLE + intake, 1)],
        cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, start_new_session=True,
    )  # fmt: skip
    try:
        # Up to the last marker: what the session left in the background may keep the pipe open.
        output = []
        for line in process.stdout:
            output.append(line)
            if line == "@@ end\n":
                break
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait()
        if output[-1:] == ["@@ end\n"] and re.search("^sam build", session, re.M):
            built_apart(aws)
        if re.search("^(sam|cargo lambda) build", session, re.M):
            # What was built in a hurry is not to be deployed.
            for built in (".aws-sam", "target/lambda"):
                shutil.rmtree(ROOT / built, ignore_errors=True)
        stop_intakes(all_of_them=False)
    parts = dict(re.findall(r"(?ms)^@@ (\w+)\n(.*?)(?=^@@ |\Z)", "".join(output)))
    if "end" not in parts:
        last = document_blocks[int(max(parts, key=int, default="0"))]
        sys.exit(f"{last.place} failed:\n{last.text}\n\n{parts.get(max(parts, key=int, default='0'), ''.join(output))}")
    for index, block in enumerate(document_blocks):
        for expected in block.expected:
            if not pattern(expected).search(parts[str(index)]):
                sys.exit(f"{block.place} does not print what the document says:\n{expected}\n\nbut:\n{parts[str(index)]}")
    count = sum(block.tag.startswith("sh") for block in document_blocks)
    print(f"{document}: {count} blocks, {time.monotonic() - started:.1f} s", flush=True)


def built_apart(aws):
    """`sam build` and `sam package` give each function its own binary: where a loop's functions have one CodeUri, SAM gives all
    the same one, and says nothing."""
    binaries = [*WRITTEN["Parameters"]["Providers"]["Default"].split(","), "consumer"]
    packaged, s3 = SCRATCH / "packaged.yaml", client(aws, "s3")
    s3.create_bucket(Bucket="packages")
    command = ["sam", "package", "--s3-bucket", "packages", "--output-template-file", str(packaged)]
    subprocess.run(command, cwd=ROOT, env=aws, check=True, capture_output=True)
    template = yaml.load(packaged.read_text(), Cfn)
    # By platform, where the functions' code differs.
    code = {name: each["CodeUri"] for mapping in template.get("Mappings", {}).values() for name, each in mapping.items()}
    code["consumer"] = template["Resources"]["ConsumerFunction"]["Properties"]["CodeUri"]
    keys = {each["Key"] for each in s3.list_objects_v2(Bucket="packages")["Contents"]}
    assert sorted(code) == sorted(binaries) and len(keys) == len(binaries), f"functions share their code: {code}, {keys}"
    for name, address in code.items():
        with zipfile.ZipFile(io.BytesIO(s3.get_object(Bucket="packages", Key=address.rsplit("/", 1)[1])["Body"].read())) as package:
            bootstrap = package.read("bootstrap")
        assert bootstrap == (ROOT / f"target/lambda/{name}/bootstrap").read_bytes(), f"{name} is packaged with another binary"
        # For arm64, by the header of an ELF file; the consumer too, though it is off.
        assert bootstrap[18] == 0xB7, f"{name} is not built for arm64"


def stop_intakes(all_of_them):
    """What the sessions have started in a group of its own: the first one, for all documents, only at the end."""
    pids = SCRATCH / "pids"
    started = pids.read_text().split() if pids.exists() else []
    for pid in started[0 if all_of_them else 1 :]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGTERM)
    pids.write_text("".join(f"{pid}\n" for pid in ([] if all_of_them else started[:1])))


def taken_port():
    for port in (3000, 9000, 9001, 9002, 9010, 9100, 9101, 9102):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return port
    return None


def tracked():
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return listed.stdout.split()


def prepare(aws):
    """What the documents speak of: a stack, though its functions do nothing, and what a reader has besides."""
    stage(CLOUD, {binary: f"#!/bin/sh\n# {binary}\n".encode() for binary in FUNCTIONS})
    sam(aws, CLOUD, "hookgate", "deploy")
    # A delivery that a function has logged.
    now, logs, provider = int(time.time() * 1000), client(aws, "logs"), WRITTEN["Parameters"]["Providers"]["Default"].split(",")[0]
    line = {"provider": provider, "account": "default", "outcome": "queued", "id": "evt_01j7x", "subject": "order/8f3e"}
    stream = {"logGroupName": f"/aws/lambda/hookgate-{provider}", "logStreamName": "documents"}
    logs.create_log_stream(**stream)
    message = json.dumps(line | {"_aws": {"Timestamp": now}})
    logs.put_log_events(**stream, logEvents=[{"timestamp": now, "message": message}])
    for provider in PROVIDERS:
        # So the pages call the secret that the stack made.
        client(aws, "secretsmanager").create_secret(Name=f"{provider.upper()}_SECRET", SecretString="generated")
    for name in ("hookgate-events", "watch-events"):
        client(aws, "sqs").create_queue(QueueName=name)
    # For the document of the archive, when it is played alone.
    fan_out = ["--stack-name", "hookgate-fan-out", "--template-file", "docs/consumers/fan-out.yaml", "--capabilities", "CAPABILITY_IAM"]
    queue = "EventsQueueArn=arn:aws:sqs:us-east-1:000000000000:hookgate-events"
    subprocess.run(["aws", "cloudformation", "deploy", *fan_out, "--parameter-overrides", queue], cwd=ROOT, env=aws, check=True, capture_output=True)


class Platform(http.server.BaseHTTPRequestHandler):
    """A stand-in for the platforms' own APIs: creates an endpoint, and answers with its secret."""

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(201)
        self.end_headers()
        self.wfile.write(b'{"id": "1", "secret": "chosen_by_the_platform", "signatureKey": "chosen_by_the_platform"}')

    def log_message(self, *_):
        pass


def main():
    documents = [name for name in tracked() if name.endswith(".md") and name != "CHANGELOG.md"]
    documents.sort(key=lambda name: FIRST.index(name) if name in FIRST else len(FIRST))
    told = {plain(command) for name in documents for block in blocks(name) for command in commands(block.text)}
    said = [(name, command) for name in documents for command in inline(name)]
    strange = [f"{name}: `{command}` is run nowhere: put it into an sh block" for name, command in said if not any(command in each for each in told)]
    strange += [f"no document says {command}" for command in ELSEWHERE if plain(command) not in told]
    strange += [link for name in documents for link in dead_links(name)]
    if strange:
        sys.exit("\n".join(strange))

    if port := taken_port():
        sys.exit(f"port {port} is taken: end what listens there, or give this a network of its own (unshare --net)")
    assert (ROOT / "target/debug/hookgate").exists(), "run `cargo build` first"
    platforms = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Platform)
    threading.Thread(target=platforms.serve_forever, daemon=True).start()
    platform = f"http://127.0.0.1:{platforms.server_port}"
    shutil.rmtree(SCRATCH, ignore_errors=True)
    SCRATCH.mkdir(parents=True)
    # So that the intakes end with this, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with ministack(CLOUD, secure=False) as aws:
        prepare(aws)
        try:
            for name in documents:
                if not sys.argv[1:] or name in sys.argv[1:]:
                    play(name, aws, platform)
        finally:
            stop_intakes(all_of_them=True)


main()
