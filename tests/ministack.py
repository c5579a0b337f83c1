"""MiniStack, which plays AWS: its own deployment of CloudFormation, HTTP APIs, Lambda, IAM and the rest, on this machine.

Functions run as real processes with their roles' credentials; policies of roles and queues are enforced, and so is TLS. What it
does not have, the template's test asserts instead: metric-math alarms, metrics from log lines, expiry, `dynamodb:LeadingKeys`,
moving messages between queues.
"""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import boto3
from botocore.config import Config

from template import ROOT, WRITTEN

# A virtual environment of its own, since it needs another botocore than the tools: .ci/requirements-ministack.txt
PROGRAM = ROOT / "target/ministack-venv/bin/ministack"


@contextlib.contextmanager
def ministack(folder):
    """Runs it, with a certificate of its own. Gives the environment in which the AWS CLI, SAM and boto3 talk to it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    certificate, key = folder / "cert.pem", folder / "key.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,DNS:*.localhost,IP:127.0.0.1"]
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", key, "-out", certificate, *subject]
    subprocess.run(made, check=True, capture_output=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "HOOKGATE_"))} | {
        "AWS_ENDPOINT_URL": f"https://localhost:{port}",
        "AWS_CA_BUNDLE": str(certificate),
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_PAGER": "",
        "SAM_CLI_TELEMETRY": "0",
    }
    own = {
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": port,
        "AUTH": "true",
        # Else it opens a port on all addresses.
        "IOT_MTLS_ENABLED": "0",
        "USE_SSL": "1",
        "MINISTACK_SSL_CERT": str(certificate),
        "MINISTACK_SSL_KEY": str(key),
        "TMPDIR": str(folder),
    }
    with (folder / "ministack.log").open("w") as log:
        server = subprocess.Popen([PROGRAM], cwd=folder, env=environment | own, stdout=log, stderr=log)
    try:
        for _ in range(300):
            if server.poll() is not None:
                raise SystemExit((folder / "ministack.log").read_text())
            if "Ready" in (folder / "ministack.log").read_text():
                break
            time.sleep(0.1)
        yield environment
    finally:
        server.terminate()
        server.wait()


def client(environment, service):
    session = boto3.session.Session("test", "test", region_name="us-east-1")
    config = Config(retries={"max_attempts": 1})
    return session.client(service, endpoint_url=environment["AWS_ENDPOINT_URL"], verify=environment["AWS_CA_BUNDLE"], config=config)


def deployable(code):
    """The template as JSON, its functions' code in `code`/NAME; and, since it knows no metric math, each alarm on the first
    of its metrics."""
    template = json.loads(json.dumps(WRITTEN, default=str))

    def adapt(resources):
        for name, resource in resources.items():
            if name.startswith("Fn::ForEach::"):
                adapt(resource[2])
            elif resource["Type"] == "AWS::Serverless::Function":
                binary = resource["Metadata"].pop("BuildProperties")["Binary"]
                resource["Properties"]["CodeUri"] = {"Fn::Sub": f"{code}/{binary['Fn::Sub']}"} if isinstance(binary, dict) else f"{code}/{binary}"
            elif resource["Type"] == "AWS::CloudWatch::Alarm":
                properties = resource["Properties"]
                metrics = properties.pop("Metrics")
                named = [each["MetricStat"] for each in metrics if "MetricStat" in each]
                first = named[0] if named else {
                    "Stat": "Sum", "Period": 300, "Metric": {"Namespace": {"Ref": "AWS::StackName"}, "MetricName": "Unavailable"},
                }  # fmt: skip
                statistic = "ExtendedStatistic" if first["Stat"].startswith("p") else "Statistic"
                properties |= first["Metric"] | {statistic: first["Stat"], "Period": first["Period"]}

    adapt(template["Resources"])
    return template
