"""What the template says is what the code needs, no more and no less.

    python3 tests/template.py                      the tests (needs PyYAML)
    python3 tests/template.py --expand FILE        the template with its loop done and its conditions decided, for tools
                                                   that say nothing about what they cannot read
    python3 tests/template.py --all FILE           the template with every platform in its default, for tools that do no more
                                                   than the default
    python3 tests/template.py --checked FILE       whether checkov's answer on that holds all its checks
"""

import json
import re
import sys
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent


class Cfn(yaml.SafeLoader):
    """YAML with CloudFormation's short forms: !Ref X is {"Ref": "X"}, !GetAtt X.Y is {"Fn::GetAtt": ["X", "Y"]}."""


def short_form(loader, tag, node):
    construct = {"scalar": loader.construct_scalar, "sequence": loader.construct_sequence, "mapping": loader.construct_mapping}
    value = construct[node.id](node) if node.id == "scalar" else construct[node.id](node, deep=True)
    if tag == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {tag if tag in ("Ref", "Condition") else f"Fn::{tag}": value}


Cfn.add_multi_constructor("!", short_form)

WRITTEN = yaml.load((ROOT / "template.yaml").read_text(), Cfn)
PROVIDERS = {path.stem: path.read_text() for path in (ROOT / "shared/verify/src/providers").glob("*.rs") if path.stem != "mod"}


def expand(value, lists):
    """Does `Fn::ForEach`, as `AWS::LanguageExtensions` does."""
    if isinstance(value, list):
        return [expand(each, lists) for each in value]
    if not isinstance(value, dict):
        return value
    plain = {}
    for key, body in value.items():
        if key.startswith("Fn::ForEach::"):
            variable, collection, fragment = body
            for name in lists[collection["Ref"]]:
                once = json.loads(json.dumps(fragment).replace("${%s}" % variable, name))
                plain |= expand(once, lists)
        else:
            plain[key] = expand(body, lists)
    text = plain.get("Fn::Sub")
    return text if isinstance(text, str) and "${" not in text else plain


# With every platform there is a binary for, not only those of the default.
TEMPLATE = expand({name: part for name, part in WRITTEN.items() if name != "Transform"}, {"Providers": sorted(PROVIDERS)})
PARAMETERS, RESOURCES = TEMPLATE["Parameters"], TEMPLATE["Resources"]
FUNCTIONS = {
    resource["Metadata"]["BuildProperties"]["Binary"]: name
    for name, resource in RESOURCES.items()
    if resource["Type"] == "AWS::Serverless::Function"
}
ALARMS = {name: each["Properties"] for name, each in RESOURCES.items() if each["Type"] == "AWS::CloudWatch::Alarm"}
INTAKE = "".join(path.read_text() for path in sorted((ROOT / "shared/intake/src").glob("*.rs")))
LOG = (ROOT / "shared/intake/src/log.rs").read_text()
CONSUMER = ROOT / "examples/consumer"
NO_VALUE = {"Ref": "AWS::NoValue"}


def holds(condition, **parameters):
    """Whether a condition holds with these parameters, and otherwise the defaults."""

    def value(of):
        match of:
            case {"Ref": name}:
                return str(parameters.get(name, PARAMETERS[name]["Default"]))
            case {"Fn::Join": [between, {"Ref": _} as name]}:
                return value(name).replace(",", between)
        return str(of)

    (function, rest), = condition.items()
    match function:
        case "Condition":
            return holds(TEMPLATE["Conditions"][rest], **parameters)
        case "Fn::Equals":
            return value(rest[0]) == value(rest[1])
        case "Fn::Not":
            return not holds(rest[0], **parameters)
        case "Fn::And":
            return all(holds(each, **parameters) for each in rest)
        case "Fn::Or":
            return any(holds(each, **parameters) for each in rest)
    raise AssertionError(function)


def decided(value, **parameters):
    """The value with every `Fn::If` decided."""
    match value:
        case {"Fn::If": [condition, yes, no]}:
            return decided(yes if holds({"Condition": condition}, **parameters) else no, **parameters)
        case dict():
            return {name: decided(each, **parameters) for name, each in value.items() if decided(each, **parameters) != NO_VALUE}
        case list():
            return [each for each in (decided(each, **parameters) for each in value) if each != NO_VALUE]
    return value


def deployed(**parameters):
    """The resources that there are with these parameters."""
    return {
        name: decided(resource, **parameters)
        for name, resource in RESOURCES.items()
        if "Condition" not in resource or holds({"Condition": resource["Condition"]}, **parameters)
    }


