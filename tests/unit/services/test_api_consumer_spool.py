"""While the stream is down pages wait in the bucket, and go back in order before any new one."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from headrace.clock import ManualClock, SystemClock
from headrace.errors import RequestError, UnavailableError
from headrace.runtime import Shutdown
from headrace.spool import from_body, to_body
from headrace.stream.ports import Entry
from services.api_consumer.cursor import Cursor, Spool
from services.api_consumer.outlet import PROBE_SECONDS, spool_key
from services.api_consumer.ports import Page
from tests.unit.services.api_consumer_rig import Faulty, Rig, Script, event

FOLDER = "kinesis_failures/year=2026/month=04/day=09/"


class Outage:
    """A stream that can be taken down."""

    def __init__(self, rig: Rig, *, down: bool = True) -> None:
        self.down = down
        self._rig = rig

    def ends(self) -> None:
        self.down = False
        self._rig.clock.advance(10 * PROBE_SECONDS)  # type: ignore[attr-defined]

    async def put(self, entries: Sequence[Entry]) -> None:
        if self.down:
            raise UnavailableError("down")
        await self._rig.stream.put(entries)


async def spooled(rig: Rig) -> list[str]:
    return [item.key async for item in rig.store.list("kinesis_failures/")]


async def products(rig: Rig) -> list[str]:
    return [found["product_id"] for found in await rig.events()]


async def test_pages_are_spooled_while_the_stream_is_down_and_put_back_in_order_before_new_ones() -> None:
    rig = Rig()
    outage = Outage(rig)
    seen: list[Any] = []

    def look() -> None:
        seen.append((rig.metric("spooled_pages"), len(rig.store._objects)))

    source = Script([event(1)], [event(2), b"bad"], [event(3)], look, outage.ends, [event(4)], [event(5)])
    await rig.poller(producer=outage).run([source])
    assert await products(rig) == ["1", "2", "3", "4", "5"]
    keys = await spooled(rig)
    assert [key.rpartition("-")[2] for key in keys] == [f"{n:010}.jsonl.gz" for n in range(3)]
    assert all(key.startswith(FOLDER + "test-") for key in keys)
    assert (await rig.cursor())["totals"] == {
        "polled": 6, "accepted": 5, "extra_columns": 0, "rejected": 1, "put": 5, "spooled": 0,
    }  # fmt: skip
    assert "spool" not in await rig.cursor()
    assert rig.metric("spooled_pages") == 0
    assert seen[0][0] >= 1
    assert ("stream_unavailable", 1, keys[0]) in rig.reports


async def test_the_stream_is_given_its_time_before_it_is_given_up() -> None:
    rig = Rig(spool_after=30.0)
    failing = Faulty(rig.stream, "put", [UnavailableError("down")] * 30)
    await rig.poller(producer=failing).run([Script([event(1)])])
    assert await spooled(rig) == []
    assert rig.clock.monotonic() == 30.0


async def test_accepted_is_put_plus_spooled_at_every_move_of_the_cursor() -> None:
    rig = Rig(spool_after=0.0)
    outage = Outage(rig, down=False)
    moves: list[dict[str, Any]] = []
    put = rig.state.put

    async def watch(key: str, value: dict[str, Any], *, expected: int) -> int:
        moves.append(value)
        return await put(key, value, expected=expected)

    rig.state.put = watch  # type: ignore[method-assign]

    def starts() -> None:
        outage.down = True

    await rig.poller(producer=outage).run(
        [Script([event(1)], starts, [event(2), b"bad"], [event(3), event(4)], outage.ends, [event(5)])]
    )
    totals = [move["totals"] for move in moves]
    assert all(total["accepted"] == total["put"] + total["spooled"] for total in totals)
    assert max(total["spooled"] for total in totals) == 3
    assert [move["exhausted"] for move in moves].count(True) == 1
    assert moves[-1]["exhausted"]


async def test_a_page_put_back_in_another_hour_leaves_every_hour_in_balance() -> None:
    rig = Rig(spool_after=0.0)
    outage = Outage(rig)

    def an_hour_later() -> None:
        assert isinstance(rig.clock, ManualClock)
        rig.clock.advance(3600.0)
        outage.ends()

    await rig.poller(producer=outage).run([Script([event(1), b"bad"], an_hour_later, [event(2)])])
    assert (await rig.cursor())["hours"] == {
        "493256": {"polled": 2, "accepted": 1, "rejected": 1, "spooled": 1},
        "493257": {"polled": 1, "accepted": 1, "put": 2, "spooled": -1},
    }


async def test_a_source_is_exhausted_only_when_its_spool_is_empty() -> None:
    rig = Rig(spool_after=0.0)
    outage = Outage(rig)
    running = asyncio.create_task(rig.poller(producer=outage).run([Script([event(1)], [event(2)])]))
    async with asyncio.timeout(5):
        while len(await spooled(rig)) < 2 or (await rig.cursor())["cursor"] != 2:
            await asyncio.sleep(0)
        assert not (await rig.cursor())["exhausted"]
        assert (await rig.cursor())["spool"]["written"] == 2
        outage.ends()
        await running
    assert (await rig.cursor())["exhausted"]
    assert await products(rig) == ["1", "2"]


async def test_a_drain_does_not_wait_for_the_stream_and_the_next_process_puts_back_first() -> None:
    rig = Rig(spool_after=0.0)
    outage = Outage(rig)

    await rig.poller(producer=outage).run([Script([event(1)], rig.shutdown.request, [event(2)])])
    before = await rig.cursor()
    assert before["totals"]["spooled"] == 1
    rig.shutdown = Shutdown(5.0, rig.clock)
    outage.ends()
    await rig.poller(producer=outage).run([Script([event(1)], [event(2)], [event(3)])])
    assert await products(rig) == ["1", "2", "3"]
    assert (await rig.cursor())["totals"]["put"] == 3


@pytest.mark.parametrize("calls", range(1, 9))
@pytest.mark.parametrize("broken", ["store", "state"])
@pytest.mark.parametrize("after", [False, True])
async def test_a_crash_at_any_write_loses_no_page_and_no_order(calls: int, broken: str, after: bool) -> None:
    rig = Rig(spool_after=0.0)
    outage = Outage(rig)
    pages: list[Any] = [[event(1)], [event(2)], outage.ends, [event(3)]]
    await Cursor.load(rig.state, "test")

    class Crashing:
        def __init__(self, adapter: Any) -> None:
            self._adapter, self._left = adapter, calls

        def __getattr__(self, name: str) -> Any:
            return getattr(self._adapter, name)

        async def put(self, *args: Any, **kwargs: Any) -> Any:
            self._left -= 1
            if self._left == 0 and not after:
                raise RequestError("crash")
            result = await self._adapter.put(*args, **kwargs)
            if self._left == 0:
                raise RequestError("crash")
            return result

    adapters: dict[str, Any] = {broken: Crashing({"store": rig.store, "state": rig.state}[broken])}
    try:
        await rig.poller(producer=outage, **adapters).run([Script(*pages)])
    except RequestError:
        outage.ends()
    await rig.poller(producer=outage).run([Script(*pages)])
    order = list(dict.fromkeys(await products(rig)))  # a repeat is allowed: it has the same id
    assert order == ["1", "2", "3"]
    assert len({found["event_id"] for found in await rig.events()}) == 3
    totals = (await rig.cursor())["totals"]
    assert (totals["accepted"], totals["put"], totals["spooled"]) == (3, 3, 0)


async def test_a_stream_that_stays_down_is_asked_now_and_then_and_not_by_every_page() -> None:
    rig = Rig(spool_after=0.0)
    tries = 0

    class Down:
        async def put(self, entries: Sequence[Entry]) -> None:
            nonlocal tries
            tries += 1
            raise UnavailableError("down")

    pages = [[event(n)] for n in range(50)]
    await rig.poller(producer=Down()).run([Script(*pages, rig.shutdown.request)])
    assert tries == 1
    assert (await rig.cursor())["spool"]["written"] >= 49


async def test_while_the_bucket_is_down_too_the_page_waits() -> None:
    rig = Rig(spool_after=0.0)
    store = Faulty(rig.store, "put", [UnavailableError("down")] * 3)
    outage = Outage(rig)
    await rig.poller(producer=outage, store=store).run([Script([event(1)], outage.ends, [event(2)])])
    assert await products(rig) == ["1", "2"]
    assert rig.clock.monotonic() >= 3.0


async def test_a_drain_in_mid_outage_ends_by_its_deadline() -> None:
    rig = Rig(clock=SystemClock(), spool_after=0.0)
    rig.shutdown = Shutdown(0.2, rig.clock)

    class Endless:
        source_id, name = "test", "endless"

        async def pages(self, position: Any) -> Any:
            yield Page(payloads=[event(1)], place="1", after=1)
            rig.shutdown.request()
            await asyncio.Event().wait()

    async with asyncio.timeout(5):
        await rig.poller(producer=Outage(rig)).run([Endless()])
    assert (await rig.cursor())["totals"]["spooled"] == 1


def test_entries_come_back_with_their_keys_byte_for_byte() -> None:
    entries = [Entry(b"\xff\x00", "ключ"), Entry(b"{}", "")]
    assert from_body(to_body(entries, stage="test", position="p", now=1.0)) == entries


def test_keys_are_in_order_of_page_and_outages_share_none() -> None:
    first, later = Spool(since=1_775_721_600.0), Spool(since=1_775_721_600.5)
    keys = [spool_key("s", first, n) for n in (0, 9, 10, 99_999)] + [spool_key("s", later, 0)]
    assert keys == sorted(keys)
    assert len(set(keys)) == 5
