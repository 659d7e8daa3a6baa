"""The poller on memory adapters: what is polled is put or quarantined, and only then does the cursor move."""

import asyncio
import base64
import json
from collections.abc import Sequence
from typing import Any

import pytest

from headrace.clock import ManualClock, SystemClock
from headrace.errors import ConflictError, RequestError, StopError, UnavailableError
from headrace.events.mapping import parse_mapping
from headrace.runtime import Shutdown
from headrace.state.sources import Totals
from headrace.stream.ports import Entry
from services.api_consumer.cursor import Cursor
from services.api_consumer.ports import Page, Pages
from tests.unit.services.api_consumer_rig import Faulty, Rig, Script, event


async def test_valid_events_are_put_with_ids_that_a_repeat_gets_again() -> None:
    one, other = Rig(), Rig()
    for rig in (one, other):
        await rig.poller().run([Script([event(1), event(1)], [event(2, event_id="given")])])
    ids = [found["event_id"] for found in await one.events()]
    assert len(set(ids)) == 3
    assert ids[2] == "given"
    assert ids == [found["event_id"] for found in await other.events()]
    assert [found["source"] for found in await one.events()] == ["script"] * 3
    assert await one.cursor() == {
        "cursor": 2, "exhausted": True,
        "totals": {"polled": 3, "accepted": 3, "extra_columns": 0, "rejected": 0, "put": 3, "spooled": 0},
        "hours": {"493256": {"polled": 3, "accepted": 3, "put": 3}},
    }  # fmt: skip


async def test_bad_events_are_kept_with_the_reason_and_harm_no_other() -> None:
    rig = Rig()
    bad = [b"no json", b'{"event_type": "click"}', b'{"a": "\xff"}', b"[" * 100_000, b"x" * (2 << 20)]
    await rig.poller().run([Script([event(1), *bad, event(2)])])
    [envelopes] = await rig.quarantined("failed_records/year=2026/month=04/day=09/")
    assert [base64.b64decode(envelope.payload) for envelope in envelopes] == [*bad[:-1], b""]
    assert [envelope.reason for envelope in envelopes][:2] == ["malformed_json", "missing_field"]
    assert {envelope.stage for envelope in envelopes} == {"api_consumer"}
    assert envelopes[0].position == "script:1:1"
    assert [found["product_id"] for found in await rig.events()] == ["1", "2"]
    assert (await rig.cursor())["totals"] == {
        "polled": 7,
        "accepted": 2,
        "extra_columns": 0,
        "rejected": 5,
        "put": 2,
        "spooled": 0,
    }
    assert rig.metric("records_rejected_total", reason="missing_field") == 1


@pytest.mark.parametrize("more", [{"city": "x" * (1 << 20)}, {"session_id": "x" * 257}])
async def test_an_event_over_the_streams_limits_is_rejected_before_it_is_put(more: dict[str, str]) -> None:
    rig = Rig()
    await rig.poller().run([Script([event(1, **more), event(2)])])
    [[envelope]] = await rig.quarantined("failed_records/")
    assert envelope.reason == "oversized"
    assert [found["product_id"] for found in await rig.events()] == ["2"]


async def test_extra_columns_are_kept_apart_whole_and_the_known_part_goes_on() -> None:
    rig = Rig()
    payload = event(1, colour="red")
    await rig.poller().run([Script([payload, event(2)])])
    [[envelope]] = await rig.quarantined("extra_columns/")
    assert base64.b64decode(envelope.payload) == payload
    assert "colour" not in (await rig.events())[0]
    assert (await rig.cursor())["totals"] == {
        "polled": 2,
        "accepted": 2,
        "extra_columns": 1,
        "rejected": 0,
        "put": 2,
        "spooled": 0,
    }
    assert rig.metric("records_accepted_total", extra_columns="true") == 1
    assert rig.metric("records_accepted_total", extra_columns="false") == 1
    assert rig.metric("records_polled_total") == 2


