"""Rights and what becomes of them: statements of the template's policies."""

import json

import pytest

from deploy.ecs.policies import RIGHTS, resources, statements
from deploy.ecs.template import load
from headrace.aws.rights import PARTED, Resource, Right
from headrace.counters import dynamodb as counters
from headrace.leases import dynamodb as leases

TEMPLATE = load()

SERVICES = {
    Resource.STREAM: "kinesis",
    Resource.CONTROL_TABLE: "dynamodb",
    Resource.COUNTERS_TABLE: "dynamodb",
    Resource.STATE_TABLE: "dynamodb",
    Resource.BUCKET: "s3",
    Resource.OBJECTS: "s3",
    Resource.KEY: "kms",
    Resource.QUEUE: "sqs",
    Resource.FAILED_RECORDS_TOPIC: "sns",
    Resource.DEAD_LETTERS_TOPIC: "sns",
    Resource.WORKGROUP: "athena",
    Resource.DATABASE: "glue",
    Resource.DEFAULT_DATABASE: "glue",
    Resource.TABLES: "glue",
}
LONGEST = 10_240
"""Characters of all inline policies of a role, blanks left out: IAM's limit."""


@pytest.mark.parametrize("name", RIGHTS)
def test_actions_belong_to_what_they_are_about(name: str) -> None:
    for right in RIGHTS[name]:
        assert {action.partition(":")[0] for action in right.actions} == {SERVICES[right.on]}


@pytest.mark.parametrize("name", RIGHTS)
def test_a_policy_is_no_longer_than_iam_allows(name: str) -> None:
    assert len(json.dumps(statements(RIGHTS[name]), separators=(",", ":"))) < LONGEST


@pytest.mark.parametrize("name", RIGHTS)
def test_statements_allow_have_names_of_their_own_and_no_resource_that_is_everything(name: str) -> None:
    found = statements(RIGHTS[name])
    assert len({each["Sid"] for each in found}) == len(found)
    assert all(each["Sid"].isalnum() and each["Effect"] == "Allow" for each in found)
    assert all("*" not in action for each in found for action in each["Action"])
    texts = [arn for each in found for resource in each["Resource"] for arn in resource.values()]
    assert all(text.endswith("/*") and text.count("*") == 1 for text in map(str, texts) if "*" in text)
    assert all(str(text).startswith("${DataBucket.Arn}/") for text in texts if "*" in str(text))


@pytest.mark.parametrize("name", RIGHTS)
def test_the_template_gives_its_role_these_statements_and_no_others(name: str) -> None:
    [policy] = TEMPLATE["Resources"][f"{name}Role"]["Properties"]["Policies"]
    assert policy["PolicyDocument"]["Statement"] == statements(RIGHTS[name])
    assert "ManagedPolicyArns" not in TEMPLATE["Resources"][f"{name}Role"]["Properties"]


def test_tables_expire_what_workers_only_mark() -> None:
    for table, attribute in (("ControlTable", leases.TTL_ATTRIBUTE), ("CountersTable", counters.TTL_ATTRIBUTE)):
        expiry = TEMPLATE["Resources"][table]["Properties"]["TimeToLiveSpecification"]
        assert expiry == {"AttributeName": attribute, "Enabled": True}


def test_the_transformer_deletes_nothing() -> None:
    assert not [action for right in RIGHTS["Transformer"] for action in right.actions if "Delete" in action]


def test_every_resource_has_an_arn() -> None:
    for resource in Resource:
        within = ("a", "b") if resource in PARTED else ()
        found = resources(Right(on=resource, actions=("a:B",), within=within, why=""))
        assert all(set(each) <= {"Fn::GetAtt", "Fn::Sub", "Ref"} for each in found)
        assert found


def test_a_table_is_asked_for_with_its_database_and_the_catalogue() -> None:
    [*_, tables] = [right for right in RIGHTS["Partitioner"] if right.on is Resource.TABLES]
    of = "arn:${AWS::Partition}:glue:${AWS::Region}:${AWS::AccountId}:"
    assert [each["Fn::Sub"].removeprefix(of) for each in resources(tables)] == [
        "catalog", "database/${Database}", "table/${Database}/events",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("resource", "actions", "within"),
    [
        (Resource.OBJECTS, ("s3:GetObject",), ()),
        (Resource.STREAM, ("kinesis:PutRecords",), ("events",)),
        (Resource.STREAM, ("kinesis:*",), ()),
        (Resource.STREAM, (), ()),
        (Resource.OBJECTS, ("s3:GetObject",), ("*",)),
    ],
)
def test_a_right_that_says_too_much_or_too_little_is_refused(
    resource: Resource, actions: tuple[str, ...], within: tuple[str, ...]
) -> None:
    with pytest.raises(ValueError, match="a right on the"):
        Right(on=resource, actions=actions, within=within, why="")