def watched(alarm):
    """The metrics that an alarm reads, as (namespace, name), of those that it names one by one."""
    metrics = (each["MetricStat"]["Metric"] for each in alarm["Metrics"] if "MetricStat" in each)
    return [(each["Namespace"], each["MetricName"]) for each in metrics]


def environment(binary):
    return set(RESOURCES[FUNCTIONS[binary]]["Properties"]["Environment"]["Variables"])


def may(binary, **parameters):
    """Everything that the function's role allows, as (action, resource)."""
    role = decided(RESOURCES[RESOURCES[FUNCTIONS[binary]]["Properties"]["Role"]["Fn::GetAtt"][0]]["Properties"], **parameters)
    assert "ManagedPolicyArns" not in role
    each = lambda value: value if isinstance(value, list) else [value]

    def named(resource):
        match resource:
            case {"Fn::GetAtt": [name, "Arn" | "Id"]} | {"Ref": name}:
                return name
            case {"Fn::Sub": arn}:
                return arn.rsplit(":", 1)[1]
        return resource

    statements = [statement for policy in role["Policies"] for statement in policy["PolicyDocument"]["Statement"]]
    assert all(statement["Effect"] == "Allow" for statement in statements)
    return {(a, named(r)) for s in statements for a in each(s["Action"]) for r in each(s["Resource"])}


def pairs(**actions_of):
    return {(action, resource) for resource, actions in actions_of.items() for action in actions}


def quoted_names(code):
    return set(re.findall(r'"([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)"', code))


def setting(provider):
    return set(re.findall(r'setting: Some\("(\w+)"\)', PROVIDERS[provider]))


def test_it_can_be_read():
    assert len((ROOT / "template.yaml").read_text().split("\n")) <= 1_001


