"""Wiring of the partitioner."""

from headrace.aws.session import AwsSession
from headrace.catalog.athena import AthenaCatalog, AthenaClient
from headrace.catalog.ddl import EventsTable
from headrace.lake.s3 import S3Store
from headrace.runtime import Context
from services.partitioner.partitioner import Partitioner
from services.partitioner.queue import SqsQueue
from services.partitioner.registrar import Registrar


async def main(context: Context) -> None:
    """Register the partition of every new object until asked to stop."""
    settings, metrics, health, clock = context.settings, context.metrics, context.health, context.clock
    async with AwsSession(settings.region, metrics=context.metrics) as aws:
        queue = SqsQueue(await aws.client("sqs"), settings.partition_queue)
        athena = AthenaClient(
            await aws.client("athena"), clock=clock, workgroup=settings.workgroup, output=settings.athena_output_url
        )
        table = EventsTable(database=settings.database, name=settings.table, bucket=settings.bucket)
        catalog = AthenaCatalog(athena, table, concurrency=settings.ddl_concurrency)
        registrar = Registrar(catalog=catalog, metrics=metrics, health=health, clock=clock)
        health.add_check("queue", queue.check)
        health.add_check("athena", athena.check)
        health.add_check("table", registrar.check)
        partitioner = Partitioner(
            queue=queue,
            registrar=registrar,
            store=S3Store(await aws.client("s3"), settings.bucket),
            metrics=metrics,
            health=health,
            clock=clock,
            sweep_seconds=settings.sweep_seconds,
        )
        await partitioner.run(context.shutdown)
