"""AWS on this machine, by MiniStack: functions run as real processes with their roles' credentials."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import boto3
from botocore.config import Config

from template import ROOT

# A virtual environment of its own, since it needs another botocore than the tools do.
PYTHON = ROOT / "target/ministack-venv/bin/python"
NAMES = "DNS:localhost,DNS:*.execute-api.localhost,DNS:*.lambda-url.us-east-1.on.aws"


@contextlib.contextmanager
def ministack(folder, secure=True):
    """Runs it; gives the environment in which the AWS CLI, SAM and boto3 talk to it. Secure, it enforces TLS, and the policies of
    roles and queues."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "HOOKGATE_"))} | {
        "AWS_ENDPOINT_URL": f"{'https' if secure else 'http'}://localhost:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_PAGER": "",
        "SAM_CLI_TELEMETRY": "0",
    }
    own = {
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": port,
        # Else it opens a port on all addresses.
        "IOT_MTLS_ENABLED": "0",
        "TMPDIR": str(folder),
    }
    if secure:
        certificate, key = str(folder / "cert.pem"), str(folder / "key.pem")
        # No authority: rustls takes none for a server's own.
        extensions = ["-addext", "basicConstraints=critical,CA:FALSE", "-addext", f"subjectAltName={NAMES}"]
        made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost", *extensions]
        subprocess.run([*made, "-keyout", key, "-out", certificate], check=True, capture_output=True)
        environment["AWS_CA_BUNDLE"] = certificate
        own |= {"AUTH": "true", "USE_SSL": "1", "MINISTACK_SSL_CERT": certificate, "MINISTACK_SSL_KEY": key}
        # For functions that trust the system's authorities, as the AWS SDK for Rust does: the consumer.
        own["SSL_CERT_FILE"] = certificate
    log = folder / "ministack.log"
    with log.open("w") as output:
        server = subprocess.Popen([PYTHON, ROOT / "tests/cloud.py"], cwd=folder, env=environment | own, stdout=output, stderr=output)
    try:
        while "Ready" not in log.read_text():
            if server.poll() is not None:
                raise SystemExit(log.read_text())
            time.sleep(0.1)
        yield environment
    finally:
        server.terminate()
        server.wait()


def stage(folder, bootstraps):
    """Puts the template beside these bootstraps, by their function's binary, as `sam build` would."""
    for binary, content in bootstraps.items():
        (folder / "code" / binary).mkdir(parents=True)
        bootstrap = folder / "code" / binary / "bootstrap"
        bootstrap.write_bytes(content)
        bootstrap.chmod(0o755)
    template = (ROOT / "template.yaml").read_text()
    for written, here in (('"functions/${Provider}/.."', '"code/${Provider}"'), ("CodeUri: examples/consumer/", "CodeUri: code/consumer")):
        assert written in template
        template = template.replace(written, here)
    (folder / "template.yaml").write_text(template)
    shutil.copy(ROOT / "samconfig.toml", folder)


def sam(environment, folder, stack, *arguments):
    """Runs the SAM CLI there."""
    command = [Path(sys.executable).parent / "sam", *arguments, "--stack-name", stack]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"sam {' '.join(arguments)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")


def client(environment, service):
    session = boto3.session.Session(
        environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"], environment.get("AWS_SESSION_TOKEN"), "us-east-1"
    )
    config, verify = Config(retries={"max_attempts": 1}), environment.get("AWS_CA_BUNDLE")
    return session.client(service, endpoint_url=environment["AWS_ENDPOINT_URL"], verify=verify, config=config)
