"""The desk of `headrace leases` on memory adapters."""

from cli.leases.desk import Desk
from headrace.leases.model import Lease, lease_prefix
from headrace.stream.ports import StreamInfo
from tests.unit.delivery.fleet_world import World


def desk_of(world: World) -> Desk:
    return Desk(
        leases=world.leases, store=world.store, counters=world.counters, stream=world.stream,
        application="headrace", clock=world.clock, metrics=world.metrics,
    )  # fmt: skip


async def rows_of(world: World) -> tuple[StreamInfo, list[Lease]]:
    """The stream and the rows that there are of it."""
    info = await world.stream.info()
    return info, await world.leases.list(lease_prefix(info))
