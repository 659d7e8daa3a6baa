"""The template as a stack in the local cloud, by the AWS CLI, and what can be asked of it afterwards."""

import json
import os
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from botocore.session import Session

from deploy.ecs.policies import RIGHTS
from deploy.local.emulator import CREDENTIALS
from tests.harness import needs
from tests.harness.iam import Policy
from tests.harness.pipeline import wait_until

TEMPLATE = Path(__file__).parents[2] / "deploy" / "ecs" / "headrace.yaml"
DELETE_SECONDS = 60.0
ARTIFACTS = "deployment-artifacts"
"""A bucket for the template: what is larger than 51,200 bytes goes through one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """A stack of the template. Whoever asks does so past the gatekeeper."""

    name: str
    cloud: str
    """The emulator's address."""
    cli: str
    """The program `aws`."""

    def deploy(self, **parameters: str) -> None:
        """Create or change it, and wait. Fails with what CloudFormation says."""
        self._aws(
            "cloudformation", "deploy", "--stack-name", self.name, "--template-file", str(TEMPLATE),
            "--capabilities", "CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND", "--s3-bucket", ARTIFACTS,
            "--no-fail-on-empty-changeset",
            "--parameter-overrides", *(f"{name}={value}" for name, value in parameters.items()),
        )  # fmt: skip

    def delete(self) -> None:
        """Delete it, and wait until nobody knows it any more; the CLI's own wait looks twice a minute."""
        self._aws("cloudformation", "delete-stack", "--stack-name", self.name)
        wait_until(self._is_gone, DELETE_SECONDS, lambda: f"{self.name} is still there")

    def _is_gone(self) -> bool:
        there = self.client("cloudformation").list_stacks(StackStatusFilter=_THERE)["StackSummaries"]
        return self.name not in {each["StackName"] for each in there}

    def outputs(self) -> dict[str, str]:
        """Its outputs, by name."""
        [found] = self.client("cloudformation").describe_stacks(StackName=self.name)["Stacks"]
        return {each["OutputKey"]: each["OutputValue"] for each in found["Outputs"]}

    def resources(self) -> dict[str, str]:
        """Physical ids of its resources, by logical id."""
        found = self.client("cloudformation").describe_stack_resources(StackName=self.name)["StackResources"]
        return {each["LogicalResourceId"]: each["PhysicalResourceId"] for each in found}

    def gate(self) -> needs.Stack:
        """What the gatekeeper has to know of it."""
        outputs = self.outputs()
        return needs.Stack(stream=outputs["StreamName"], workgroup=outputs["WorkgroupName"], key=outputs["KeyArn"])

    def policies(self) -> dict[str, Policy]:
        """What the deployed roles may do, by service or job: as IAM has it."""
        iam, resources = self.client("iam"), self.resources()
        return {name: _policy(iam, resources[f"{name}Role"]) for name in RIGHTS}

    def container(self, name: str) -> Mapping[str, Any]:
        """The container of a service or job, as its task definition in the cluster says."""
        arn = self.resources()[f"{name}TaskDefinition"]
        found = self.client("ecs").describe_task_definition(taskDefinition=arn)["taskDefinition"]
        containers: Sequence[Mapping[str, Any]] = found["containerDefinitions"]
        return containers[0]

    def environment(self, name: str) -> dict[str, str]:
        """The variables of that container, but for its secrets, which the emulator forgets."""
        return {each["name"]: each["value"] for each in self.container(name)["environment"]}

    def secrets(self) -> dict[str, str]:
        """Secrets of the stack, by the variable that its outputs say they are for."""
        [found] = self.client("cloudformation").describe_stacks(StackName=self.name)["Stacks"]
        manager = self.client("secretsmanager")
        return {
            each["Description"]: manager.get_secret_value(SecretId=each["OutputValue"])["SecretString"]
            for each in found["Outputs"]
            if each["OutputKey"].endswith("Secret")
        }

    def inventory(self) -> set[tuple[str, str]]:
        """Kind and name of everything in the account, whosever it is."""
        return {(kind, name) for kind in self.kinds() for name in self._named(*_KINDS[kind])}

    @staticmethod
    def kinds() -> Sequence[str]:
        """Of things that a stack makes."""
        return list(_KINDS)

    def _named(self, service: str, operation: str, found: str) -> Iterable[str]:
        items = getattr(self.client(service), operation)(**_ASKED.get(operation, {})).get(found, ())
        return (each if isinstance(each, str) else next(each[key] for key in _NAMES if key in each) for each in items)

    def client(self, service: str) -> Any:
        """botocore's client of a service."""
        return _client(service, self.cloud)

    def _aws(self, *arguments: str) -> None:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        env = {**inherited, **CREDENTIALS, "AWS_DEFAULT_REGION": needs.REGION, "AWS_ENDPOINT_URL": self.cloud}
        done = subprocess.run([self.cli, *arguments], env=env, capture_output=True, text=True, timeout=180, check=False)
        assert done.returncode == 0, f"aws {' '.join(arguments)}: {done.stdout}{done.stderr}"


@cache
def _client(service: str, cloud: str) -> Any:
    session = Session()
    session.set_credentials(*CREDENTIALS.values())
    return session.create_client(service, needs.REGION, endpoint_url=cloud)


_THERE = ["CREATE_COMPLETE", "UPDATE_COMPLETE", "DELETE_IN_PROGRESS", "DELETE_FAILED"]

_KINDS = {
    "alarm": ("cloudwatch", "describe_alarms", "MetricAlarms"),
    "bucket": ("s3", "list_buckets", "Buckets"),
    "cluster": ("ecs", "list_clusters", "clusterArns"),
    "dashboard": ("cloudwatch", "list_dashboards", "DashboardEntries"),
    "database": ("glue", "get_databases", "DatabaseList"),
    "function": ("lambda", "list_functions", "Functions"),
    "key alias": ("kms", "list_aliases", "Aliases"),
    "log group": ("logs", "describe_log_groups", "logGroups"),
    "queue": ("sqs", "list_queues", "QueueUrls"),
    "repository": ("ecr", "describe_repositories", "repositories"),
    "role": ("iam", "list_roles", "Roles"),
    "rule": ("events", "list_rules", "Rules"),
    "schedule": ("scheduler", "list_schedules", "Schedules"),
    "secret": ("secretsmanager", "list_secrets", "SecretList"),
    "security group": ("ec2", "describe_security_groups", "SecurityGroups"),
    "stream": ("kinesis", "list_streams", "StreamNames"),
    "table": ("dynamodb", "list_tables", "TableNames"),
    "task definition": ("ecs", "list_task_definitions", "taskDefinitionArns"),
    "topic": ("sns", "list_topics", "Topics"),
    "workgroup": ("athena", "list_work_groups", "WorkGroups"),
}
"""How a kind of thing is listed: service, operation, and where the answer has it."""
_ASKED = {"list_task_definitions": {"status": "ACTIVE"}}
_NAMES = (
    "AlarmArn", "AliasName", "DashboardName", "FunctionName", "GroupId", "RoleName", "TopicArn", "logGroupName",
    "repositoryName", "Name",
)  # fmt: skip


def _policy(iam: Any, role: str) -> Policy:
    names = iam.list_role_policies(RoleName=role)["PolicyNames"]
    documents = [iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"] for name in names]
    return Policy.of(json.loads(unquote(each)) if isinstance(each, str) else each for each in documents)
