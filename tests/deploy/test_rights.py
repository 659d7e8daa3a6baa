"""What services and jobs did in the account, beside what their roles may do."""

import pytest

from deploy.ecs.policies import RIGHTS
from tests.deploy.account import Account
from tests.deploy.run import Run
from tests.deploy.stack import Stack
from tests.harness.policed import PolicedProxy

BY_ATHENA = {
    "s3:AbortMultipartUpload", "s3:GetBucketLocation", "s3:ListBucketMultipartUploads", "s3:ListMultipartUploadParts",
}  # fmt: skip
"""On AWS: the local Athena knows where its output goes, and writes it in one piece."""
WHEN_CANCELLED = {"athena:StopQueryExecution"}
ONE_BY_ONE = {"glue:CreatePartition", "glue:GetPartition"}
"""Athena on AWS is not said to do all of it in batches; the local one does."""
OLDER_TABLE = {"glue:UpdateTable"}
"""Columns that a table from before an upgrade lacks."""
FAILED_UPLOAD = {"s3:AbortMultipartUpload"}

NOT_SEEN: dict[str, set[str]] = {
    "ApiConsumer": set(),
    "Transformer": set(),
    "Partitioner": BY_ATHENA | WHEN_CANCELLED | ONE_BY_ONE | OLDER_TABLE | {"sqs:ChangeMessageVisibility"},
    "StatsApi": set(),
    "MedallionJob": BY_ATHENA | WHEN_CANCELLED | FAILED_UPLOAD | {
        "athena:GetQueryResults", "athena:GetWorkGroup",  # Athena's clients have them together
        "glue:CreateDatabase",  # the stack makes it
        "glue:DeletePartition",  # of a day whose last row has gone
    },
    "PartitionsJob": BY_ATHENA | WHEN_CANCELLED | ONE_BY_ONE | OLDER_TABLE | {
        "athena:GetWorkGroup", "glue:BatchDeletePartition",
    },
    "ReconcileJob": {"kinesis:ListShards"},  # once rows of shards were removed
    "ReplayJob": set(),
}  # fmt: skip
"""Actions that this run need not give an occasion for. Whatever else a role may do, it does."""


@pytest.mark.parametrize("name", RIGHTS)
def test_nothing_that_it_does_is_refused(name: str, run: Run, gate: PolicedProxy) -> None:
    assert run.jobs
    assert gate.used[name]
    assert not gate.refused[name]


@pytest.mark.parametrize("name", RIGHTS)
def test_what_it_does_stands_in_its_rights_and_hardly_more_stands_there(
    name: str, run: Run, gate: PolicedProxy
) -> None:
    assert run.jobs
    declared = {action for right in RIGHTS[name] for action in right.actions}
    assert declared - {need.action for need in gate.used[name]} <= NOT_SEEN[name]


@pytest.mark.parametrize("name", RIGHTS)
def test_it_may_do_nothing_that_its_rights_do_not_say(name: str, stack: Stack) -> None:
    deployed = stack.policies()[name]
    assert [each.actions for each in deployed.statements] == [frozenset(right.actions) for right in RIGHTS[name]]


@pytest.mark.parametrize("name", RIGHTS)
def test_without_any_action_of_its_policy_something_that_it_did_is_refused(
    name: str, run: Run, stack: Stack, gate: PolicedProxy
) -> None:
    assert run.jobs
    policy = stack.policies()[name]
    for action in {need.action for need in gate.used[name]}:
        assert not all(policy.without(action).allows(need) for need in gate.used[name])


def test_nobody_but_the_medallion_and_the_repair_of_partitions_may_delete(stack: Stack) -> None:
    deleting = {
        (name, action)
        for name, policy in stack.policies().items()
        for statement in policy.statements
        for action in statement.actions
        if "Delete" in action
    }
    assert deleting == {
        ("Partitioner", "sqs:DeleteMessage"),
        ("MedallionJob", "s3:DeleteObject"),
        ("MedallionJob", "glue:DeletePartition"),
        ("PartitionsJob", "glue:DeletePartition"),
        ("PartitionsJob", "glue:BatchDeletePartition"),
    }


@pytest.mark.usefixtures("run")  # there has to be something to compare
@pytest.mark.parametrize("action", ["dynamodb:Query", "s3:GetObject", "kms:Decrypt"])
def test_a_job_whose_policy_lacks_an_action_fails_and_says_so(
    action: str, stack: Stack, tmp_path_factory: pytest.TempPathFactory
) -> None:
    policies = {"ReconcileJob": stack.policies()["ReconcileJob"].without(action)}
    with PolicedProxy(stack.cloud, stack.gate(), policies) as gate:
        done = Account(stack, gate, tmp_path_factory.mktemp("account")).job("ReconcileJob")
    assert done.returncode == 1
    assert "AccessDenied" in done.stderr
    assert {need.action for need in gate.refused["ReconcileJob"]} == {action}