def test_every_platform_has_a_function_and_every_function_a_binary():
    assert set(FUNCTIONS) - {"consumer"} == set(PROVIDERS)
    default = PARAMETERS["Providers"]["Default"].split(",")
    assert default and set(default) <= set(PROVIDERS), default
    for provider in PROVIDERS:
        assert (ROOT / f"functions/src/bin/{provider}.rs").exists(), provider
        assert re.fullmatch(PARAMETERS["Providers"]["AllowedPattern"], provider), provider
        assert f"{provider}Url" in TEMPLATE["Outputs"] and f"{provider}Secret" in TEMPLATE["Outputs"]
    dashboard, _ = RESOURCES["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    json.loads(dashboard)


def test_no_two_functions_share_their_code():
    # SAM uploads one binary for all functions of a loop whose CodeUri is the same, and says nothing.
    code = {resource["Properties"]["CodeUri"] for resource in RESOURCES.values() if resource["Type"] == "AWS::Serverless::Function"}
    assert (ROOT / RESOURCES["ConsumerFunction"]["Properties"]["CodeUri"]).samefile(CONSUMER)
    assert len(code) == len(FUNCTIONS), code
    for provider in PROVIDERS:
        assert RESOURCES[f"{provider}Function"]["Properties"]["CodeUri"] == f"functions/{provider}/.."


def test_adding_a_platform_is_one_word():
    text = re.sub(r"(?m)^ *#.*$", "", (ROOT / "template.yaml").read_text())
    for provider in PROVIDERS:
        # In the default list, and in the names of its settings.
        rest = re.sub(rf"(?i)\b{provider}\w+|\b\w+=.*", "", text.replace(PARAMETERS["Providers"]["Default"], ""))
        assert provider not in rest, provider


def test_functions_are_told_what_they_read_and_nothing_else():
    read = quoted_names(INTAKE)
    settings = set().union(*map(setting, PROVIDERS))
    # Lambda itself sets AWS_…; the secrets come from SECRET_ID.
    required = {name for name in re.findall(r'required\(\s*"(\w+)"', INTAKE) if not name.startswith("AWS_")}
    required = required - {"WEBHOOK_SECRETS"} | {"SECRET_ID", "MAX_EVENT_AGE_DAYS", "METRICS_LEVEL", "METRICS_NAMESPACE"} | settings
    for provider in PROVIDERS:
        told = environment(provider)
        assert told <= read | settings, (provider, told - read - settings)
        assert required <= told, (provider, required - told)
    consumer = quoted_names((ROOT / "consumers/rust/src/lib.rs").read_text())
    assert environment("consumer") == consumer


def test_functions_may_do_what_they_do_and_nothing_else():
    write = {"dynamodb:PutItem", "dynamodb:UpdateItem"}
    log, trace = {"logs:CreateLogStream", "logs:PutLogEvents"}, {"xray:PutTraceSegments", "xray:PutTelemetryRecords"}
    receive = {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"}
    for given, table, traced in [
        ({}, "ClaimsTable", {}),
        ({"Tracing": "Active"}, "ClaimsTable", {"*": trace}),
        ({"ExistingClaimsTable": "restored"}, "table/${ExistingClaimsTable}", {}),
    ]:
        for provider in PROVIDERS:
            expected = pairs(
                EventsQueue={"sqs:SendMessage"},
                QuarantineQueue={"sqs:SendMessage"},
                **{table: write, f"{provider}Secret": {"secretsmanager:GetSecretValue"}, f"{provider}Logs": log},
                **traced,
            )
            assert may(provider, **given) == expected, (provider, given)
        expected = pairs(ConsumedTable={"dynamodb:PutItem"}, EventsQueue=receive, ConsumerLogs=log, **traced)
        assert may("consumer", **given) == expected


def test_a_function_writes_claims_of_its_own_platform_only():
    key = re.search(r"fn partition_key\(.*?\n}", INTAKE, re.S)[0]
    assert 'format!("{provider}#{account}#' in key, key
    for provider in PROVIDERS:
        policy = RESOURCES[f"{provider}Role"]["Properties"]["Policies"][0]["PolicyDocument"]
        limits = [s.get("Condition") for s in policy["Statement"] if any("dynamodb" in a for a in s.get("Action", []))]
        assert limits == [{"ForAllValues:StringLike": {"dynamodb:LeadingKeys": [f"{provider}#*"]}}]


def test_the_quarantine_takes_messages_from_functions_and_named_operators_alone():
    def senders(**parameters):
        policy = deployed(**parameters)["QuarantineQueuePolicy"]["Properties"]["PolicyDocument"]["Statement"]
        denied, = (each for each in policy if each["Action"] == "sqs:SendMessage")
        assert (denied["Effect"], denied["Principal"]) == ("Deny", "*")
        return denied["Condition"]["ArnNotLike"]["aws:PrincipalArn"]

    functions = {"Fn::Sub": "arn:${AWS::Partition}:iam::${AWS::AccountId}:role/${AWS::StackName}/intake/*"}
    assert senders() == [functions]
    assert senders(QuarantineOperator="arn") == [functions, {"Ref": "QuarantineOperator"}]
    # No other role has their path.
    paths = {name: each["Properties"].get("Path") for name, each in RESOURCES.items() if each["Type"] == "AWS::IAM::Role"}
    own = {"Fn::Sub": "/${AWS::StackName}/intake/"}
    assert {name for name, path in paths.items() if path == own} == {f"{provider}Role" for provider in PROVIDERS}


def test_consumers_elsewhere_read_only_when_asked_for():
    def allowed(**parameters):
        statements = deployed(**parameters)["EventsQueuePolicy"]["Properties"]["PolicyDocument"]["Statement"]
        return [each for each in statements if each["Effect"] == "Allow"]

    assert allowed() == []
    (one,) = allowed(ConsumerAccounts="111122223333")
    assert one["Principal"] == {"AWS": {"Ref": "ConsumerAccounts"}}
    assert not {"sqs:SendMessage", "sqs:*", "*"} & set(one["Action"])


def test_what_holds_events_outlives_the_stack_but_not_a_failed_creation():
    kept = {"AWS::DynamoDB::Table", "AWS::SQS::Queue", "AWS::SecretsManager::Secret"}
    for name, resource in RESOURCES.items():
        policies = resource.get("DeletionPolicy"), resource.get("UpdateReplacePolicy")
        expected = ("RetainExceptOnCreate", "Retain") if resource["Type"] in kept else (None, None)
        assert policies == expected, name


def test_each_stack_has_metrics_and_alarms_of_its_own():
    own = {"Ref": "AWS::StackName"}
    for name, alarm in ALARMS.items():
        assert alarm["AlarmName"]["Fn::Sub"].startswith("${AWS::StackName}-"), name
        for namespace, _ in watched(alarm):
            assert namespace == own or namespace.startswith("AWS/"), (name, namespace)
        for each in alarm["Metrics"]:
            if "SELECT" in json.dumps(each.get("Expression", "")):
                assert 'FROM SCHEMA("${AWS::StackName}", provider)' in each["Expression"]["Fn::Sub"], name
    for provider in PROVIDERS:
        variables = RESOURCES[FUNCTIONS[provider]]["Properties"]["Environment"]["Variables"]
        assert variables["METRICS_NAMESPACE"] == own
    (filtered,) = RESOURCES["HttpApiThrottled"]["Properties"]["MetricTransformations"]
    assert (filtered["MetricNamespace"], filtered["MetricName"]) == (own, "Throttled")
    dashboard, _ = RESOURCES["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    assert not re.search(r"\{(?!\\|AWS/)[A-Z]\w*,provider\}", dashboard)


def test_alarms_read_what_is_sent_and_conservation_two_metrics():
    essential = set(re.findall(r'"(\w+)"', re.search(r"const ESSENTIAL: .*?=\s*\[(.*?)\];", LOG, re.S)[1]))
    read = set()
    for alarm in ALARMS.values():
        read |= {metric for namespace, metric in watched(alarm) if namespace == {"Ref": "AWS::StackName"}}
        read |= set(re.findall(r"SELECT SUM\((\w+)\)", json.dumps(alarm["Metrics"])))
    # Two more for operators: when a secret may go, and which claims will let an event be queued again.
    assert read - {"Throttled"} | {"PreviousSecret", "CleanupFailed"} == essential
    for provider in PROVIDERS:
        alarm = ALARMS[f"{provider}Conservation"]
        assert sorted(map(str, watched(alarm))) == ["('AWS/Lambda', 'Invocations')", "({'Ref': 'AWS::StackName'}, 'Received')"]
        assert alarm["Metrics"][0]["Expression"] == "invocations - FILL(received, 0)"


def test_alarms_can_be_evaluated():
    for name, alarm in ALARMS.items():
        periods = [each["MetricStat"]["Period"] if "MetricStat" in each else each.get("Period") for each in alarm["Metrics"]]
        period, = {each for each in periods if each}
        count = alarm["EvaluationPeriods"]
        if count == {"Ref": "SilenceHours"}:
            count = PARAMETERS["SilenceHours"]["MaxValue"]
        # CloudWatch looks back a day, or a week by periods of an hour or more.
        assert count * period <= (604_800 if period >= 3_600 else 86_400), name
        returned = [each for each in alarm["Metrics"] if each.get("ReturnData", True)]
        assert len(returned) == 1, name
        assert alarm["AlarmActions"] == [{"Ref": "AlarmTopic"}], name
        assert alarm["TreatMissingData"] == ("breaching" if name.endswith("Silence") else "notBreaching"), name


def test_nothing_costs_extra_unless_asked_for():
    there = deployed()
    assert "Dashboard" not in there and not any(name.endswith("Silence") for name in there)
    assert "Dashboard" in deployed(WithDashboard="true") and f"{next(iter(PROVIDERS))}Silence" in deployed(SilenceHours=24)
    for binary in FUNCTIONS:
        properties = RESOURCES[FUNCTIONS[binary]]["Properties"]
        assert properties["Tracing"] == {"Ref": "Tracing"} and PARAMETERS["Tracing"]["Default"] == "PassThrough"
        assert properties["LoggingConfig"]["SystemLogLevel"] == {"Ref": "LambdaLogs"}
        # SAM resolves a parameter here, and no condition.
        rollout = properties.get("DeploymentPreference", {"Enabled": {"Ref": "GradualRollout"}})
        assert rollout["Enabled"] == {"Ref": "GradualRollout"} and PARAMETERS["GradualRollout"]["Default"] == "false"
    assert {PARAMETERS[name]["Default"] for name in ("Metrics", "LambdaLogs")} == {"essential", "WARN"}
    for resource in there.values():
        # A key of KMS costs per request.
        assert not {"SSESpecification", "KmsMasterKeyId"} & set(resource.get("Properties", {}))


def test_a_domain_leaves_the_old_address_until_told_otherwise():
    def closed(**parameters):
        return deployed(**parameters)["HttpApi"]["Properties"]["DisableExecuteApiEndpoint"]

    domain = {"DomainName": "hooks.example.com", "CertificateArn": "arn"}
    assert not closed() and not closed(**domain) and closed(**domain, DefaultEndpoint="off")
    both = deployed(FrontEnd="Both")
    for provider in PROVIDERS:
        assert {f"{provider}Route", f"{provider}Url"} <= set(both)
        assert f"{provider}Url" not in deployed() and f"{provider}Route" not in deployed(FrontEnd="FunctionUrl")
    assert TEMPLATE["Outputs"]["DomainHostedZoneId"]["Value"] == {"Fn::GetAtt": ["HttpApiDomain", "RegionalHostedZoneId"]}


def test_what_builds_and_what_deploys_is_told_the_same():
    for name, environment in tomllib.loads((ROOT / "samconfig.toml").read_text()).items():
        if name != "version":
            assert environment["global"]["parameters"]["language_extensions"] is True, name
            told = [command for command, each in environment.items() if "parameter_overrides" in each["parameters"]]
            assert told == ["global"], (name, told)
            given = {each.split("=")[0] for each in environment["global"]["parameters"]["parameter_overrides"]}
            assert given <= set(PARAMETERS), given


def test_a_panic_unwinds():
    # cargo-lambda builds with panic=abort unless the profile says otherwise: one bad request would end the process.
    profile = tomllib.loads((ROOT / "Cargo.toml").read_text())["profile"]["release"]
    assert profile.get("panic") == "unwind"


def test_numbers_that_hang_together():
    claim, age = PARAMETERS["ClaimTtlDays"], PARAMETERS["MaxEventAgeDays"]
    assert age["Default"] < claim["Default"] and age["MaxValue"] < claim["MinValue"]
    assert {RESOURCES[FUNCTIONS[provider]]["Properties"]["Timeout"] for provider in PROVIDERS} == {8}
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
    for name, alarm in ALARMS.items():
        alarm = alarm["AlarmName"]["Fn::Sub"].removeprefix("${AWS::StackName}-")
        alarm = next((alarm.removeprefix(f"{each}-") for each in PROVIDERS if alarm.startswith(f"{each}-")), alarm)
        assert f"\n| `{alarm}` |" in documented, name
    table = (ROOT / "docs/deploy.md").read_text()
    stated = {}
    for names, defaults in re.findall(r"^\|([^|]*`[A-Z]\w+`[^|]*)\|([^|]*)\|", table, re.M):
        # `ClaimTtlDays`, `MaxEventAgeDays` | 30, 25; one for all where it is the same; what it means, in brackets.
        names, defaults = re.findall(r"`(\w+)`", names), re.sub(r"\([^)]*\)|[` ]", "", defaults).split(",")
        stated |= zip(names, defaults * (len(names) if len(defaults) == 1 else 1))
    for name, parameter in PARAMETERS.items():
        if name != "Providers":
            assert stated.get(name) == (str(parameter["Default"]) or "none"), (name, stated.get(name))


def test_the_documents_name_the_versions_that_are_tested():
    pinned = dict(line.split("==") for line in (ROOT / ".ci/requirements.txt").read_text().split() if "==" in line)
    named = dict(re.findall(r"([\w-]+)==([\d.]+)", (ROOT / "docs/deploy.md").read_text()))
    assert set(named) == {"aws-sam-cli", "cargo-lambda", "ziglang"}
    assert named.items() <= pinned.items(), named


def main():
    if sys.argv[1:2] == ["--expand"]:
        # With the default's platforms: what is deployed.
        lists = {"Providers": PARAMETERS["Providers"]["Default"].split(",")}
        expanded = expand(WRITTEN, lists) | {"Transform": "AWS::Serverless-2016-10-31"}
        expanded["Resources"] = decided(expanded["Resources"], ReservedConcurrency=20)
        Path(sys.argv[2]).write_text(json.dumps(expanded, indent=1, default=str))
        return 0
    if sys.argv[1:2] == ["--all"]:
        text, default = (ROOT / "template.yaml").read_text(), PARAMETERS["Providers"]["Default"]
        assert text.count(f'"{default}"') == 1
        Path(sys.argv[2]).write_text(text.replace(default, ",".join(sorted(PROVIDERS))))
        return 0
    if sys.argv[1:2] == ["--checked"]:
        summary = json.loads(Path(sys.argv[2]).read_text())["summary"]
        # Eight of the stack's own, thirteen of each platform, and forty of the archive.
        expected = 8 + 13 * len(PARAMETERS["Providers"]["Default"].split(",")) + 40
        assert (summary["failed"], summary["passed"]) == (0, expected), (summary, expected)
        print(f"{expected} checks passed, {summary['skipped']} skipped with a reason")
        return 0
    failed = 0
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            try:
                test()
                print("ok    ", name)
            except Exception as error:
                failed += 1
                print("FAILED", name, repr(error))
    return failed


if __name__ == "__main__":
    raise SystemExit(main())
