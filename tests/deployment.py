#!/usr/bin/env python3
"""Deploys the template to MiniStack, twice beside each other, with the functions as real processes, and delivers to it.

    tests/deployment.py

Needs `cargo build --package hookgate --package hookgate-functions --package consumer --bins`, and what .ci/run installs.
"""

import hashlib
import io
import json
import re
import ssl
import subprocess
import time
import urllib.request
import zipfile

from botocore.exceptions import ClientError

from emulator import client, ministack, sam, stage
from template import ROOT, WRITTEN

FOLDER = ROOT / "target/deployment"
DEBUG = ROOT / "target/debug"
ACCOUNT = "000000000000"
PLATFORMS = WRITTEN["Parameters"]["Providers"]["Default"].split(",")
# What the template deploys by default, and the consumer's package, which it deploys where that is asked for.
FUNCTIONS = [*PLATFORMS, "consumer"]
# Where one serves for all, and where another stack has one alone.
ONE, TWO = PLATFORMS[:2]
# On AWS aws:PrincipalArn is the role, with its path; here it is the session, without.
OPERATOR = f"QuarantineOperator=arn:aws:sts::{ACCOUNT}:assumed-role/hookgate-dev-*"
# Between two reads of a secret.
PAUSE = 31

checks = 0


def check(holds, *said):
    global checks
    checks += 1
    if not holds:
        raise SystemExit(f"check {checks} failed: {said}")


def equal(got, expected, *said):
    check(got == expected, got, "is not", expected, *said)


def until(what, seconds=30):
    """The first answer that is not empty."""
    for _ in range(seconds * 5):
        if found := what():
            return found
        time.sleep(0.2)
    return None


class Stack:
    """A deployed stack."""

    def __init__(self, environment, name, *parameters):
        self.environment, self.name = environment, name
        self.aws = {service: client(environment, service) for service in ("sqs", "dynamodb", "secretsmanager", "logs", "lambda", "cloudwatch")}
        self.cloudformation = client(environment, "cloudformation")
        self.deploy(*parameters)

    def deploy(self, *parameters):
        sam(self.environment, FOLDER, self.name, "deploy", "--parameter-overrides", "Architecture=x86_64", *parameters)
        stack = self.cloudformation.describe_stacks(StackName=self.name)["Stacks"][0]
        self.outputs = {each["OutputKey"]: each["OutputValue"] for each in stack["Outputs"]}

    def hookgate(self, *arguments, code=0):
        command = [DEBUG / "hookgate", *arguments, "--aws", "--stack", self.name, "--json"]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True)
        check(done.returncode == code, arguments, done.returncode, done.stdout, done.stderr)
        return json.loads(done.stdout)

    def put_secret(self, provider, value):
        self.aws["secretsmanager"].put_secret_value(SecretId=self.outputs[f"{provider}Secret"], SecretString=json.dumps(value))

    def messages(self, queue, least, seconds=20):
        """What is on a queue, taken off it."""
        url, found = self.outputs[f"{queue}QueueUrl"], []
        ask = {"MaxNumberOfMessages": 10, "MessageAttributeNames": ["All"], "AttributeNames": ["All"]}
        for _ in range(seconds * 5):
            for message in self.aws["sqs"].receive_message(QueueUrl=url, **ask).get("Messages", []):
                found.append(message)
                self.aws["sqs"].delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            if len(found) >= least:
                break
            time.sleep(0.2)
        return found

    def lines(self, provider):
        """The function's own lines."""
        try:
            events = self.aws["logs"].filter_log_events(logGroupName=f"/aws/lambda/{self.name}-{provider}")["events"]
        except ClientError:
            return []
        texts = (each["message"].strip() for each in events)
        return [line for line in (json.loads(text) for text in texts if text.startswith("{")) if "outcome" in line]


class Delivery:
    """A signed delivery, to be sent as often as one likes."""

    def __init__(self, provider, event, secret, *more):
        command = [DEBUG / "hookgate", "send", provider, event, "--print", "curl", "--url", "https://x", *more]
        environment = {"PATH": "/usr/bin:/bin", "HOOKGATE_SECRET": secret}
        self.command = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    def to(self, stack, url):
        """What comes back: the status, and the outcome."""
        port = stack.environment["AWS_ENDPOINT_URL"].rsplit(":", 1)[1]
        reach = f"curl -sS --cacert {stack.environment['AWS_CA_BUNDLE']} --connect-to ::localhost:{port} -w '\\n%{{http_code}}'"
        command = re.sub(r"^curl -i '[^']*'", lambda _: f"{reach} '{url}'", self.command)
        said = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
        check(said.returncode == 0, said.stderr)
        body, status = said.stdout.rsplit("\n", 1)
        return int(status), json.loads(body or "{}").get("outcome")


