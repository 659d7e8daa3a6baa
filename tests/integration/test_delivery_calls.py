"""What a batch costs in requests: three for each object, three for itself, and the counters."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest

from headrace.aws.session import AwsSession
from headrace.clock import SystemClock
from headrace.counters.dynamodb import DynamoCounterWriter
from headrace.counters.dynamodb import table_definition as counters_table
from headrace.delivery.deliver import Delivery
from headrace.lake.s3 import S3Store
from headrace.leases.dynamodb import DynamoLeaseStore, table_definition
from headrace.leases.model import Lease
from headrace.telemetry.metrics import Metrics
from tests.unit.delivery.batches import KEY, LINEAGE, broken, planned, record

pytestmark = pytest.mark.usefixtures("aws_environment")


@asynccontextmanager
async def cloud(metrics: Metrics) -> AsyncIterator[tuple[Delivery, Lease]]:
    name = f"calls-{uuid4().hex}"
    async with AwsSession("us-east-1", metrics=metrics) as aws:
        s3, dynamodb = await aws.client("s3"), await aws.client("dynamodb")
        await s3.create_bucket(Bucket=name)
        await dynamodb.create_table(**table_definition(name))
        await dynamodb.create_table(**counters_table(f"{name}-counters"))
        leases = DynamoLeaseStore(dynamodb, name)
        await leases.create([Lease(key=KEY)])
        yield (
            Delivery(
                S3Store(s3, name),
                DynamoCounterWriter(dynamodb, f"{name}-counters"),
                leases,
                lineage=LINEAGE,
                metrics=metrics,
                clock=SystemClock(),
            ),
            await leases.take(Lease(key=KEY), "me"),
        )


def calls(metrics: Metrics) -> dict[str, float]:
    return {
        sample.labels["op"]: sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == "headrace_aws_requests_total"
    }


async def test_a_batch_takes_three_requests_an_object_and_three_more_and_the_counters() -> None:
    metrics = Metrics()
    async with cloud(metrics) as (delivery, lease):
        before = calls(metrics)
        # Two hours and a dead letter: three objects.
        committed = await delivery.attempt(planned([record(1), record(2), broken(3)], lease), lease).run(
            caught_up_at=None
        )
        took = {op: count - before.get(op, 0) for op, count in calls(metrics).items() if count > before.get(op, 0)}
    assert committed.ledger.objects == 2
    counters = {op: took.pop(op) for op in ("TransactWriteItems", "GetItem", "PutItem") if op in took}
    assert took == {
        "CreateMultipartUpload": 3,
        "UploadPart": 3,
        "CompleteMultipartUpload": 3,
        "PutObject": 1,  # the manifest
        "UpdateItem": 2,  # the intent and the commit
    }
    assert counters["TransactWriteItems"] == 1
