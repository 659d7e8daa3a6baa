"""What the services depend on goes down, slows down, throttles, garbles or loses its answers: nothing is lost."""

import json
import time
import urllib.request

import pytest

from tests.faults.conftest import Outcome
from tests.faults.scenario import Load, to_stream
from tests.harness.actions import Action
from tests.harness.pipeline import Pipeline, wait_until
from tests.harness.proxy import FaultProxy, Rule
from tests.harness.service import Service

OUTAGE_SECONDS = 5.0
RECOVERY_SECONDS = OUTAGE_SECONDS + 15.0
PATIENCE = RECOVERY_SECONDS + 40.0
"""To tell late from lost."""

READ = frozenset({"GetRecords", "GetShardIterator"})

OUTAGES = {
    "Kinesis down": [Rule(action=Action.DROP_BEFORE, service="kinesis")],
    "Kinesis silent": [Rule(action=Action.HANG, service="kinesis", operations=READ)],
    "Kinesis throttling": [Rule(action=Action.THROTTLE, service="kinesis")],
    "Kinesis slow": [Rule(action=Action.DELAY, service="kinesis", seconds=1.5)],
    "Kinesis answers lost": [Rule(action=Action.DROP_AFTER, service="kinesis")],
    "Kinesis answers garbled": [Rule(action=Action.CORRUPT, service="kinesis")],
    "Kinesis denies access": [Rule(action=Action.DENY, service="kinesis")],
    "S3 down": [Rule(action=Action.DROP_BEFORE, service="s3")],
    "S3 slow": [Rule(action=Action.DELAY, service="s3", seconds=2.0)],
    "S3 answers 500 and 503": [Rule(action=Action.ERROR, service="s3")],
    "S3 throttling": [Rule(action=Action.THROTTLE, service="s3")],
    "S3 answers lost": [Rule(action=Action.DROP_AFTER, service="s3")],
    "S3 denies access": [Rule(action=Action.DENY, service="s3")],
    "DynamoDB down": [Rule(action=Action.DROP_BEFORE, service="dynamodb")],
    "DynamoDB silent": [Rule(action=Action.HANG, service="dynamodb")],
    "DynamoDB throttling": [Rule(action=Action.THROTTLE, service="dynamodb")],
    "DynamoDB answers lost": [Rule(action=Action.DROP_AFTER, service="dynamodb")],
    "DynamoDB denies access": [Rule(action=Action.DENY, service="dynamodb")],
    "half of all calls fail": [
        Rule(action=Action.DROP_BEFORE, chance=0.25),
        Rule(action=Action.DROP_AFTER, chance=0.33),
    ],
    "SQS and Athena down": [
        Rule(action=Action.DROP_BEFORE, service="sqs"),
        Rule(action=Action.DROP_BEFORE, service="athena"),
    ],
    "SQS and Athena throttling": [
        Rule(action=Action.THROTTLE, service="sqs"),
        Rule(action=Action.THROTTLE, service="athena"),
    ],
    "everything down": [Rule(action=Action.DROP_BEFORE)],
}
READY_THROUGHOUT = {"Kinesis silent", "Kinesis slow", "S3 slow", "half of all calls fail"}
"""The transformer's checks may still pass."""


@pytest.mark.parametrize("fault", OUTAGES)
def test_an_outage_loses_and_repeats_nothing_and_recovery_takes_no_longer_than_it(
    fault: str,
    pipeline: Pipeline,
    proxy: FaultProxy,
    transformer: Service,
    partitioner: Service,
    stats_api: Service,
    outcomes: list[Outcome],
) -> None:
    load = Load(fault.replace(" ", "-"))
    meets = {rule.service for rule in OUTAGES[fault]}
    concerned = partitioner if "sqs" in meets else transformer
    with load.running(to_stream(pipeline, load)):
        with proxy.rules(*OUTAGES[fault]) as injected:
            ends = time.monotonic() + OUTAGE_SECONDS
            ready, alive = concerned.status("/readyz"), transformer.alive() and partitioner.alive()
            time.sleep(max(0.0, ends - time.monotonic()))  # how long the outage lasts is the scenario
        ended = time.monotonic()

    def arrived() -> bool:
        return set(load.ids) <= set(pipeline.landed(load.hour)) and pipeline.registered(load.hour)

    wait_until(arrived, PATIENCE, lambda: f"{concerned.tail()}\n{len(pipeline.landed(load.hour))} of {len(load.ids)}")
    recovery = time.monotonic() - ended
    rows = pipeline.landed(load.hour)
    outcomes.append(
        Outcome(
            fault=fault,
            injected=sum(each.total() for each in injected),
            put=len(load.ids),
            lost=len(set(load.ids) - set(rows)),
            duplicates=rows.total() - len(rows),
            recovery=recovery,
        )
    )
    assert alive
    assert ready in ({200, 503} if fault in READY_THROUGHOUT else {503})
    assert all(injected)
    assert rows.keys() == set(load.ids)
    assert rows.total() == len(rows)
    assert recovery <= RECOVERY_SECONDS
    wait_until(lambda: transformer.status("/readyz") == partitioner.status("/readyz") == 200, 10, transformer.tail)
    wait_until(lambda: views(stats_api, load.product) == len(load.ids), 10, lambda: str(views(stats_api, load.product)))


def views(stats_api: Service, product: str) -> int:
    with urllib.request.urlopen(f"{stats_api.url}/v1/products/{product}/stats?window=all", timeout=10) as answer:
        return int(json.load(answer)["views"])