def first_event(provider):
    said = subprocess.run([DEBUG / "hookgate", "send", provider], capture_output=True, text=True).stderr
    return re.search(r": ([^,:\s]\S*?)(,|$)", said.strip().replace("hookgate: ", ""))[1]


def sample_secrets():
    return json.loads((ROOT / "events/secrets.json").read_text())


def packages(stack):
    """Each function runs its own binary: with one CodeUri for all of a loop, SAM gives all the same, and says nothing."""
    for provider in PLATFORMS:
        location = stack.aws["lambda"].get_function(FunctionName=f"{stack.name}-{provider}")["Code"]["Location"].replace("http:", "https:")
        trusted = ssl.create_default_context(cafile=stack.environment["AWS_CA_BUNDLE"])
        with urllib.request.urlopen(location, context=trusted) as package:
            zipped = zipfile.ZipFile(io.BytesIO(package.read()))
        check(zipped.read("bootstrap") == (FOLDER / "code" / provider / "bootstrap").read_bytes(), provider)
    bucket, *_ = client(stack.environment, "s3").list_buckets()["Buckets"]
    keys = client(stack.environment, "s3").list_objects_v2(Bucket=bucket["Name"])["Contents"]
    equal(len([each for each in keys if not each["Key"].endswith(".template")]), len(FUNCTIONS), "packages")


def deliveries(stack):
    """Each platform: fresh, again and tampered, at both front ends."""
    for provider in PLATFORMS:
        api, url = stack.outputs[f"{provider}Url"], stack.outputs[f"{provider}FunctionUrl"]
        secrets = sample_secrets()[provider]
        for account, (secret, *_) in secrets.items():
            path = "" if account == "default" else f"/{account}"
            for one, other in ((api + path, url + path), (url + path, api + path)):
                delivery = Delivery(provider, first_event(provider), secret)
                equal(delivery.to(stack, one), (200, "queued"), provider, one, stack.lines(provider)[-1:])
                equal(delivery.to(stack, other), (200, "duplicate"), provider, "the same at the other front end")
                tampered = Delivery(provider, first_event(provider), secret, "--tamper", "signature")
                status, outcome = tampered.to(stack, one)
                check(400 <= status < 404 and outcome == "rejected", provider, status, outcome)
            messages = stack.messages("Events", 2)
            equal(len(messages), 2, provider, account)
            for message in messages:
                event = json.loads(message["Body"])
                equal((event["provider"], event["account"]), (provider, account))
                equal(message["MessageAttributes"]["type"]["StringValue"], event["type"])
                equal(message["Attributes"].get("MessageGroupId"), f"{provider}/{account}")
        equal(Delivery(provider, first_event(provider), "wrong").to(stack, api + "/nobody")[1], "rejected")


def log_lines(stack):
    """Each invocation counted once, in the stack's own namespace; no secret anywhere."""
    for provider in PLATFORMS:
        lines = until(lambda: stack.lines(provider))
        check(lines, provider, "left no line")
        for line in lines:
            metrics = line["_aws"]["CloudWatchMetrics"][0]
            equal(metrics["Namespace"], stack.name)
            equal([each["Name"] for each in metrics["Metrics"]][0], "Received")
        text = json.dumps(lines)
        for secret in sum(sample_secrets()[provider].values(), []):
            check(secret not in text, provider, "logged a secret")
    for group in stack.aws["logs"].describe_log_groups(logGroupNamePrefix=f"/aws/lambda/{stack.name}-")["logGroups"]:
        equal(group["retentionInDays"], 7)


def quarantine(stack):
    """An event from long ago goes to quarantine; the command releases it; nobody else puts anything there."""
    for provider in PLATFORMS:
        secret = sample_secrets()[provider]["default"][0]
        (FOLDER / "unreadable").write_text('{"signature": ""}')
        unreadable = Delivery(provider, first_event(provider), secret, "--data", str(FOLDER / "unreadable"))
        equal(unreadable.to(stack, stack.outputs[f"{provider}Url"]), (200, "quarantined"), provider)
        equal(unreadable.to(stack, stack.outputs[f"{provider}Url"]), (200, "duplicate"), provider)
    old = Delivery(ONE, first_event(ONE), sample_secrets()[ONE]["default"][0], "--same")
    equal(old.to(stack, stack.outputs[f"{ONE}Url"]), (200, "quarantined"))
    listed = stack.hookgate("quarantine", "list", "--reason", "too_old")
    equal([(each["provider"], each["reason"]) for each in listed], [(ONE, "too_old")])
    stack.hookgate("quarantine", "release", listed[0]["quarantine_id"])
    events = stack.messages("Events", 1)
    equal([json.loads(each["Body"])["provider"] for each in events], [ONE])
    equal(old.to(stack, stack.outputs[f"{ONE}Url"])[1], "duplicate", "after its release")
    try:
        stack.aws["sqs"].send_message(QueueUrl=stack.outputs["QuarantineQueueUrl"], MessageBody="forged")
        check(False, "somebody else sent to the quarantine")
    except ClientError as error:
        equal(error.response["Error"]["Code"].rsplit(".", 1)[-1].rsplit("#", 1)[-1], "AccessDenied")