async def test_with_a_mapping_every_child_counts_and_a_bad_one_is_kept_alone_in_its_parent() -> None:
    mapping = parse_mapping('unnest="events"\n[fields]\nsession_id="s"\nevent_type="t"\ntimestamp="at"\n')
    rig = Rig(mapping=mapping)
    parent = b'{"s": 1, "events": [{"t": "click", "at": 1}, {"t": "BAD", "at": 2}, {"t": "click", "at": 3}]}'
    await rig.poller().run([Script([parent, b"no json", b"[]", b'{"s": 2}'])])
    [envelopes] = await rig.quarantined("failed_records/")
    assert [(found.reason, json.loads(base64.b64decode(found.payload))) for found in envelopes[2:]] == [
        ("invalid_event_type", {"s": 1, "events": [{"t": "BAD", "at": 2}]}), ("missing_field", {"s": 2}),
    ]  # fmt: skip
    assert [found.reason for found in envelopes[:2]] == ["malformed_json", "wrong_type"]
    assert (await rig.cursor())["totals"] == {
        "polled": 6,
        "accepted": 2,
        "extra_columns": 0,
        "rejected": 4,
        "put": 2,
        "spooled": 0,
    }


async def test_a_payload_may_not_claim_a_session_rule_without_a_mapping() -> None:
    rig = Rig()
    await rig.poller().run([Script([event(1, session_rule="gap:30m")])])
    assert await rig.events() == []
    assert (await rig.cursor())["totals"]["rejected"] == 1


async def test_a_finished_source_is_not_polled_again() -> None:
    rig = Rig()
    for _ in range(2):
        await rig.poller().run([Script([event(1)], [event(2)])])
    assert len(await rig.events()) == 2
    assert (await rig.cursor())["totals"]["polled"] == 2


async def test_every_source_has_its_document_before_the_first_page() -> None:
    rig = Rig()
    seen: list[int] = []

    def look() -> None:
        seen.append(len(rig.state._rows))

    await rig.poller().run([Script(look, source_id="a"), Script([event(1)], source_id="b")])
    assert seen == [2]
    assert not (await rig.cursor("a"))["exhausted"]
    assert (await rig.cursor("b"))["exhausted"]


@pytest.mark.parametrize(
    ("broken", "after"),
    [("producer", False), ("producer", True), ("store", False), ("store", True), ("state", False)],
)
async def test_while_the_other_side_is_down_the_poller_waits_and_loses_nothing(broken: str, after: bool) -> None:
    rig = Rig()
    await Cursor.load(rig.state, "test")
    adapter = {"producer": rig.stream, "store": rig.store, "state": rig.state}[broken]
    faulty = Faulty(adapter, "put", [UnavailableError("down")] * 3, after=after)
    await rig.poller(**{broken: faulty}).run([Script([event(1), b"bad"], [event(2), b"bad"])])
    assert {found["product_id"] for found in await rig.events()} == {"1", "2"}
    assert len({found["event_id"] for found in await rig.events()}) == 2
    assert [len(envelopes) for envelopes in await rig.quarantined("failed_records/")] == [1, 1]
    assert (await rig.cursor())["totals"]["polled"] == 4
    assert rig.clock.monotonic() == 3.0


@pytest.mark.parametrize("broken", ["producer", "store", "state"])
async def test_a_crash_anywhere_is_followed_by_the_same_events_and_the_same_objects(broken: str) -> None:
    whole, rig = Rig(), Rig()
    pages = [[event(1), b"bad"], [event(2), event(3, colour="red")]]
    await whole.poller().run([Script(*pages)])
    adapter = {"producer": rig.stream, "store": rig.store, "state": rig.state}[broken]
    crashing = Faulty(adapter, "put", [RequestError("crash")], after=broken != "state")
    await Cursor.load(rig.state, "test")
    with pytest.raises(RequestError):
        await rig.poller(**{broken: crashing}).run([Script(*pages)])
    await rig.poller().run([Script(*pages)])
    assert {found["event_id"] for found in await rig.events()} == {found["event_id"] for found in await whole.events()}
    assert rig.store._objects.keys() == whole.store._objects.keys()
    assert await rig.cursor() == await whole.cursor()


async def test_the_cursor_never_passes_what_is_not_durable() -> None:
    rig = Rig(size=3)

    class Checking:
        async def put(self, entries: Sequence[Entry]) -> None:
            assert (await rig.cursor())["totals"]["put"] <= len(await rig.events())
            await rig.stream.put(entries)

    def check() -> None:
        committed = rig.state._rows["cursor:test"]
        assert json.loads(committed[1])["totals"]["rejected"] <= 3 * len(rig.store._objects)

    pages: list[Any] = []
    for n in range(10):
        pages += [[event(n), b"bad"], check]
    await rig.poller(producer=Checking()).run([Script(*pages)])
    assert len(await rig.events()) == 10
    assert [len(found) for found in await rig.quarantined("failed_records/")].count(3) == 3


