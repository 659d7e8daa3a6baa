import asyncio
import json
from collections.abc import Callable, Sequence
from urllib.parse import quote_plus

import pytest

from headrace.catalog.memory import MemoryCatalog, MemoryTable
from headrace.errors import ConfigError, HeadraceError, NotFoundError, RequestError, UnavailableError
from headrace.events.schema import COLUMNS
from headrace.lake.layout import HourPartition
from services.partitioner import registrar
from services.partitioner.partitioner import LONGEST_PAUSE_SECONDS, pause
from services.partitioner.queue import LONGEST_POSTPONEMENT_SECONDS, Message, postponement
from tests.unit.partitioner.hostile_keys import HOSTILE
from tests.unit.partitioner.partitioner_world import HOURS, FakeQueue, TroubledCatalog, World, message, run


async def test_partitions_of_a_batch_are_registered_together_and_its_messages_deleted() -> None:
    queue = FakeQueue([message(HOURS[1], receipt="a"), message(HOURS[0], HOURS[1], receipt="b")])
    catalog = TroubledCatalog()
    await run(queue, catalog)
    assert catalog.added == [[HOURS[0], HOURS[1]]]
    assert queue.deleted == ["a", "b"]
    assert queue.postponed == []


async def test_a_known_partition_costs_no_statement() -> None:
    catalog = TroubledCatalog()
    await catalog.ensure_table()
    await catalog.add_partitions([HOURS[0]])
    queue = FakeQueue([message(HOURS[0])], [message(HOURS[1])], [message(HOURS[0], HOURS[1])])
    await run(queue, catalog)
    assert catalog.added == [[HOURS[0]], [HOURS[1]]]
    assert len(queue.deleted) == 3


async def test_more_partitions_than_a_few_statements_take_are_registered_in_parts() -> None:
    hours = [HourPartition.of_hour(490_000 + n) for n in range(900)]
    catalog = TroubledCatalog()
    await run(FakeQueue([message(*hours)]), catalog)
    assert [len(part) for part in catalog.added] == [400, 400, 100]


@pytest.mark.parametrize("failure", [UnavailableError("down"), RequestError("no"), NotFoundError("gone")])
async def test_a_failed_statement_keeps_the_messages_and_the_process(failure: Exception) -> None:
    catalog = TroubledCatalog(failure, failure)
    turns = [[message(HOURS[0], receipt="again", receives=n)] for n in (1, 2, 3)]
    queue = FakeQueue(*turns)
    world = await run(queue, catalog)
    assert await catalog.partitions() == {HOURS[0]}
    assert queue.deleted == ["again"]
    first, second = world.shutdown.pauses
    assert 0 < first <= 1.0 <= second <= 2.0
    assert world.counted("catalog_failures_total", kind=type(failure).__name__) == 2


async def test_messages_whose_statement_failed_come_again_later_each_time() -> None:
    catalog = TroubledCatalog(*[UnavailableError("down")] * 3)
    queue = FakeQueue(
        [message(HOURS[0], receipt="a", receives=1), message(HOURS[1], receipt="b", receives=4)],
        [message(HOURS[0], receipt="a", receives=2)],
        [message(HOURS[0], receipt="a", receives=5)],
    )
    world = await run(queue, catalog)
    (a1, wait1), (b4, wait4), (a2, wait2), (a5, wait5) = queue.postponed
    assert (a1, b4, a2, a5) == ("a", "b", "a", "a")
    assert 1 <= wait1 <= 2 <= wait2 <= 4
    assert 8 <= wait4 <= 16 <= wait5 <= 32
    assert world.counted("messages_postponed_total") == 3
    assert world.counted("messages_given_up_total") == 1


async def test_a_queue_that_cannot_postpone_changes_nothing_else() -> None:
    class Stubborn(FakeQueue):
        async def postpone(self, messages: Sequence[Message], seconds: Callable[[Message], int]) -> None:
            raise UnavailableError("no")

    queue = Stubborn([message(HOURS[0])], [message(HOURS[0])])
    world = await run(queue, TroubledCatalog(UnavailableError("down")))
    assert await world.catalog.partitions() == {HOURS[0]}


async def test_nothing_is_received_while_the_catalogue_is_down_so_that_no_message_is_used_up() -> None:
    class Down(MemoryCatalog):
        outage = 20

        async def partitions(self) -> set[HourPartition]:
            if self.outage:
                self.outage -= 1
                raise UnavailableError("down")
            return await super().partitions()

    class Counting(FakeQueue):
        calls = 0

        async def receive(self) -> Sequence[Message]:
            self.calls += 1
            return await super().receive()

    queue = Counting([message(HOURS[0])])
    world = await run(queue, Down())
    assert len(world.shutdown.pauses) == 20
    assert queue.calls == 2  # the message, and then the wait
    assert await world.catalog.partitions() == {HOURS[0]}


async def test_a_table_dropped_in_the_meantime_is_made_anew() -> None:
    class Dropped(MemoryCatalog):
        """Loses its table once, after the first partition."""

        dropped = False

        async def add_partitions(self, partitions: Sequence[HourPartition]) -> None:
            await super().add_partitions(partitions)
            if not self.dropped:
                self.dropped, self._table = True, MemoryTable()

    queue = FakeQueue([message(HOURS[0])], [message(HOURS[1])], [message(HOURS[1])], [message(HOURS[0])])
    world = await run(queue, Dropped())
    assert await world.catalog.partitions() == {HOURS[0], HOURS[1]}


