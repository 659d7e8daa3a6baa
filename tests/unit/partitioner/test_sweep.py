from collections.abc import AsyncIterator, Sequence

from headrace.catalog.memory import MemoryCatalog
from headrace.errors import UnavailableError
from headrace.lake.memory import MemoryStore
from services.partitioner.queue import Message
from tests.unit.partitioner.partitioner_world import HOURS, FakeQueue, TroubledCatalog, World, message, run


class TimedQueue(FakeQueue):
    """Lets as many seconds pass in each receive as told, and nothing come; idle when there are no more."""

    def __init__(self, *seconds: float) -> None:
        super().__init__()
        self.seconds = list(seconds)
        self.world: World

    async def receive(self) -> Sequence[Message]:
        if self.seconds:
            self.world.clock.advance(self.seconds.pop(0))
            return []
        return await super().receive()


class TroubledStore(MemoryStore):
    """A bucket that cannot be listed as often as told."""

    failures = 1

    async def prefixes(self, prefix: str) -> AsyncIterator[str]:
        if self.failures:
            self.failures -= 1
            raise UnavailableError("no listing")
        async for folder in super().prefixes(prefix):
            yield folder


async def test_what_landed_before_the_start_is_registered_without_a_notification() -> None:
    queue = FakeQueue()
    world = World(queue=queue)
    await world.land(HOURS[:3])
    await world.run_until(queue.idle)
    assert await world.catalog.partitions() == set(HOURS[:3])
    assert world.counted("partitions_swept_total") == 3
    assert world.counted("sweeps_total", result="done") == 1


async def test_a_lost_notification_heals_at_the_next_sweep_and_not_before() -> None:
    seen: list[set[object]] = []

    class Losing(TimedQueue):
        async def receive(self) -> Sequence[Message]:
            await self.world.land([HOURS[0]])
            seen.append(set(await self.world.catalog.partitions()))
            return await super().receive()

    queue = Losing(3599.0, 1.0, 10.0)
    queue.world = World(queue=queue)
    await queue.world.run_until(queue.idle)
    assert seen == [set(), set(), {HOURS[0]}, {HOURS[0]}]
    assert queue.world.counted("sweeps_total", result="done") == 2


async def test_a_partition_that_someone_dropped_is_registered_again_by_the_sweep() -> None:
    class Dropping(TimedQueue):
        """Someone drops what the first sweep registered."""

        async def receive(self) -> Sequence[Message]:
            if len(self.seconds) == 1:
                await self.world.catalog.drop_partitions([HOURS[0]])
            return await super().receive()

    queue = Dropping(3600.0)
    queue.world = World(queue=queue, catalog=TroubledCatalog())
    await queue.world.land([HOURS[0]])
    await queue.world.run_until(queue.idle)
    assert queue.world.catalog.added == [[HOURS[0]], [HOURS[0]]]  # type: ignore[attr-defined]


async def test_a_bucket_that_cannot_be_listed_delays_the_sweep_and_not_the_notifications() -> None:
    queue = TimedQueue(59.0, 1.0)
    queue.world = World(queue=queue, store=TroubledStore())
    queue.batches = [[message(HOURS[5], receipt="told")]]
    await queue.world.land([HOURS[0]])
    await queue.world.run_until(queue.idle)
    assert await queue.world.catalog.partitions() == {HOURS[0], HOURS[5]}
    assert queue.deleted == ["told"]
    assert queue.world.shutdown.pauses == []
    assert queue.world.counted("sweeps_total", result="failed") == 1
    assert queue.world.counted("sweeps_total", result="done") == 1


async def test_a_sweep_whose_statement_failed_is_tried_again_at_once() -> None:
    store = MemoryStore()
    await store.put(f"events/{HOURS[0].path}/a.parquet", b"")
    world = await run(FakeQueue(), TroubledCatalog(UnavailableError("down")), store=store)
    assert await world.catalog.partitions() == {HOURS[0]}
    assert len(world.shutdown.pauses) == 1


async def test_a_second_start_finds_nothing_to_do() -> None:
    store, catalog = MemoryStore(), TroubledCatalog()
    await store.put(f"events/{HOURS[0].path}/a.parquet", b"")
    await run(FakeQueue(), catalog, store=store)
    world = await run(FakeQueue(), catalog, store=store)
    assert catalog.added == [[HOURS[0]]]
    assert world.counted("partitions_swept_total") == 0


async def test_a_partition_without_objects_is_none_of_the_sweeps_business() -> None:
    catalog = MemoryCatalog()
    await catalog.ensure_table()
    await catalog.add_partitions([HOURS[7]])
    await run(FakeQueue(), catalog)
    assert await catalog.partitions() == {HOURS[7]}