async def test_rejected_events_wait_for_company_but_not_for_ever() -> None:
    rig = Rig(size=100)

    def pass_time() -> None:
        assert isinstance(rig.clock, ManualClock)
        rig.clock.advance(6.0)

    await rig.poller().run(
        [Script([b"bad"], pass_time, [b"bad"], pass_time, [b"bad"], [b"bad"], pass_time, [event(1)])]
    )
    assert sorted(len(found) for found in await rig.quarantined("failed_records/")) == [1, 3]
    assert (await rig.cursor())["totals"]["rejected"] == 4


async def test_the_next_page_is_fetched_while_one_is_put() -> None:
    rig = Rig()
    source = Script([event(1)], [event(2)], [event(3)])

    class Slow:
        async def put(self, entries: Sequence[Entry]) -> None:
            first = json.loads(entries[0].data)["product_id"]
            async with asyncio.timeout(5):
                while source.fetched < min(int(first) + 1, 3):
                    await asyncio.sleep(0)
            assert source.fetched <= int(first) + 1
            await rig.stream.put(entries)

    await rig.poller(producer=Slow()).run([source])
    assert [found["product_id"] for found in await rig.events()] == ["1", "2", "3"]


async def test_of_two_pollers_on_one_source_the_second_to_commit_stops() -> None:
    rig = Rig()
    rival = await Cursor.load(rig.state, "test")

    class Overtaken:
        async def put(self, entries: Sequence[Entry]) -> None:
            await rival.advance(1, Totals(polled=1, accepted=1, put=1), exhausted=False, now=0.0)
            await rig.stream.put(entries)

    with pytest.raises(ConflictError, match="another poller works on the same source"):
        await rig.poller(producer=Overtaken()).run([Script([event(1)], [event(2)])])
    assert (await rig.cursor())["cursor"] == 1


async def test_a_source_that_breaks_keeps_what_came_before_and_is_not_exhausted() -> None:
    rig = Rig(size=100)
    with pytest.raises(StopError, match="damaged"):
        await rig.poller().run([Script([event(1), b"bad"], StopError("damaged"))])
    assert await rig.cursor() == {
        "cursor": 1, "exhausted": False,
        "totals": {"polled": 2, "accepted": 1, "extra_columns": 0, "rejected": 1, "put": 1, "spooled": 0},
        "hours": {"493256": {"polled": 2, "accepted": 1, "rejected": 1, "put": 1}},
    }  # fmt: skip
    assert len(await rig.quarantined("failed_records/")) == 1


async def test_a_drain_finishes_the_page_in_flight_and_fetches_no_other() -> None:
    rig = Rig(clock=SystemClock(), size=100)

    class Draining:
        async def put(self, entries: Sequence[Entry]) -> None:
            rig.shutdown.request()
            await asyncio.sleep(0)
            await rig.stream.put(entries)

    await rig.poller(producer=Draining()).run([Script([event(1), b"bad"], [event(2)], [event(3)]), Script([event(4)])])
    assert [found["product_id"] for found in await rig.events()] == ["1"]
    assert (await rig.cursor())["cursor"] == 1
    assert len(await rig.quarantined("failed_records/")) == 1


async def test_a_drain_ends_at_its_deadline_even_when_the_stream_hangs() -> None:
    rig = Rig(clock=SystemClock())
    rig.shutdown = Shutdown(0.05, rig.clock)

    class Hanging:
        async def put(self, entries: Sequence[Entry]) -> None:
            rig.shutdown.request()
            await asyncio.Event().wait()

    async with asyncio.timeout(5):
        await rig.poller(producer=Hanging()).run([Script([event(1)])])
    assert (await rig.cursor())["cursor"] is None


async def test_a_drain_does_not_wait_for_a_slow_source() -> None:
    rig = Rig(clock=SystemClock())

    class Endless:
        source_id, name = "endless", "endless"

        async def pages(self, position: Any) -> Pages:
            rig.shutdown.request()
            await asyncio.Event().wait()
            yield Page(payloads=(), place="", after=position)

    async with asyncio.timeout(5):
        await rig.poller().run([Endless()])
