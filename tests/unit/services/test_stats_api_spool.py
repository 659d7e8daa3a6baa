"""While the stream is down, what is collected waits in the bucket, and goes back by whoever is there."""

import asyncio
from collections.abc import Sequence

import pytest

from headrace.clock import ManualClock
from headrace.errors import AccessError, UnavailableError
from headrace.lake.layout import Quarantine, quarantine_object
from headrace.lake.memory import MemoryStore
from headrace.stream.memory import MemoryStream
from headrace.stream.ports import Entry, TrimHorizon
from headrace.telemetry.metrics import Metrics
from services.stats_api import spool
from services.stats_api.spool import LOOK_SECONDS, PROBE_SECONDS, SpoolingProducer

EVENTS = [Entry(b'{"n": 1}', "a"), Entry(b'{"n": 2}', "b")]


class Stream:
    """A stream that can be taken down."""

    def __init__(self, clock: ManualClock) -> None:
        self.failure: Exception | None = None
        self.hangs = False
        self.puts = 0
        self._memory = MemoryStream(clock)

    async def put(self, entries: Sequence[Entry]) -> None:
        self.puts += 1
        if self.hangs:
            await asyncio.Event().wait()
        if self.failure is not None:
            raise self.failure
        await self._memory.put(entries)

    async def entries(self) -> list[Entry]:
        return [
            Entry(record.data, record.partition_key)
            for shard in await self._memory.shards()
            for record in (await self._memory.open(shard.shard_id, TrimHorizon()).read()).records
        ]


class Store(MemoryStore):
    """A bucket that can be taken down."""

    failure: Exception | None = None

    async def put(self, key: str, body: bytes, **more: object) -> None:
        if self.failure is not None:
            raise self.failure
        await super().put(key, body)


class Rig:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.stream, self.store, self.metrics = Stream(self.clock), Store(), Metrics()

    def process(self) -> SpoolingProducer:
        return SpoolingProducer(self.stream, self.store, metrics=self.metrics, clock=self.clock)

    @property
    def waiting(self) -> float | None:
        return self.metrics.registry.get_sample_value("headrace_spooled_pages")

    def goes_down(self) -> None:
        self.stream.failure = UnavailableError("down")

    def comes_back(self) -> None:
        self.stream.failure = None
        self.clock.advance(PROBE_SECONDS)


@pytest.fixture
def rig() -> Rig:
    return Rig()


async def test_while_the_stream_answers_nothing_is_kept(rig: Rig) -> None:
    process = rig.process()
    await process.put(EVENTS)
    await process.put_back()
    assert await rig.stream.entries() == EVENTS
    assert not rig.store.objects


async def test_what_the_stream_does_not_take_is_put_back_once_it_does(rig: Rig) -> None:
    process = rig.process()
    rig.goes_down()
    await process.put(EVENTS[:1])
    await process.put(EVENTS[1:])
    assert rig.waiting == 2
    assert all(key.startswith("kinesis_failures/year=2026/month=04/day=09/collect-") for key in rig.store.objects)
    await process.put_back()
    rig.comes_back()
    await process.put_back()
    await process.put_back()
    assert sorted(await rig.stream.entries()) == EVENTS
    assert rig.waiting == 0


async def test_a_stream_that_is_down_is_not_asked_for_every_request(rig: Rig) -> None:
    process = rig.process()
    rig.goes_down()
    for _ in range(5):
        await process.put(EVENTS)
        await process.put_back()
    assert rig.stream.puts == 1


async def test_a_stream_that_hangs_is_down(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "PATIENCE_SECONDS", 0.01)
    process = rig.process()
    rig.stream.hangs = True
    await process.put(EVENTS)
    assert (rig.waiting, await rig.stream.entries()) == (1, [])


async def test_what_is_in_neither_place_is_not_promised(rig: Rig) -> None:
    process = rig.process()
    rig.goes_down()
    rig.store.failure = UnavailableError("down, too")
    with pytest.raises(UnavailableError, match="down, too"):
        await process.put(EVENTS)
    assert not rig.waiting


async def test_a_stream_that_lets_nobody_in_is_not_down(rig: Rig) -> None:
    rig.stream.failure = AccessError("denied")
    with pytest.raises(AccessError):
        await rig.process().put(EVENTS)
    assert not rig.store.objects


async def test_the_spool_is_bounded(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "MOST_WAITING", 2)
    process = rig.process()
    rig.goes_down()
    for _ in range(2):
        await process.put(EVENTS)
    with pytest.raises(UnavailableError, match="2 objects wait"):
        await process.put(EVENTS)
    rig.comes_back()
    await process.put_back()
    await process.put(EVENTS)
    assert len(await rig.stream.entries()) == 6


async def test_a_bucket_that_is_down_does_not_keep_events_from_the_stream(rig: Rig) -> None:
    process = rig.process()
    rig.goes_down()
    await process.put(EVENTS[:1])
    rig.comes_back()
    rig.store.failure = UnavailableError("down")
    await process.put_back()  # into the stream, and no mark
    await process.put(EVENTS[1:])
    assert sorted(await rig.stream.entries()) == EVENTS
    rig.store.failure = None
    await process.put_back()  # once more: the same event ids, which the window drops
    assert sorted(await rig.stream.entries()) == [EVENTS[0], *EVENTS]
    assert rig.waiting == 0


async def test_what_a_killed_process_left_is_put_back_by_another_once(rig: Rig) -> None:
    rig.goes_down()
    await rig.process().put(EVENTS)
    rig.comes_back()
    heirs = [rig.process(), rig.process()]
    for heir in heirs:
        await heir.put_back()
    assert await rig.stream.entries() == []  # its owner may still live
    for _ in range(3):
        rig.clock.advance(LOOK_SECONDS)
        for heir in heirs:
            await heir.put_back()
    assert await rig.stream.entries() == EVENTS


async def test_the_poller_s_pages_and_what_is_none_are_left_alone(rig: Rig) -> None:
    page = quarantine_object(Quarantine.KINESIS_FAILURES, rig.clock.now(), "api-0123-1775721600.000-0000000000")
    broken = quarantine_object(Quarantine.KINESIS_FAILURES, rig.clock.now(), "collect-0123-1775721600.000-0000000001")
    for key in (page, broken):
        await rig.store.put(key, b"none")
    rig.goes_down()
    await rig.process().put(EVENTS)
    rig.comes_back()
    heir = rig.process()
    await heir.put_back()
    rig.clock.advance(LOOK_SECONDS)
    await heir.put_back()
    assert await rig.stream.entries() == EVENTS
    assert {page, broken} <= rig.store.objects.keys()
    assert len(rig.store.objects) == 4  # these two, and what was put back with its mark
