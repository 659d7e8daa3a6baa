"""Wiring of the partitioner."""

from headrace.aws.session import AwsSession
from headrace.catalog.athena import AthenaCatalog, AthenaClient
from headrace.catalog.ddl import EventsTable
from headrace.runtime import Context
from services.partitioner.partitioner import Partitioner
from services.partitioner.queue import SqsQueue


async def main(context: Context) -> None:
    """Register the partition of every new object until asked to stop."""
    settings = context.settings
    async with AwsSession(settings.region) as aws:
        queue = await SqsQueue.named(await aws.client("sqs"), settings.partition_queue)
        athena = AthenaClient(
            await aws.client("athena"),
            clock=context.clock,
            workgroup=settings.workgroup,
            output=settings.athena_output_url,
        )
        table = EventsTable(database=settings.database, name=settings.table, bucket=settings.bucket)
        context.health.add_check("queue", queue.check)
        context.health.add_check("athena", athena.check)
        partitioner = Partitioner(
            queue=queue, catalog=AthenaCatalog(athena, table), metrics=context.metrics, clock=context.clock
        )
        await partitioner.run(context.shutdown, context.health)
