import itertools
from collections.abc import Sequence

from headrace.clock import ManualClock
from headrace.runtime import Shutdown
from headrace.stream.memory import MemoryStream
from headrace.stream.ports import Entry, TrimHorizon
from jobs.simulate.faults import FaultProfile
from jobs.simulate.shoppers import Item
from jobs.simulate.stream import PUT_EVENTS, send
from jobs.simulate.timeline import Timeline


def some_items(clock: ManualClock, count: int, rate: float = 100) -> list[Item]:
    timeline = Timeline(seed=7, rate=rate, faults=FaultProfile())
    return list(itertools.islice(timeline.items(int(clock.now() * 1000)), count))


class WatchedStream(MemoryStream):
    """Notes how early each event was put, in seconds."""

    def __init__(self, clock: ManualClock, due: dict[bytes, float]) -> None:
        super().__init__(clock)
        self.clock = clock
        self.due = due
        self.delays: list[float] = []

    async def put(self, entries: Sequence[Entry]) -> None:
        self.delays += [self.clock.now() - self.due[entry.data] for entry in entries]
        await super().put(entries)


async def test_at_full_speed_all_is_put_at_once_in_order() -> None:
    clock = ManualClock()
    items = some_items(clock, PUT_EVENTS + 10)
    stream, steps = MemoryStream(clock), list[int]()
    sent = await send(
        iter(items), stream, paced=False, on_sent=steps.append, clock=clock, shutdown=Shutdown(1.0, clock)
    )
    records = (await stream.open((await stream.shards())[0].shard_id, TrimHorizon()).read()).records
    assert [(record.data, record.partition_key) for record in records] == [(item.data, item.key) for item in items]
    assert steps == [PUT_EVENTS, 10]
    assert (sent.events, sent.bytes) == (len(items), sum(len(item.data) for item in items))


async def test_at_its_pace_each_event_is_put_when_its_time_has_come() -> None:
    clock = ManualClock()
    items = some_items(clock, 500)
    stream = WatchedStream(clock, {item.data: item.at_ms / 1000 for item in items})
    shutdown = Shutdown(1.0, clock)
    sent = await send(iter(items), stream, paced=True, on_sent=lambda _: None, clock=clock, shutdown=shutdown)
    assert len(stream.delays) == sent.events == 500
    assert min(stream.delays) >= 0
    assert max(stream.delays) < 0.2


async def test_a_stop_ends_an_endless_run_after_the_put_under_way() -> None:
    clock = ManualClock()
    items = Timeline(seed=7, rate=100, faults=FaultProfile()).items(int(clock.now() * 1000))
    shutdown = Shutdown(1.0, clock)
    sent = await send(
        items,
        MemoryStream(clock),
        paced=True,
        on_sent=lambda _: shutdown.request(),
        clock=clock,
        shutdown=shutdown,
    )
    assert 0 < sent.events < 200
