"""What the template says is what the code needs, no more and no less: `python3 tests/template.py` (needs PyYAML)."""

import json
import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent


class Cfn(yaml.SafeLoader):
    """YAML with CloudFormation's short forms: !Ref X is {"Ref": "X"}, !GetAtt X.Y is {"Fn::GetAtt": "X.Y"}."""


def short_form(loader, tag, node):
    construct = {"scalar": loader.construct_scalar, "sequence": loader.construct_sequence, "mapping": loader.construct_mapping}
    value = construct[node.id](node) if node.id == "scalar" else construct[node.id](node, deep=True)
    return {tag if tag in ("Ref", "Condition") else f"Fn::{tag}": value}


Cfn.add_multi_constructor("!", short_form)

TEMPLATE = yaml.load((ROOT / "template.yaml").read_text(), Cfn)
PARAMETERS, RESOURCES = TEMPLATE["Parameters"], TEMPLATE["Resources"]
GLOBALS = TEMPLATE["Globals"]["Function"]
FUNCTIONS = {
    resource["Metadata"]["BuildProperties"]["Binary"]: name
    for name, resource in RESOURCES.items()
    if resource["Type"] == "AWS::Serverless::Function"
}
PROVIDERS = {path.stem: path.read_text() for path in (ROOT / "shared/verify/src/providers").glob("*.rs") if path.stem != "mod"}
INTAKE = "".join(path.read_text() for path in sorted((ROOT / "shared/intake/src").glob("*.rs")))
NO_VALUE = {"Ref": "AWS::NoValue"}


def environment(binary):
    own = RESOURCES[FUNCTIONS[binary]]["Properties"]["Environment"]["Variables"]
    merged = GLOBALS["Environment"]["Variables"] | own
    return {name for name, value in merged.items() if value != NO_VALUE}


def may(binary):
    """Everything that the function's role allows, as (action, resource)."""
    role = RESOURCES[RESOURCES[FUNCTIONS[binary]]["Properties"]["Role"]["Fn::GetAtt"].removesuffix(".Arn")]["Properties"]
    documents = [policy["PolicyDocument"] for policy in role["Policies"]]
    documents += [RESOURCES[arn["Ref"]]["Properties"]["PolicyDocument"] for arn in role.get("ManagedPolicyArns", [])]
    each = lambda value: value if isinstance(value, list) else [value]
    named = lambda resource: resource if isinstance(resource, str) else next(iter(resource.values())).removesuffix(".Arn")
    statements = [statement for document in documents for statement in document["Statement"]]
    assert all(statement["Effect"] == "Allow" for statement in statements)
    return {(a, named(r)) for s in statements for a in each(s["Action"]) for r in each(s["Resource"])}


def quoted_names(code):
    return set(re.findall(r'"([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)"', code))


def setting(provider):
    return set(re.findall(r'setting: Some\("(\w+)"\)', PROVIDERS[provider]))