def rotation(stack):
    """A new secret is in force without a deployment, and the old one until it is removed."""
    url = {provider: stack.outputs[f"{provider}Url"] for provider in PLATFORMS}
    current = {provider: sample_secrets()[provider]["default"][0] for provider in PLATFORMS}
    for provider in PLATFORMS:
        stack.put_secret(provider, {"default": ["chosen_anew", current[provider]]})
    time.sleep(PAUSE)
    for provider in PLATFORMS:
        equal(Delivery(provider, first_event(provider), "chosen_anew").to(stack, url[provider]), (200, "queued"), provider)
        equal(Delivery(provider, first_event(provider), current[provider]).to(stack, url[provider]), (200, "queued"), provider)
        def counted():
            lines = [line for line in stack.lines(provider) if line.get("PreviousSecret")]
            return lines and {each["Name"] for each in lines[-1]["_aws"]["CloudWatchMetrics"][0]["Metrics"]}
        check("PreviousSecret" in (until(counted) or set()), provider, "did not count the previous secret")
    stack.messages("Events", 2 * len(PLATFORMS))


def role(stack, name):
    """What a function's own credentials are here: MiniStack derives them, and knows them once the function has run."""
    function = stack.aws["lambda"].get_function_configuration(FunctionName=f"{stack.name}-{name}")
    for arn in (function["FunctionArn"], f"{function['FunctionArn']}:1", f"{function['FunctionArn']}:live"):
        digest = hashlib.sha256(f"{arn}:{function['Role']}".encode()).hexdigest()
        own = stack.environment | {"AWS_ACCESS_KEY_ID": f"ASIA{digest[:16].upper()}"}
        own["AWS_SECRET_ACCESS_KEY"] = hashlib.sha256(f"secret:{digest}".encode()).hexdigest()
        own["AWS_SESSION_TOKEN"] = hashlib.sha256(f"token:{digest}".encode()).hexdigest()
        try:
            client(own, "sts").get_caller_identity()
            return own
        except ClientError:
            continue
    raise SystemExit(f"no credentials of {name}")


def refused(call, *said):
    try:
        call()
    except ClientError as error:
        code = error.response["Error"]["Code"].rsplit("#", 1)[-1].rsplit(".", 1)[-1]
        return check(code in ("AccessDenied", "AccessDeniedException", "AuthorizationError"), code, *said)
    check(False, "was allowed", *said)


def roles(stack):
    """Sufficient, as the deliveries have shown; and nothing more."""
    key, table = {"pk": {"S": f"{ONE}#default#x"}}, stack.outputs["ClaimsTable"]
    events, dead = stack.outputs["EventsQueueUrl"], stack.outputs["DeadLettersQueueUrl"]
    for provider in PLATFORMS:
        own = role(stack, provider)
        dynamodb, sqs = client(own, "dynamodb"), client(own, "sqs")
        secrets, logs = client(own, "secretsmanager"), client(own, "logs")
        other = PLATFORMS[PLATFORMS.index(provider) - 1]
        for what, call in {
            "read a claim": lambda: dynamodb.get_item(TableName=table, Key=key),
            "read all claims": lambda: dynamodb.scan(TableName=table),
            "delete a claim": lambda: dynamodb.delete_item(TableName=table, Key=key),
            "delete the table": lambda: dynamodb.delete_table(TableName=table),
            "receive events": lambda: sqs.receive_message(QueueUrl=events),
            "purge events": lambda: sqs.purge_queue(QueueUrl=events),
            "send dead letters": lambda: sqs.send_message(QueueUrl=dead, MessageBody="x"),
            "receive from the quarantine": lambda: sqs.receive_message(QueueUrl=stack.outputs["QuarantineQueueUrl"]),
            "read another secret": lambda: secrets.get_secret_value(SecretId=stack.outputs[f"{other}Secret"]),
            "change its secret": lambda: secrets.put_secret_value(SecretId=stack.outputs[f"{provider}Secret"], SecretString="x"),
            "create a log group": lambda: logs.create_log_group(logGroupName="/x"),
            "write another log": lambda: logs.create_log_stream(logGroupName=f"/aws/lambda/{stack.name}-{other}", logStreamName="x"),
            "list functions": lambda: client(own, "lambda").list_functions(),
            "list roles": lambda: client(own, "iam").list_roles(),
        }.items():
            refused(call, provider, what)
        equal(secrets.get_secret_value(SecretId=stack.outputs[f"{provider}Secret"])["ResponseMetadata"]["HTTPStatusCode"], 200)


