"""A replay of dead letters: once, whatever happens to it."""

import re

from headrace.events.enrich import Enricher
from headrace.events.parse import Policy
from headrace.events.repairs import parse_repairs
from headrace.events.transform import Transformer
from headrace.lake.layout import Quarantine
from tests.unit.jobs.replay.dead_letters import (
    DAY,
    HOUR,
    LETTERS,
    LINEAGE,
    QUANTITY,
    World,
    event,
    letter,
    meant,
    numbers,
)


async def test_a_quarantined_hour_replayed_twice_adds_its_repaired_events_once() -> None:
    world = World()
    await world.quarantine(*LETTERS)
    report = await world.replay(meant("wrong_type"), QUANTITY)
    assert numbers(report) == {
        "objects": 1,
        "lines": 4,
        "rows": 3,
        "dead_letters": 1,
        "duplicates": 0,
        "already": 0,
    }
    assert report.reasons == {"wrong_type": 1}
    assert world.ids() == ["e1", "e2", "e5"]
    assert [row["quantity"] for row in world.rows()] == [1, 2, 5]
    assert await world.views() == 3

    before = dict(world.store.objects)
    again = await world.replay(meant("wrong_type"), QUANTITY)
    assert numbers(again) == {
        "objects": 1,
        "lines": 4,
        "rows": 0,
        "dead_letters": 0,
        "duplicates": 0,
        "already": 4,
    }
    assert world.store.objects == before
    assert await world.views() == 3


async def test_a_line_that_fails_again_is_a_dead_letter_that_leads_back_and_keeps_what_came() -> None:
    world = World()
    key = await world.quarantine(*LETTERS)
    await world.replay(meant("wrong_type"), QUANTITY)
    [failed] = world.again()
    assert failed.position == f"{key}:3"
    assert (failed.reason, failed.stage, failed.seen_at) == ("wrong_type", "transformer", DAY + HOUR)
    assert failed.payload == LETTERS[2].payload


async def test_other_repairs_find_the_lines_that_failed_in_the_next_round() -> None:
    world = World()
    await world.quarantine(*LETTERS)
    await world.replay(meant("wrong_type"), QUANTITY)
    other = parse_repairs(sets=["quantity=3"])
    first = await world.replay(meant("wrong_type"), other)
    assert numbers(first)["already"] == 4
    assert world.ids() == ["e1", "e2", "e5"]
    for rows in (1, 0):
        second = await world.replay(meant("wrong_type", turn=2), other)
        assert numbers(second)["rows"] == rows
        assert world.ids() == ["e1", "e2", "e3", "e5"]


async def test_each_reason_of_an_object_is_replayed_by_itself() -> None:
    world = World()
    await world.quarantine(*LETTERS)
    await world.replay(meant("wrong_type"), QUANTITY)
    await world.replay(meant("missing_field"), parse_repairs(sets=["session_id=s"]))
    assert world.ids() == ["e1", "e2", "e4", "e5"]


async def test_what_was_only_too_early_needs_no_repair() -> None:
    world = World()
    seen_at = DAY - 24 * HOUR
    ahead, wrong = (
        letter(event(n), reason=name, seen_at=seen_at) for n, name in enumerate(["too_far_ahead", "wrong_type"])
    )
    await world.quarantine(ahead, wrong)
    report = await world.replay(meant(start=seen_at))
    assert world.ids() == ["e0"]
    assert report.reasons == {"too_far_ahead": 1}
    await world.replay(meant(start=seen_at, turn=2))
    assert world.ids() == ["e0", "e1"]


async def test_nothing_becomes_too_old_by_waiting_among_the_dead_letters() -> None:
    world = World()
    await world.quarantine(letter(event(1, timestamp=DAY + HOUR - 30)), letter(event(2, timestamp=DAY + HOUR - 90)))
    strict = Transformer(Policy(max_age=60.0), Enricher(), anonymous_key=b"key")
    report = await world.replay(by=world.replayer(transform=strict))
    assert world.ids() == ["e1"]
    assert report.reasons == {"too_old": 1}


async def test_a_repeat_within_an_object_is_one_row() -> None:
    world = World()
    await world.quarantine(*[letter(event(1, quantity="1"))] * 3)
    report = await world.replay(repairs=QUANTITY)
    assert (numbers(report)["rows"], numbers(report)["duplicates"]) == (1, 2)


async def test_an_event_without_an_id_gets_the_same_one_whoever_replays_it() -> None:
    ids = []
    for _ in range(2):
        world = World()
        await world.quarantine(letter(event(1, event_id=None)))
        await world.replay()
        ids += world.ids()
    assert ids[0] == ids[1]
    assert re.fullmatch(LINEAGE + r"-r1-[0-9a-f]{16}-1", ids[0])


async def test_events_of_the_poller_land_as_the_poller_would_have_sent_them() -> None:
    world = World()
    payload = event(1, quantity="1", ip="192.0.2.17", ingest_time=1, schema_version=99, note="extra")
    await world.quarantine(letter(payload, stage="api_consumer", source="shop.example"), prefix=Quarantine.FAILED)
    await world.replay(repairs=QUANTITY)
    [row] = world.rows()
    assert (row["source"], row["ip"], row["schema_version"]) == ("shop.example", "192.0.2.0", 1)
    assert row["ingest_time"].timestamp() == DAY + HOUR
    assert [key for key in world.store.objects if key.startswith("extra_columns/")]