def test_every_provider_has_a_function_and_every_function_a_binary():
    assert set(FUNCTIONS) - {"consumer"} == set(PROVIDERS)
    dashboard, _ = RESOURCES["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    json.loads(dashboard)
    for binary in FUNCTIONS:
        assert (ROOT / f"functions/src/bin/{binary}.rs").exists(), binary
        assert f'-{binary}"]' in dashboard, binary


def test_all_providers_blocks_say_the_same():
    def block(provider):
        upper = provider.capitalize()
        resources = {name: json.loads(json.dumps(value)) for name, value in RESOURCES.items() if name.startswith(upper)}
        resources |= {f"output {name}": value for name, value in TEMPLATE["Outputs"].items() if name.startswith(upper)}
        conditions = {name: value for name, value in TEMPLATE["Conditions"].items() if upper in name}
        for resource in resources.values():
            resource.pop("Description", None)
            resource.get("Properties", {}).pop("Description", None)
        for name in setting(provider):
            resources[f"{upper}Function"]["Properties"]["Environment"]["Variables"].pop(name, None)
        text = json.dumps([resources, conditions, PARAMETERS[f"Include{upper}"]["Default"]], sort_keys=True)
        return text.replace(upper, "Name").replace(provider, "name")

    assert len({block(provider) for provider in PROVIDERS}) == 1


def test_functions_are_told_what_they_read_and_nothing_else():
    read = quoted_names(INTAKE)
    # Lambda itself sets AWS_…; the secrets come from SECRET_ID.
    required = {name for name in re.findall(r'required\(\s*"(\w+)"', INTAKE) if not name.startswith("AWS_")}
    required = required - {"WEBHOOK_SECRETS"} | {"SECRET_ID", "MAX_EVENT_AGE_DAYS"}
    for provider in PROVIDERS:
        told = environment(provider)
        assert told <= read | setting(provider), (provider, told - read - setting(provider))
        assert required | setting(provider) <= told, (provider, (required | setting(provider)) - told)
    consumer = quoted_names((ROOT / "functions/src/bin/consumer.rs").read_text())
    assert environment("consumer") == consumer


def test_functions_may_do_what_they_do_and_nothing_else():
    write = {"dynamodb:PutItem", "dynamodb:UpdateItem"}
    log, trace = {"logs:CreateLogStream", "logs:PutLogEvents"}, {"xray:PutTraceSegments", "xray:PutTelemetryRecords"}

    def pairs(**actions_of):
        return {(action, resource) for resource, actions in actions_of.items() for action in actions}

    for provider in PROVIDERS:
        own = provider.capitalize()
        assert may(provider) == pairs(
            ClaimsTable=write,
            EventsQueue={"sqs:SendMessage"},
            QuarantineQueue={"sqs:SendMessage"},
            **{f"{own}Secret": {"secretsmanager:GetSecretValue"}, f"{own}Logs": log, "*": trace},
        ), provider
    receive = {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"}
    assert may("consumer") == pairs(ConsumedTable={"dynamodb:PutItem"}, EventsQueue=receive, ConsumerLogs=log, **{"*": trace})


def test_a_panic_unwinds():
    # cargo-lambda builds with panic=abort unless the profile says otherwise: one bad request would end the sandbox.
    profile = tomllib.loads((ROOT / "Cargo.toml").read_text())["profile"]["release"]
    assert profile.get("panic") == "unwind"


def test_numbers_that_hang_together():
    claim, age = PARAMETERS["ClaimTtlDays"], PARAMETERS["MaxEventAgeDays"]
    assert age["Default"] < claim["Default"] and age["MaxValue"] < claim["MinValue"]
    assert GLOBALS["Timeout"] == 8
    assert all("Timeout" not in RESOURCES[FUNCTIONS[provider]]["Properties"] for provider in PROVIDERS)
    queue = {name: RESOURCES[f"{name}Queue"]["Properties"] for name in ("Events", "DeadLetters", "Quarantine")}
    assert queue["Events"]["VisibilityTimeout"] == 6 * RESOURCES["ConsumerFunction"]["Properties"]["Timeout"]
    assert {name: each["MessageRetentionPeriod"] / 86_400 for name, each in queue.items()} == {
        "Events": 7, "DeadLetters": 14, "Quarantine": 14,
    }  # fmt: skip
    # The functions compress, or answer 413, by the same number.
    limit = re.search(r"MAX_MESSAGE_BYTES: usize = ([\d_ *]+);", INTAKE)[1]
    assert {each["MaximumMessageSize"] for each in queue.values()} == {eval(limit)}


def test_every_suppression_has_a_reason():
    for name, resource in RESOURCES.items():
        for skip in resource.get("Metadata", {}).get("checkov", {}).get("skip", []):
            assert len(skip.get("comment", "")) > 20, (name, skip)


def test_the_documents_name_every_alarm_and_every_parameter():
    documented = (ROOT / "docs/operate.md").read_text()
    for name, resource in RESOURCES.items():
        if resource["Type"] == "AWS::CloudWatch::Alarm":
            alarm = resource["Properties"]["AlarmName"]["Fn::Sub"].removeprefix("${AWS::StackName}-")
            alarm = next((alarm.removeprefix(f"{each}-") for each in PROVIDERS if alarm.startswith(f"{each}-")), alarm)
            assert f"\n| `{alarm}` |" in documented, name
    table = (ROOT / "docs/deploy.md").read_text()
    stated = {}
    for names, defaults in re.findall(r"^\|([^|]*`[A-Z]\w+`[^|]*)\|([^|]*)\|", table, re.M):
        # `ClaimTtlDays`, `MaxEventAgeDays` | 30, 25; one for all where it is the same; what it means, in brackets.
        names, defaults = re.findall(r"`(\w+)`", names), re.sub(r"\([^)]*\)|[` ]", "", defaults).split(",")
        stated |= zip(names, defaults * (len(names) if len(defaults) == 1 else 1))
    for name, parameter in PARAMETERS.items():
        if not name.startswith("Include"):
            assert stated.get(name) == (str(parameter["Default"]) or "none"), (name, stated.get(name))


if __name__ == "__main__":
    failed = 0
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            try:
                test()
                print("ok    ", name)
            except Exception as error:
                failed += 1
                print("FAILED", name, repr(error))
    raise SystemExit(failed)
