"""A replay of dead letters: once, whatever happens to it."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from functools import partial

import pytest

from headrace.events.enrich import Enricher
from headrace.events.parse import Policy
from headrace.events.repairs import parse_repairs
from headrace.events.transform import Transformer
from headrace.lake.layout import Quarantine
from headrace.leases.memory import MemoryLeaseStore
from headrace.leases.model import Intent, Lease
from jobs.replay.lots import read_lots
from tests.unit.jobs.replay.dead_letters import (
    DAY,
    HOUR,
    LINEAGE,
    Kill,
    KilledError,
    World,
    event,
    letter,
    meant,
    numbers,
)

QUANTITY = parse_repairs(casts=["quantity=int"])
"""Mends the first three of `LETTERS`."""
LETTERS = (
    letter(event(1, quantity="1")),
    letter(event(2, quantity="2")),
    letter(event(3, quantity="x")),
    letter(event(4, session_id=""), reason="missing_field"),
    letter(event(5, quantity="5", timestamp=int(DAY) + 7200)),
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


async def kills() -> int:
    world, kill = World(), Kill()
    await world.quarantine(*LETTERS)
    await world.replay(meant("wrong_type"), by=world.replayer(QUANTITY, kill=kill, failover=60))
    return kill.calls


async def test_killed_before_any_call_and_run_again_it_finishes_exactly_once() -> None:
    calls = await kills()
    assert calls > 20
    for at in range(1, calls + 1):
        world = World()
        await world.quarantine(*LETTERS)
        victim = world.replayer(QUANTITY, kill=Kill(at=at), owner="victim", failover=60)
        with pytest.raises(KilledError):
            await world.replay(meant("wrong_type"), by=victim)
        report = await world.replay(meant("wrong_type"), QUANTITY)
        assert not report.problems, at
        assert world.ids() == ["e1", "e2", "e5"], at
        assert await world.views() == 3, at
        assert len(world.again()) == 1, at
        before = dict(world.store.objects)
        assert numbers(await world.replay(meant("wrong_type"), QUANTITY))["already"] == 4, at
        assert world.store.objects == before, at


async def test_what_an_earlier_run_decided_stands_whatever_the_next_one_repairs() -> None:
    calls = await kills()
    for at in range(1, calls + 1, 3):
        world = World()
        await world.quarantine(*LETTERS)
        victim = world.replayer(QUANTITY, kill=Kill(at=at), owner="victim", failover=60)
        with pytest.raises(KilledError):
            await world.replay(meant("wrong_type"), by=victim)
        decided = any(lease.intent or lease.batch_no for lease in await world.leases.list(""))
        await world.replay(meant("wrong_type"), parse_repairs(sets=["quantity=9"]))
        assert world.ids() in (["e1", "e2", "e5"], ["e1", "e2", "e3", "e5"]), at
        assert world.rows()[0]["quantity"] == (1 if decided else 9), at


async def test_two_at_once_share_the_work_and_do_it_once() -> None:
    world = World()
    for n in range(6):
        await world.quarantine(*(letter(event(10 * n + i, quantity="1")) for i in range(3)), name=f"o{n}")
    reports = await asyncio.gather(
        *(world.replay(by=world.replayer(QUANTITY, owner=owner, failover=1)) for owner in ("one", "other"))
    )
    assert sum(numbers(report)["rows"] for report in reports) == 18
    assert all(numbers(report)["lines"] == 18 for report in reports)
    assert len(world.ids()) == len(set(world.ids())) == 18
    assert await world.views() == 18


class Interrupted(MemoryLeaseStore):
    """A table whose first `declare` is held up by something else."""

    async def declare(self, held: Lease, intent: Intent) -> Lease:
        meanwhile, self.meanwhile = self.meanwhile, nothing
        await meanwhile()
        return await super().declare(held, intent)

    meanwhile: Callable[[], Awaitable[object]]


async def nothing() -> None:
    """What holds up nobody."""


async def test_a_replay_that_slept_and_was_overtaken_adds_nothing_to_what_the_other_did() -> None:
    leases = Interrupted()
    world = World(leases=leases)
    await world.quarantine(*LETTERS)
    leases.meanwhile = partial(world.replay, meant("wrong_type"), by=world.replayer(QUANTITY, owner="other"))
    sleeper = world.replayer(QUANTITY, failover=60)
    report = await world.replay(meant("wrong_type"), by=sleeper)
    assert numbers(report)["already"] == 4
    assert world.ids() == ["e1", "e2", "e5"]
    assert await world.views() == 3
    assert len(world.again()) == 1


class Late(MemoryLeaseStore):
    """A table that lets go of a row in the moment in which its last owner has ended it."""

    async def take(self, seen: Lease, owner: str) -> Lease:
        return await self.end(await super().take(seen, owner), caught_up_at=None)


async def test_an_object_that_is_done_in_the_moment_it_is_taken_is_left_alone() -> None:
    world = World(leases=Late())
    await world.quarantine(*LETTERS)
    assert numbers(await world.replay(repairs=QUANTITY))["already"] == 5
    assert world.ids() == []


async def test_a_row_that_was_lost_is_found_again_in_the_manifests() -> None:
    world = World()
    await world.quarantine(*LETTERS)
    await world.replay(meant("wrong_type"), QUANTITY)
    forgetful = World(store=world.store, counters=world.counters)
    report = await forgetful.replay(meant("wrong_type"), QUANTITY)
    assert numbers(report) == {
        "objects": 1,
        "lines": 4,
        "rows": 0,
        "dead_letters": 0,
        "duplicates": 0,
        "already": 4,
    }
    assert world.ids() == ["e1", "e2", "e5"]
    assert await world.views() == 3


async def test_an_object_that_cannot_go_on_is_told_and_the_others_are_replayed() -> None:
    world = World()
    key = await world.quarantine(letter(event(1)), name="a")
    await world.quarantine(letter(event(2)), name="b")
    [lot] = await read_lots(world.store, key, meant())
    await world.leases.create([Lease(key=lot.lease_key)])
    victim = world.replayer(kill=Kill(at=1, method="complete"), owner="victim", failover=60)
    with pytest.raises(KilledError):
        await victim.replay(lot)
    [row] = await world.leases.list("")
    assert row.intent is not None
    world.store.expire_uploads()
    report = await world.replay()
    assert [problem.partition(":")[0] for problem in report.problems] == [key]
    assert world.ids() == ["e2"]