def consumer(stack):
    """One message of a batch fails, comes again, and ends as a dead letter; the others are handled once."""
    sqs, url = stack.aws["sqs"], stack.outputs["EventsQueueUrl"]
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "1"})
    sqs.send_message(QueueUrl=url, MessageBody="not an event")
    delivery = Delivery(TWO, first_event(TWO), "of both")
    equal(delivery.to(stack, stack.outputs[f"{TWO}Url"]), (200, "queued"))
    dead = stack.messages("DeadLetters", 1, seconds=60)
    equal([each["Body"] for each in dead], ["not an event"])

    def emptied():
        left = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        return left["ApproximateNumberOfMessages"] == left["ApproximateNumberOfMessagesNotVisible"] == "0"

    # On a busy machine a message outlasts its visibility timeout, and comes again as a duplicate first.
    check(until(emptied), "the queue is not empty")
    (table,) = (name for name in stack.aws["dynamodb"].list_tables()["TableNames"] if "ConsumedTable" in name)
    # The two that were delivered, each once, and the latest state of what each is about.
    keys = sorted(item["pk"]["S"].split("/")[0] for item in stack.aws["dynamodb"].scan(TableName=table)["Items"])
    equal(keys, ["", "", "latest ", "latest "])
    own = role(stack, "consumer")
    refused(lambda: client(own, "sqs").send_message(QueueUrl=url, MessageBody="x"), "the consumer sent an event")
    refused(lambda: client(own, "dynamodb").scan(TableName=stack.outputs["ClaimsTable"]), "the consumer read claims")


def rollout(stack):
    """Deliveries go to the alias. A rollback points it at the version before."""
    function = f"{stack.name}-{ONE}"
    first = stack.aws["lambda"].get_alias(FunctionName=function, Name="live")["FunctionVersion"]
    with (FOLDER / f"code/{ONE}/bootstrap").open("ab") as code:
        code.write(b"another version")
    stack.deploy("LogRetentionDays=7", "FrontEnd=Both", OPERATOR)
    second = stack.aws["lambda"].get_alias(FunctionName=function, Name="live")["FunctionVersion"]
    check(int(second) > int(first), first, second, "changed code is a new version")
    stack.aws["lambda"].update_alias(FunctionName=function, Name="live", FunctionVersion=first)
    delivery = Delivery(ONE, first_event(ONE), "chosen_anew")
    equal(delivery.to(stack, stack.outputs[f"{ONE}Url"]), (200, "queued"), "after the rollback")


def smoke(stack):
    """The smoke test says what it finds. Here no metric comes of a log line, so this puts it there; nothing is too large or too much."""
    for provider in (ONE, PLATFORMS[-1]):
        count = {"MetricName": "Received", "Dimensions": [{"Name": "provider", "Value": provider}], "Value": 1}
        stack.aws["cloudwatch"].put_metric_data(Namespace=stack.name, MetricData=[count])
    port = stack.environment["AWS_ENDPOINT_URL"].rsplit(":", 1)[1]
    reach = f"--cacert {stack.environment['AWS_CA_BUNDLE']} --connect-to ::localhost:{port}"
    own = {"SMOKE_CURL": reach, "PATIENCE": "1", "BURST": "20", "PATH": f"{ROOT / 'target/ci-venv/bin'}:{stack.environment['PATH']}"}
    command = [ROOT / "tests/smoke", stack.name, ONE, PLATFORMS[-1]]
    asked = subprocess.run(command, env=stack.environment | own, input="n\n", capture_output=True, text=True)
    equal((asked.returncode, "FAILED" in asked.stdout), (1, False), asked.stdout)
    done = subprocess.run([command[0], "--yes", *command[1:]], env=stack.environment | own, capture_output=True, text=True)
    found = [line for line in done.stdout.split("\n") if line.startswith(("ok ", "FAILED "))]
    equal([line.split()[0] for line in found], ["ok"] * 7 + ["FAILED"] * 2, done.stdout, done.stderr)
    check("413" not in found[7] and " 0 answered 429" in found[8], found)


