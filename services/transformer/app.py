"""Wiring of the transformer: stream → batches → objects, counts, checkpoint."""

import socket
import uuid
from functools import partial

from headrace.aws.dynamodb import request
from headrace.aws.session import AwsSession
from headrace.aws.sns import alerts_to
from headrace.counters.dynamodb import DynamoCounterWriter
from headrace.delivery.batch import BatchPolicy
from headrace.delivery.budget import BufferBudget
from headrace.delivery.deliver import Delivery
from headrace.delivery.fleet import Fleet
from headrace.delivery.plan import STAGE, Planner
from headrace.delivery.recover import Recovery
from headrace.delivery.shard import ShardWorker
from headrace.events.arrow import use_system_memory
from headrace.events.transform import Transformer
from headrace.lake.s3 import S3Store
from headrace.leases.dynamodb import DynamoLeaseStore
from headrace.leases.holding import CaughtUp
from headrace.leases.kcl_table import refuse_table_of_kcl
from headrace.leases.keeper import LeaseKeeper
from headrace.leases.model import Lease, lease_prefix, lineage
from headrace.leases.sync import ShardSync
from headrace.runtime import Context
from headrace.stream.connect import open_reader
from headrace.stream.shard_map import ShardMap


async def main(context: Context) -> None:
    """Land the stream until told to stop."""
    settings, clock, metrics = context.settings, context.clock, context.metrics
    use_system_memory()
    async with (
        AwsSession(settings.region, metrics=metrics) as aws,
        open_reader(settings, aws, metrics, clock) as stream,
        alerts_to(settings.sns_topic_arn, aws, service=STAGE, metrics=metrics, clock=clock) as report,
    ):
        info = await stream.info()
        origin = lineage(settings.application, info)
        store = S3Store(await aws.client("s3"), settings.bucket)
        dynamodb = await aws.client("dynamodb")
        await refuse_table_of_kcl(dynamodb, settings.control_table)
        leases = DynamoLeaseStore(dynamodb, settings.control_table)
        counters = DynamoCounterWriter(dynamodb, settings.counters_table)
        policy = BatchPolicy.of(settings)
        budget = BufferBudget(settings.buffer_bytes)
        planner = Planner(Transformer.of(settings), policy, lineage=origin)
        delivery = Delivery(
            store, counters, leases, lineage=origin, metrics=metrics, clock=clock, report=report
        )  # fmt: skip
        recovery = Recovery(delivery, leases)
        sync = ShardSync(leases, stream, info, start=settings.start_checkpoint, clock=clock, metrics=metrics)
        shard_map = ShardMap(stream.shards, clock)

        def make_keeper(caught_up: CaughtUp) -> LeaseKeeper:
            return LeaseKeeper(
                leases, sync,
                owner=f"{socket.gethostname()}:{uuid.uuid4().hex[:8]}",
                failover=settings.failover_seconds,
                caught_up=caught_up, clock=clock, metrics=metrics,
            )  # fmt: skip

        def make_worker(lease: Lease) -> ShardWorker:
            return ShardWorker(
                lease, stream.open, planner, delivery, recovery,
                info=info, before_end=sync.run, policy=policy, budget=budget,
                dedup_seconds=settings.dedup_window, trip_after=settings.trip_after,
                clock=clock, metrics=metrics, health=context.health, hash_range=shard_map.hash_range,
                is_gone=sync.is_gone, start_time=settings.start_time,
            )  # fmt: skip

        context.health.add_check("stream", stream.info)
        context.health.add_check("bucket", lambda: store.head("events/"))
        context.health.add_check("control", lambda: leases.list(lease_prefix(info)))
        context.health.add_check(
            "counters", partial(request, dynamodb.describe_table, TableName=settings.counters_table)
        )
        fleet = Fleet(make_keeper, make_worker, metrics=metrics, health=context.health)
        context.health.add_check("shards", fleet.check)
        context.health.started()
        await fleet.run(context.shutdown)
