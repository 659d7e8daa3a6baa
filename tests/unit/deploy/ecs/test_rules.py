"""Our own rules for templates: they hold of ours, and each is broken by what it is about."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from deploy.ecs import rules, template

FOLDER = Path(__file__).parents[4] / "deploy" / "ecs"
OURS = {path.stem: template.load(path) for path in sorted(FOLDER.glob("*.yaml"))}

Resources = dict[str, Any]


def container(resources: Resources, name: str = "Transformer") -> dict[str, Any]:
    found: dict[str, Any] = resources[f"{name}TaskDefinition"]["Properties"]["ContainerDefinitions"][0]
    return found


def statement(resources: Resources, name: str) -> dict[str, Any]:
    found: dict[str, Any] = resources[name]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"][0]
    return found


def opened(resources: Resources) -> None:
    resources["DataBucket"]["Properties"]["PublicAccessBlockConfiguration"]["BlockPublicPolicy"] = False


def with_lists(resources: Resources) -> None:
    del resources["DataBucket"]["Properties"]["OwnershipControls"]


def readable_table(resources: Resources) -> None:
    del resources["ControlTable"]["Properties"]["SSESpecification"]


def readable_bucket(resources: Resources) -> None:
    del resources["DataBucket"]["Properties"]["BucketEncryption"]


def without_tls(resources: Resources) -> None:
    del resources["DataBucketPolicy"]


def any_action(resources: Resources) -> None:
    statement(resources, "EmptierRole")["Action"] = "s3:*"


def any_resource(resources: Resources) -> None:
    statement(resources, "EmptierRole")["Resource"] = "*"


def half_a_name(resources: Resources) -> None:
    statement(resources, "EmptierRole")["Resource"] = {"Fn::Sub": "arn:aws:s3:::${Prefix}-*"}


def log_in_and_more(resources: Resources) -> None:
    statement(resources, "ExecutionRole")["Action"] = ["ecr:GetAuthorizationToken", "ecr:BatchGetImage"]


def anybody(resources: Resources) -> None:
    resources["PartitionQueuePolicy"]["Properties"]["PolicyDocument"]["Statement"][0]["Principal"] = "*"


def root(resources: Resources) -> None:
    container(resources)["User"] = "0:0"


def writable(resources: Resources) -> None:
    del container(resources)["ReadonlyRootFilesystem"]


def capable(resources: Resources) -> None:
    del container(resources)["LinuxParameters"]


def outspoken(resources: Resources) -> None:
    container(resources)["Environment"].append({"Name": "HEADRACE_ANONYMOUS_KEY", "Value": "headrace"})


def open_port(resources: Resources) -> None:
    rule = {"IpProtocol": "tcp", "FromPort": 9102, "ToPort": 9102, "CidrIp": "0.0.0.0/0"}
    resources["TaskSecurityGroup"]["Properties"]["SecurityGroupIngress"] = [rule]


def all_ports(resources: Resources) -> None:
    rule = {"IpProtocol": "-1", "FromPort": 0, "ToPort": 0, "SourceSecurityGroupId": {"Ref": "StatsApiSource"}}
    resources["TaskSecurityGroup"]["Properties"]["SecurityGroupIngress"] = [rule]


def mute(resources: Resources) -> None:
    resources["DataGapAlarm"]["Properties"]["AlarmActions"] = []


BROKEN: dict[Callable[[Resources], None], str] = {
    opened: "DataBucket does not block public access",
    with_lists: "DataBucket has access control lists",
    readable_table: "ControlTable is not encrypted with a key of ours",
    readable_bucket: "DataBucket is not encrypted with a key of ours",
    without_tls: "DataBucket answers without TLS",
    any_action: "EmptierRole allows s3:*",
    any_resource: "EmptierRole allows s3:ListBucket to *",
    half_a_name: "EmptierRole allows s3:ListBucket to arn:aws:s3:::${Prefix}-*",
    log_in_and_more: "ExecutionRole allows ecr:GetAuthorizationToken, ecr:BatchGetImage to *",
    anybody: "PartitionQueuePolicy allows sqs:SendMessage to anybody",
    root: "TransformerTaskDefinition: transformer runs as root",
    writable: "TransformerTaskDefinition: transformer can write to its root",
    capable: "TransformerTaskDefinition: transformer has capabilities",
    outspoken: "TransformerTaskDefinition: transformer has HEADRACE_ANONYMOUS_KEY in plain sight",
    open_port: "TaskSecurityGroup lets in addresses on port 9102",
    all_ports: "TaskSecurityGroup lets in more than one port",
    mute: "DataGapAlarm has no action",
}


@pytest.mark.parametrize("name", OURS)
def test_our_templates_keep_the_rules(name: str) -> None:
    assert rules.problems(OURS[name]) == []


@pytest.mark.parametrize("change", BROKEN, ids=lambda change: change.__name__)
def test_a_rule_tells_what_breaks_it(change: Callable[[Resources], None]) -> None:
    broken = deepcopy(OURS["headrace"])
    change(broken["Resources"])
    assert rules.problems(broken) == [BROKEN[change]]
