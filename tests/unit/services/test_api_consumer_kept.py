"""What is kept in objects: rejected events, and accepted ones as they came, under keys that a repeat writes again."""

import gzip
import json
from typing import Any

import pytest

from headrace.clock import ManualClock
from headrace.errors import RequestError
from headrace.events.mapping import parse_mapping
from tests.unit.services.api_consumer_rig import Faulty, Rig, Script, event

BEFORE_MIDNIGHT = 1_775_779_190.0
"""2026-04-09T23:59:50Z."""


async def archived(rig: Rig) -> dict[str, list[bytes]]:
    return {
        item.key: gzip.decompress(await rig.store.get(item.key)).splitlines() async for item in rig.store.list("raw/")
    }


async def test_accepted_events_are_archived_as_they_came_before_the_cursor_moves() -> None:
    rig = Rig(size=2, keep_originals=True)
    lines = [event(1), event(2, colour="red"), event(3)]
    spanning = b'{\n "session_id": "s",\r\n "event_type": "click", "timestamp": 1775700000 }'

    def check() -> None:
        committed = json.loads(rig.state._rows["cursor:test"][1])["totals"]["accepted"]
        kept = [key for key in rig.store._objects if key.startswith("raw/")]
        assert (committed > 0) == bool(kept)

    await rig.poller().run([Script(lines[:1], check, [b"bad", *lines[1:]], check, [spanning])])
    found = await archived(rig)
    assert sorted(line for lines in found.values() for line in lines) == sorted(
        [*lines, b'{"session_id":"s","event_type":"click","timestamp":1775700000}']
    )
    assert all(key.startswith("raw/events/year=2026/month=04/day=09/hour=08/minute=00/") for key in found)
    assert all(key.endswith(".jsonl.gz") for key in found)


async def test_without_the_setting_nothing_is_archived() -> None:
    rig = Rig()
    await rig.poller().run([Script([event(1)])])
    assert await archived(rig) == {}


async def test_the_archive_has_the_foreign_event_and_of_a_parent_the_accepted_child_alone() -> None:
    mapping = parse_mapping('unnest="events"\n[fields]\nsession_id="s"\nevent_type="t"\ntimestamp="at"\n')
    rig = Rig(mapping=mapping, keep_originals=True)
    await rig.poller().run([Script([b'{"s": 1, "events": [{"t": "click", "at": 1}, {"t": "BAD", "at": 2}]}'])])
    [[line]] = (await archived(rig)).values()
    assert json.loads(line) == {"s": 1, "events": [{"t": "click", "at": 1}]}


@pytest.mark.parametrize("broken", ["store", "state"])
async def test_a_repeat_after_midnight_replaces_the_objects_of_the_day_before(broken: str) -> None:
    clock = ManualClock(BEFORE_MIDNIGHT)
    rig = Rig(clock=clock, keep_originals=True)
    pages: list[Any] = [[event(1), b"bad", event(2, colour="red")]]
    # the third write of a run's state moves the cursor: document, pinned moment, cursor
    adapter = {"store": rig.store, "state": rig.state}[broken]
    calls = 0

    class LastFails:
        def __getattr__(self, name: str) -> Any:
            return getattr(adapter, name)

        async def put(self, *args: Any, **kwargs: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == 3:
                raise RequestError("crash")
            return await adapter.put(*args, **kwargs)

    with pytest.raises(RequestError):
        await rig.poller(**{broken: LastFails()}).run([Script(*pages)])
    clock.advance(60.0)
    await rig.poller().run([Script(*pages), Script([b"bad"], source_id="other")])
    keys = sorted(rig.store._objects)
    assert [key.split("day=")[0] for key in keys] == [
        "extra_columns/year=2026/month=04/",
        "failed_records/year=2026/month=04/",
        "failed_records/year=2026/month=04/",
        "raw/events/year=2026/month=04/",
    ]
    assert [key.partition("day=")[2][:2] for key in keys] == ["09", "09", "10", "09"]
    assert "pinned_at" not in await rig.cursor()


async def test_rejected_events_are_reported_with_counts_and_a_key_once_they_are_durable() -> None:
    rig = Rig(size=10)
    failing = Faulty(rig.state, "put", [])
    await rig.poller(state=failing).run([Script([b"bad", b"bad", b'{"event_type": "click"}', event(1, colour="red")])])
    [key] = [key for key in rig.store._objects if key.startswith("failed_records/")]
    assert sorted(rig.reports) == [("malformed_json", 2, key), ("missing_field", 1, key)]