async def test_what_cannot_be_read_is_counted_and_left_to_the_dead_letter_queue() -> None:
    queue = FakeQueue(
        [
            Message(body="{", receipt="malformed", receives=5),
            Message(body='{"Event": "s3:TestEvent"}', receipt="test"),
            message(HOURS[0], HOURS[0], receipt="good"),
        ],
        [message(HOURS[0], receipt="again")],
    )
    world = await run(queue)
    assert queue.deleted == ["test", "good", "again"]
    assert [receipt for receipt, _ in queue.postponed] == ["malformed"]
    assert world.counted("messages_given_up_total") == 1
    counted = {
        result: world.counted("notifications_total", result=result)
        for result in ("malformed", "test", "registered", "known")
    }
    assert counted == {"malformed": 1, "test": 1, "registered": 2, "known": 1}
    assert world.counted("partitions_registered_total") == 1
    assert world.counted("ddl_seconds_count") == 1


async def test_hostile_keys_come_near_no_statement_and_their_messages_are_not_kept() -> None:
    records = [
        {"eventName": "ObjectCreated:Put", "s3": {"object": {"key": quote_plus(key, errors="surrogatepass")}}}
        for key in HOSTILE.values()
    ]
    queue = FakeQueue([Message(body=json.dumps({"Records": records}), receipt="hostile")])
    world = await run(queue, catalog := TroubledCatalog())
    assert catalog.added == []
    assert (queue.deleted, queue.postponed) == (["hostile"], [])
    assert world.counted("notifications_total", result="invalid") == len(HOSTILE)


async def test_a_message_readable_in_part_registers_that_part_and_is_kept() -> None:
    good = message(HOURS[0]).body.removesuffix("]}")
    queue = FakeQueue([Message(body=good + ", 5]}", receipt="half")])
    world = await run(queue)
    assert await world.catalog.partitions() == {HOURS[0]}
    assert (queue.deleted, [receipt for receipt, _ in queue.postponed]) == ([], ["half"])


async def test_it_is_ready_once_the_partitions_are_known() -> None:
    world = World()
    with pytest.raises(UnavailableError):
        await world.registrar.check()
    world = await run(FakeQueue())
    assert await world.health.problems() == {}


@pytest.mark.parametrize("failure", [UnavailableError("down"), ConfigError(["column price is string"])])
async def test_readiness_says_that_the_table_is_at_fault_until_it_is_mended(failure: HeadraceError) -> None:
    seen: list[object] = []

    class Broken(MemoryCatalog):
        broken = True

        async def ensure_table(self) -> None:
            if self.broken:
                self.broken = False
                raise failure
            seen.append(dict(await world.health.problems()))
            await super().ensure_table()

    queue = FakeQueue()
    world = World(queue=queue, catalog=Broken())
    await world.run_until(queue.idle)
    assert seen == [{"table": type(failure).__name__}]
    assert await world.health.problems() == {}


async def test_a_long_outage_of_athena_does_not_make_the_process_look_dead() -> None:
    alive: list[bool] = []

    class Hanging(MemoryCatalog):
        """Every call takes the minute that a statement may take, and fails."""

        calls = 0

        async def ensure_table(self) -> None:
            self.calls += 1
            world.clock.advance(60.0)
            alive.append(world.health.alive)
            if self.calls < 10:
                raise UnavailableError("Athena did not finish within 60 s")
            await super().ensure_table()

    queue = FakeQueue()
    world = World(queue=queue, catalog=Hanging())
    await world.run_until(queue.idle)
    assert alive == [True] * 10
    assert world.health.alive


async def test_a_table_that_is_never_there_is_given_up_before_the_process_looks_dead(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert registrar.TABLE_SECONDS < 120.0  # what counts as stalled
    monkeypatch.setattr(registrar, "TABLE_SECONDS", 0.01)

    class Endless(MemoryCatalog):
        calls = 0

        async def ensure_table(self) -> None:
            self.calls += 1
            if self.calls == 1:
                await asyncio.Event().wait()
            await super().ensure_table()

    world = await run(FakeQueue(), Endless())
    assert world.counted("catalog_failures_total", kind="UnavailableError") == 1
    assert await world.health.problems() == {}


async def test_a_batch_under_way_is_finished_before_the_end() -> None:
    entered, release = asyncio.Event(), asyncio.Event()

    class Slow(MemoryCatalog):
        async def add_partitions(self, partitions: Sequence[HourPartition]) -> None:
            entered.set()
            await release.wait()
            await super().add_partitions(partitions)

    queue = FakeQueue([message(HOURS[0], receipt="a")], [message(HOURS[1], receipt="b")])
    world = World(queue=queue, catalog=Slow())
    running = asyncio.create_task(world.partitioner.run(world.shutdown))
    async with asyncio.timeout(5):
        await entered.wait()
        world.shutdown.request()
        release.set()
        await running
    assert await world.catalog.partitions() == {HOURS[0]}
    assert queue.deleted == ["a"]


async def test_a_table_of_an_older_schema_gets_its_columns_before_anything_is_received() -> None:
    table = MemoryTable()
    older = MemoryCatalog(table, COLUMNS[:-2])
    await older.ensure_table()
    await run(FakeQueue(), MemoryCatalog(table))
    assert set(await older.columns()) >= {column.name for column in COLUMNS}


def test_pauses_double_up_to_half_a_minute() -> None:
    assert [pause(failures) for failures in (1, 2, 3, 6, 1000)] == [1.0, 2.0, 4.0, 30.0, LONGEST_PAUSE_SECONDS]


def test_postponements_double_up_to_a_quarter_of_an_hour_and_are_spread_over_half_of_it() -> None:
    assert [postponement(receives, 1.0) for receives in (1, 2, 3, 9, 10_000)] == [2, 4, 8, 512, 900]
    assert [postponement(receives, 0.0) for receives in (1, 2, 3, 10_000)] == [1, 2, 4, 450]
    assert LONGEST_POSTPONEMENT_SECONDS < 12 * 3600  # SQS's own limit
