"""headrace.yaml and the code: names, limits and orders that one has from the other."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import AliasChoices

from deploy.ecs import template
from deploy.local.resources import UPLOADS_KEPT_DAYS
from headrace import settings
from headrace.counters import dynamodb as counters
from headrace.counters.ledger import KEPT_HOURS
from headrace.lake.layout import EVENTS, INTENTS, RAW_EVENTS, Quarantine
from headrace.leases import dynamodb as leases
from headrace.settings import METRICS_PORTS, PARTITION_QUEUE_RECEIVES, Settings
from headrace.state import dynamodb as state
from services.partitioner.queue import VISIBILITY_SECONDS

ROOT = Path(__file__).parents[4]
HEADRACE = template.load()
PARAMETERS: dict[str, Any] = HEADRACE["Parameters"]
RESOURCES: dict[str, Any] = HEADRACE["Resources"]
DEFAULTS = template.Defaults(HEADRACE)
SERVICES = ("ApiConsumer", "Transformer", "Partitioner", "StatsApi")
JOBS = ("MedallionJob", "PartitionsJob", "ReconcileJob", "ReplayJob")
KEPT = {"Fn::If": ["IsDisposable", "Delete", "Retain"]}


def of(name: str) -> dict[str, Any]:
    found: dict[str, Any] = RESOURCES[name]["Properties"]
    return found


def container(name: str) -> dict[str, Any]:
    found: dict[str, Any] = of(f"{name}TaskDefinition")["ContainerDefinitions"][0]
    return found


def environment(name: str) -> dict[str, Any]:
    return {each["Name"]: DEFAULTS.resolve(each["Value"]) for each in container(name)["Environment"]}


@pytest.mark.parametrize(
    ("name", "definition"),
    [
        ("ControlTable", leases.table_definition("headrace-control")),
        ("CountersTable", counters.table_definition("headrace-counters")),
        ("StateTable", state.table_definition("headrace-state")),
    ],
)
def test_a_table_is_the_one_that_its_adapter_defines(name: str, definition: dict[str, Any]) -> None:
    found = {key: DEFAULTS.resolve(of(name)[key]) for key in definition}
    assert found == definition


def test_items_end_where_an_adapter_says_when_and_all_tables_can_be_set_back() -> None:
    tables = [name for name, each in RESOURCES.items() if each["Type"] == "AWS::DynamoDB::Table"]
    assert {name: of(name).get("TimeToLiveSpecification") for name in tables} == {
        "ControlTable": {"AttributeName": leases.TTL_ATTRIBUTE, "Enabled": True},
        "CountersTable": {"AttributeName": counters.TTL_ATTRIBUTE, "Enabled": True},
        "StateTable": None,
    }
    assert all(of(name)["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True} for name in tables)


@pytest.mark.parametrize("name", [*SERVICES, *JOBS])
def test_a_container_is_told_names_that_the_settings_know_and_have_by_default(name: str) -> None:
    told = environment(name)
    known = {
        str(variable): field.default
        for field in Settings.model_fields.values()
        if isinstance(field.validation_alias, AliasChoices)
        for variable in field.validation_alias.choices
    }
    of_this_account = {"S3_BUCKET", "AWS_REGION", "SNS_TOPIC_ARN", "FAILED_RECORDS_SNS_ARN"}
    own = {"HEADRACE_MEDALLION_SCRATCH", "HEADRACE_CLOUDWATCH_NAMESPACE"}
    assert set(told) <= set(known)
    for variable in set(told) - of_this_account - own:
        assert str(told[variable]) == str(known[variable]), variable


def test_dead_letters_of_notifications_have_the_name_that_the_settings_give_them() -> None:
    assert DEFAULTS.resolve(of("PartitionDeadLetters")["QueueName"]) == Settings().partition_dead_letters


def test_the_queue_hides_and_gives_up_messages_as_the_partitioner_does() -> None:
    queue = of("PartitionQueue")
    assert queue["VisibilityTimeout"] == VISIBILITY_SECONDS
    assert queue["RedrivePolicy"]["maxReceiveCount"] == PARTITION_QUEUE_RECEIVES
    assert of("PartitionDeadLetters")["MessageRetentionPeriod"] > queue["MessageRetentionPeriod"]


def test_new_events_are_told_to_the_queue_by_this_bucket_alone() -> None:
    [told] = of("DataBucket")["NotificationConfiguration"]["QueueConfigurations"]
    assert told["Filter"]["S3Key"]["Rules"] == [{"Name": "prefix", "Value": f"{EVENTS}/"}]
    [allowed, refused] = of("PartitionQueuePolicy")["PolicyDocument"]["Statement"]
    bucket = DEFAULTS.resolve(of("DataBucket")["BucketName"])
    assert DEFAULTS.resolve(allowed["Condition"]["ArnEquals"]) == {"aws:SourceArn": f"arn:aws:s3:::{bucket}"}
    assert refused["Effect"] == "Deny"


def lifecycle() -> dict[str, dict[str, Any]]:
    rules = of("DataBucket")["LifecycleConfiguration"]["Rules"]
    return {rule["Prefix"]: rule for rule in (each["Fn::If"][1] if "Fn::If" in each else each for each in rules)}


def test_only_what_may_go_expires_and_each_prefix_has_a_parameter() -> None:
    expiring = {
        prefix: rule["ExpirationInDays"]["Ref"] for prefix, rule in lifecycle().items() if "ExpirationInDays" in rule
    }
    assert expiring == {
        f"{EVENTS}/": "EventsDays",
        f"{RAW_EVENTS.partition('/')[0]}/": "RawDays",
        f"{Quarantine.FAILED}/": "FailedDays",
        f"{Quarantine.FAILED_TRANSFORMATION}/": "FailedDays",
        f"{Quarantine.EXTRA_COLUMNS}/": "ExtraColumnsDays",
        f"{INTENTS}/": "IntentsDays",
        "athena_output/": "AthenaOutputDays",
    }
    never = ("EventsDays", "RawDays", "FailedDays", "ExtraColumnsDays")
    assert {name: PARAMETERS[name]["Default"] for name in never} == dict.fromkeys(never, 0)


def test_an_upload_can_be_completed_for_as_long_as_its_records_can_be_read_again() -> None:
    days = lifecycle()[""]["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"]
    assert days == UPLOADS_KEPT_DAYS
    assert days * 24 > max(PARAMETERS["StreamRetentionHours"]["AllowedValues"])


def test_manifests_outlive_uploads_and_by_default_all_that_reconcile_can_look_back_at() -> None:
    assert PARAMETERS["IntentsDays"]["MinValue"] > UPLOADS_KEPT_DAYS
    assert PARAMETERS["IntentsDays"]["Default"] * 24 > KEPT_HOURS


def test_there_are_never_two_pollers_and_of_the_others_never_too_few() -> None:
    shares = {}
    for name in SERVICES:
        how = of(f"{name}Service")["DeploymentConfiguration"]
        shares[name] = (how["MaximumPercent"], how["MinimumHealthyPercent"])
        assert how["DeploymentCircuitBreaker"] == {"Enable": True, "Rollback": True}
    others = dict.fromkeys(SERVICES, (200, 100))
    assert shares == {**others, "ApiConsumer": (100, 0)}
    assert of("ApiConsumerService")["DesiredCount"] == {"Fn::If": ["Polls", 1, 0]}


def test_a_service_is_asked_for_life_on_its_own_port_and_a_job_is_not() -> None:
    ports = {"ApiConsumer": METRICS_PORTS["api_consumer"], "Transformer": METRICS_PORTS["transformer"],
             "Partitioner": METRICS_PORTS["partitioner"], "StatsApi": Settings().stats_port}  # fmt: skip
    for name, port in ports.items():
        assert f"http://127.0.0.1:{port}/livez" in container(name)["HealthCheck"]["Command"][-1]
    assert all("HealthCheck" not in container(name) for name in JOBS)


def test_a_container_is_stopped_after_it_had_the_time_to_drain() -> None:
    stops = {container(name)["StopTimeout"] for name in (*SERVICES, *JOBS)}
    assert stops == {120}
    assert settings.load().shutdown_seconds < 120


def test_containers_are_the_user_of_the_images() -> None:
    users = {container(name)["User"] for name in (*SERVICES, *JOBS)}
    assert users == {"10001:10001"}
    assert (ROOT / "Dockerfile").read_text().count("USER 10001:10001") == 3


def test_every_role_of_a_task_is_of_that_task_alone() -> None:
    roles = [of(f"{name}TaskDefinition")["TaskRoleArn"]["Fn::GetAtt"][0] for name in (*SERVICES, *JOBS)]
    assert roles == [f"{name}Role" for name in (*SERVICES, *JOBS)]


def test_schedules_are_disabled_by_default() -> None:
    found = [each["Properties"]["State"] for each in RESOURCES.values() if each["Type"] == "AWS::Scheduler::Schedule"]
    assert found == [{"Ref": "Schedules"}] * 3
    assert PARAMETERS["Schedules"]["Default"] == "DISABLED"


def test_data_outlives_the_stack_unless_somebody_said_otherwise() -> None:
    kept = {name for name, each in RESOURCES.items() if each.get("DeletionPolicy") == KEPT}
    assert kept == {"DataKey", "DataBucket", "ControlTable", "CountersTable", "StateTable", "AnonymousKey"}
    assert PARAMETERS["EmptyBucketsOnDelete"]["Default"] == "false"


def test_the_function_that_empties_the_bucket_is_the_module() -> None:
    assert of("Emptier")["Code"]["ZipFile"] == (ROOT / "deploy/ecs/empty_bucket.py").read_text()


def test_images_have_the_version_of_this_tree_by_default() -> None:
    version = next(line for line in (ROOT / "pyproject.toml").read_text().splitlines() if line.startswith("version"))
    assert version == f'version = "{PARAMETERS["ImageTag"]["Default"]}"'
