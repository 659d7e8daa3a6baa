"""Which dead letters a replay means, and how they are told apart."""

import gzip

import pytest

from headrace.errors import HaltedError
from headrace.lake.layout import Quarantine, quarantine_object
from jobs.replay.lots import Selection, find_objects, read_lots, round_of
from tests.unit.jobs.replay.dead_letters import DAY, HOUR, LINEAGE, World, event, letter, meant


async def test_a_lot_is_what_is_alike_in_one_object_and_keeps_the_lines_numbers() -> None:
    world = World()
    key = await world.quarantine(
        letter(event(1)), letter(event(2), reason="too_old"), letter(event(3)), letter(event(4), stage="api_consumer")
    )
    lots = await read_lots(world.store, key, meant())
    assert [(lot.reason, lot.stage, [int(record.sequence_number) for record in lot.records]) for lot in lots] == [
        ("wrong_type", "transformer", [1, 3]),
        ("too_old", "transformer", [2]),
        ("wrong_type", "api_consumer", [4]),
    ]
    assert len({lot.shard_id for lot in lots}) == 3
    assert [lot.shard_id for lot in await read_lots(world.store, key, meant())] == [lot.shard_id for lot in lots]
    assert [lot.reason for lot in await read_lots(world.store, key, meant("too_old"))] == ["too_old"]


async def test_a_lot_belongs_whole_to_the_moment_at_which_its_first_line_was_seen() -> None:
    world = World()
    key = await world.quarantine(letter(event(1), seen_at=DAY + HOUR), letter(event(2), seen_at=DAY + 2 * HOUR))
    hours = [meant(start=DAY + hour * HOUR, end=DAY + (hour + 1) * HOUR) for hour in range(4)]
    assert [len(await read_lots(world.store, key, hour)) for hour in hours] == [0, 1, 0, 0]
    [lot] = await read_lots(world.store, key, hours[1])
    assert len(lot.records) == 2


async def found(world: World, selection: Selection) -> list[str]:
    return await find_objects(world.store, selection, LINEAGE)


async def test_objects_of_the_day_and_of_the_day_before_are_looked_at() -> None:
    world = World()
    days = [await world.quarantine(at=DAY + n * 24 * HOUR, name="o") for n in range(-2, 3)]
    failed = await world.quarantine(prefix=Quarantine.FAILED)
    await world.quarantine(prefix=Quarantine.EXTRA_COLUMNS)
    await world.quarantine(prefix=Quarantine.KINESIS_FAILURES)
    assert await found(world, meant(end=DAY + HOUR)) == [failed, *days[1:3]]
    assert await found(world, meant(start=DAY + 24 * HOUR, end=DAY + 48 * HOUR)) == [failed, *days[2:]]


async def test_what_replays_made_is_of_the_next_round_only() -> None:
    world = World()
    shard = "0123456789abcdef"
    by_hand, again, thrice = [
        quarantine_object(Quarantine.FAILED_TRANSFORMATION, DAY, name)
        for name in (
            f"0a1b2c3d-r1-{shard}-0000000000",
            f"{LINEAGE}-r1-{shard}-0000000000",
            f"{LINEAGE}-r2-{shard}-0000000001",
        )
    ]
    assert [round_of(key, LINEAGE) for key in (by_hand, again, thrice)] == [1, 2, 3]
    for key in (by_hand, again, thrice):
        await world.store.put(key, b"")
    assert [await found(world, meant(turn=turn)) for turn in (1, 2, 3)] == [[by_hand], [again], [thrice]]


@pytest.mark.parametrize(
    "body",
    [
        b"plain",
        gzip.compress(b"{}")[:-4],
        gzip.compress(b"{}"),
        gzip.compress(b"\xff"),
        gzip.compress(b'{"reason":"r","detail":"","stage":"s","position":"p","seen_at":1,"payload":"%"}'),
    ],
    ids=["not gzip", "cut off", "no envelope", "not JSON", "not base64"],
)
async def test_what_is_no_object_of_dead_letters_is_named(body: bytes) -> None:
    world = World()
    await world.store.put("failed_records/x", body)
    with pytest.raises(HaltedError, match="failed_records/x"):
        await read_lots(world.store, "failed_records/x", meant())