def looked_into(stack, providers):
    """The command finds what is the stack's: what it found is what the functions were told."""
    said = stack.hookgate("doctor", "--only", "queues,functions")["checks"]
    found = {each["what"] for each in said}
    equal({each for each in found if each.endswith(", settings")}, {f"{provider}, settings" for provider in providers})


def beside(stack, other):
    """Another stack of the same account: other claims, other queues, other metrics, other alarms."""
    delivery = Delivery(TWO, first_event(TWO), "of both")
    for each in (stack, other):
        each.put_secret(TWO, ["of both"])
    time.sleep(PAUSE)
    for each in (stack, other):
        equal(delivery.to(each, each.outputs[f"{TWO}Url"]), (200, "queued"), each.name)
        equal(delivery.to(each, each.outputs[f"{TWO}Url"]), (200, "duplicate"), each.name)
    for each in (stack, other):
        lines = until(lambda: each.lines(TWO))
        equal({line["_aws"]["CloudWatchMetrics"][0]["Namespace"] for line in lines}, {each.name})
        alarms = each.aws["cloudwatch"].describe_alarms(AlarmNamePrefix=f"{each.name}-", MaxRecords=100)["MetricAlarms"]
        alarms = [alarm for alarm in alarms if each is stack or not alarm["AlarmName"].startswith(f"{stack.name}-")]
        own = {alarm["Namespace"] for alarm in alarms if not alarm["Namespace"].startswith("AWS/")}
        equal(own, {each.name}, [alarm["AlarmName"] for alarm in alarms])
    check(f"{ONE}Url" not in other.outputs, "a platform that was left out")
    looked_into(stack, PLATFORMS)
    looked_into(other, [TWO])
    consumer(other)


def delete(stack, other):
    """What holds events, claims or secrets stays; the rest goes; the other stack does not notice."""
    kept = {each: stack.outputs[f"{each}QueueUrl"] for each in ("Events", "DeadLetters", "Quarantine")}
    sam(stack.environment, FOLDER, stack.name, "delete", "--no-prompts")
    functions = [each["FunctionName"] for each in stack.aws["lambda"].list_functions()["Functions"]]
    equal([name for name in functions if name.startswith(f"{stack.name}-")], [])
    for url in kept.values():
        check(stack.aws["sqs"].get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"]), url)
    check(stack.outputs["ClaimsTable"] in stack.aws["dynamodb"].list_tables()["TableNames"])
    check(stack.aws["secretsmanager"].get_secret_value(SecretId=stack.outputs[f"{ONE}Secret"]))
    delivery = Delivery(TWO, first_event(TWO), "of both")
    equal(delivery.to(other, other.outputs[f"{TWO}Url"]), (200, "queued"), "the other stack")

    # Once more by the same name, beside what stayed, and with claims that are none of its own.
    again = Stack(stack.environment, stack.name, f"Providers={TWO}", f"ExistingClaimsTable={other.outputs['ClaimsTable']}")
    again.put_secret(TWO, ["of both"])
    equal(delivery.to(again, again.outputs[f"{TWO}Url"]), (200, "duplicate"), "of the other stack's claims")
    looked_into(again, [TWO])


def stripped(binary):
    """Without what only a debugger needs, a tenth of it."""
    subprocess.run(["strip", "-o", FOLDER / binary, DEBUG / binary], check=True)
    return (FOLDER / binary).read_bytes()


def main():
    started = time.monotonic()
    with ministack(FOLDER) as environment:
        stage(FOLDER, {binary: stripped(binary) for binary in FUNCTIONS})
        stack = Stack(environment, "hookgate-dev", "LogRetentionDays=7", "FrontEnd=Both", OPERATOR)
        for provider, secrets in sample_secrets().items():
            if provider in PLATFORMS:
                stack.put_secret(provider, secrets)
        for part in (packages, deliveries, log_lines, quarantine, rotation, roles, rollout, smoke):
            part(stack)
            print(f"{part.__name__}: {checks} checks so far, {time.monotonic() - started:.0f} s", flush=True)
        other = Stack(environment, "hookgate", "FrontEnd=FunctionUrl", f"Providers={TWO}", "WithConsumer=true")
        for part in (beside, delete):
            part(stack, other)
            print(f"{part.__name__}: {checks} checks so far, {time.monotonic() - started:.0f} s", flush=True)
    print(f"{checks} passed, 0 failed")


if __name__ == "__main__":
    main()
