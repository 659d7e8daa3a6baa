"""What a dead letter is turned into before the transformer sees it."""

import json

import pytest

from headrace.events.mapping import parse_mapping
from headrace.events.parse import Reason
from headrace.events.repairs import Repairs, parse_repairs
from headrace.quarantine import Envelope
from jobs.replay.lots import Lot, read_lots
from jobs.replay.mend import Mending
from tests.unit.jobs.replay.dead_letters import DAY, World, event, letter, meant

MAPPING = parse_mapping("""
unnest = "events"
session = "gap:30m"
[fields]
event_type = "kind"
timestamp = "at"
""")


async def lot_of(dead: Envelope) -> Lot:
    world = World()
    [lot] = await read_lots(world.store, await world.quarantine(dead), meant())
    return lot


async def test_what_the_transformer_turned_away_is_given_to_it_as_it_came() -> None:
    lot = await lot_of(letter(event(1, session_rule="gap:30m", ingest_time=5)))
    payload = lot.records[0].data
    assert Mending(repairs=Repairs()).prepare(lot, payload, DAY) == payload


async def test_what_the_poller_turned_away_never_says_what_is_ours_to_say() -> None:
    lot = await lot_of(letter(event(1, ingest_time=5, schema_version=7), stage="api_consumer", source="shop"))
    prepared = Mending(repairs=Repairs()).prepare(lot, lot.records[0].data, DAY)
    assert isinstance(prepared, bytes)
    assert json.loads(prepared) == event(1) | {"source": "shop", "ingest_time": DAY * 1000}
    named = json.dumps(event(1, source="own")).encode()
    assert json.loads(Mending(repairs=Repairs()).prepare(lot, named, DAY))["source"] == "own"


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"{", Reason.MALFORMED_JSON),
        (b"[]", Reason.WRONG_TYPE),
        (b"\xff", Reason.MALFORMED_JSON),
        (b'{"a":"\xff"}', Reason.NOT_UTF8),
        (b"[" * 100_000, Reason.TOO_DEEP),
        (json.dumps(event(1, session_rule="gap:30m")).encode(), Reason.WRONG_TYPE),
    ],
)
async def test_what_the_poller_would_turn_away_again_stays_with_its_reason(payload: bytes, reason: Reason) -> None:
    lot = await lot_of(letter(payload, stage="api_consumer"))
    prepared = Mending(repairs=Repairs()).prepare(lot, payload, DAY)
    assert not isinstance(prepared, bytes)
    assert prepared[0] is reason


async def test_repairs_come_before_the_mapping() -> None:
    payload = json.dumps({"events": [{"kind": "click", "time": 5}]}).encode()
    lot = await lot_of(letter(payload, stage="api_consumer"))
    mending = Mending(repairs=parse_repairs(renames=["events.0.time=events.0.at"]), mapping=MAPPING)
    prepared = mending.prepare(lot, payload, DAY)
    assert isinstance(prepared, bytes)
    assert json.loads(prepared) == {
        "event_type": "click", "timestamp": 5, "session_rule": "gap:30m", "ingest_time": DAY * 1000,
    }  # fmt: skip


async def test_a_line_that_a_mapping_makes_two_events_of_stays_a_dead_letter() -> None:
    payload = json.dumps({"events": [{"kind": "click", "at": 5}] * 2}).encode()
    lot = await lot_of(letter(payload, stage="api_consumer"))
    prepared = Mending(repairs=Repairs(), mapping=MAPPING).prepare(lot, payload, DAY)
    assert prepared == (Reason.WRONG_TYPE, "the mapping makes 2 events of it")


async def test_a_payload_that_was_too_large_to_be_kept_stays_a_dead_letter() -> None:
    lot = await lot_of(letter(b"x" * (1 << 20) + b"x", reason="oversized"))
    assert lot.records[0].data == b""
    assert Mending(repairs=Repairs()).prepare(lot, b"", DAY) == (Reason.OVERSIZED, "payload not kept")
