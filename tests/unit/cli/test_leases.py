"""What `headrace leases` shows and decides, on memory adapters."""

import hashlib
from dataclasses import replace

import pytest
import typer

from cli.leases import listing, release, reset
from cli.leases.desk import confirmed, pick
from headrace.catalog.results import Value
from headrace.delivery.manifest import encode, intent_of, manifest_key
from headrace.delivery.reset import Move, link
from headrace.lake.memory import MemoryStore
from headrace.leases.memory import MemoryLeaseStore
from headrace.leases.model import LATEST, SHARD_END, TRIM_HORIZON, Lease, LeaseKey, lease_key
from headrace.stream.ports import AtTimestamp, ShardId
from tests.unit.cli.leases_desk import desk_of, rows_of
from tests.unit.delivery.fleet_world import World, event

NOW = 1_775_700_000.0


def lease(n: int, **values: object) -> Lease:
    return replace(Lease(key=LeaseKey(f"1:shop:2:shardId-{n}")), **values)  # type: ignore[arg-type]


def shown(leases: list[Lease], pending: dict[LeaseKey, listing.Pending] | None = None) -> list[dict[str, Value]]:
    names = [column.name for column in listing.COLUMNS]
    return [dict(zip(names, row, strict=True)) for row in listing.rows_of(leases, pending or {}, NOW)]


def test_a_row_says_who_has_the_shard_and_how_far_it_is() -> None:
    [row] = shown([lease(1, owner="w", epoch=3, checkpoint="9" * 56, batch_no=7, complete_through=NOW - 2.5)])
    assert row == {
        "shard": "shardId-1", "state": "owned", "owner": "w", "checkpoint": "9" * 56, "behind_seconds": 2.5,
        "batch_no": 7, "epoch": 3, "pending_batch": None, "pending_seconds": None, "claim": None, "leaving": False,
        "parents": "", "stream": "1:shop:2",
    }  # fmt: skip


def test_a_row_says_who_asks_for_the_shard_and_whether_its_owner_wants_to_be_rid_of_it() -> None:
    row, quiet = shown([lease(1, owner="old", claim="new", leaving=True), lease(2, owner="new")])
    assert (row["claim"], row["leaving"], quiet["claim"], quiet["leaving"]) == ("new", True, None, False)


def test_children_wait_for_parents_that_have_not_ended_and_ended_shards_are_not_behind() -> None:
    parent = lease(1, owner="w")
    child = lease(2, parents=(ShardId("shardId-1"), ShardId("shardId-0")))
    assert [row["state"] for row in shown([parent, child])] == ["owned", "waiting"]
    ended = replace(parent, owner=None, checkpoint=SHARD_END, complete_through=1.0)
    rows = shown([ended, child])
    assert [(row["state"], row["behind_seconds"]) for row in rows] == [("ended", None), ("free", None)]
    assert rows[1]["parents"] == "shardId-1 shardId-0"


async def test_a_pending_batch_has_an_age_and_one_that_cannot_be_finished_halts_its_shard() -> None:
    store = MemoryStore()
    free = lease(1, checkpoint="5", batch_no=4)
    manifest = link(free, "9", lineage="l", now=NOW - 30)
    body = encode(manifest)
    await store.put(manifest_key(manifest), body)
    intent = intent_of(manifest, body)
    fine = replace(free, intent=intent)
    changed = replace(lease(2), intent=replace(intent, sha256=hashlib.sha256(b"").hexdigest()), checkpoint="5")
    elsewhere = replace(lease(3), intent=intent, checkpoint="6")
    gone = replace(lease(4), intent=replace(intent, manifest="_intents/l/shardId-4/0000000004-1.json"), owner="w")
    leases = [fine, changed, elsewhere, gone]
    rows = shown(leases, await listing.pending_of(store, leases))
    assert [(row["state"], row["pending_batch"], row["pending_seconds"]) for row in rows] == [
        ("free", 4, 30.0),
        ("halted", 4, 30.0),
        ("halted", 4, 30.0),
        ("halted", 4, None),
    ]


def test_a_terminal_is_shown_both_ends_of_a_long_checkpoint() -> None:
    _, [row] = listing.for_terminal(listing.rows_of([lease(1, checkpoint="4964" + "0" * 40 + "123456789012")], {}, NOW))
    assert row[3] == "4964…123456789012"
    assert [listing.short(text) for text in (TRIM_HORIZON, "1234567890123456")] == [TRIM_HORIZON, "1234567890123456"]


def test_a_terminal_is_spared_columns_that_say_nothing() -> None:
    def names(*leases: Lease) -> list[str]:
        columns, rows = listing.for_terminal(listing.rows_of(leases, {}, NOW))
        assert {len(row) for row in rows} == {len(columns)}
        return [column.name for column in columns]

    always = ["shard", "state", "owner", "checkpoint", "behind_seconds", "batch_no", "epoch"]
    assert names(lease(1), lease(2)) == always
    assert names(lease(1), lease(2, parents=(ShardId("shardId-1"),))) == [*always, "parents"]
    assert names(lease(1), replace(lease(2), key=LeaseKey("1:other:2:shardId-2"))) == [*always, "stream"]


def test_shards_are_picked_by_name_and_unknown_ones_are_named() -> None:
    leases = [lease(1), lease(2)]
    assert pick(leases, ["shardId-2"]) == [leases[1]]
    with pytest.raises(typer.BadParameter, match=r"no row of shardId-7, shardId-8;"):
        pick(leases, ["shardId-7", "shardId-1", "shardId-8", "shardId-7"])


def test_those_of_one_owner_are_chosen_and_free_ones_never() -> None:
    leases = [lease(1, owner="a"), lease(2, owner="b"), lease(3)]
    assert release.chosen(leases, "a") == leases[:1]
    assert release.chosen(leases, None) == leases[:2]


async def test_a_released_lease_is_free_and_one_that_changed_hands_is_left_to_its_owner() -> None:
    store = MemoryLeaseStore()
    await store.create([lease(1), lease(2)])
    held = [await store.take(row, "old") for row in await store.list("")]
    await store.renew(held[0])
    taken = await store.take(held[1], "new")
    released = await release.release(store, held)
    assert [one.done for one in released] == [True, True]
    assert [one.row for one in released] == [("shardId-1", "old", "free"), ("shardId-2", "old", "taken by new")]
    assert await store.get(taken.key) == taken


def test_nothing_is_done_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    assert confirmed("?", yes=True, dry_run=False)
    assert not confirmed("?", yes=True, dry_run=True)
    with pytest.raises(typer.BadParameter, match="--yes"):
        confirmed("?", yes=False, dry_run=False)  # pytest's stdin is no terminal
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr(typer, "confirm", lambda _question, *, err: not err)
    assert not confirmed("?", yes=False, dry_run=False)


@pytest.mark.parametrize(
    ("target", "shards", "told"),
    [("soon", ["a"], "soon"), ("-1", ["a"], "-1"), ("1" * 130, ["a"], "sequence number"), ("12", ["a", "b"], "one")],
)
def test_a_target_that_is_no_place_is_bad_usage(target: str, shards: list[str], told: str) -> None:
    with pytest.raises(typer.BadParameter, match=told):
        reset.check_target(target, shards)


async def committed_world() -> tuple[World, str]:
    """A stream of one shard with two records, the first of them done; and the sequence number of the second."""
    world = World(shards=1)
    await world.stream.put([event(1), event(2)])
    [shard] = await world.stream.shards()
    page = await world.stream.open(shard.shard_id, AtTimestamp(0.0)).read()
    first, second = [record.sequence_number for record in page.records]
    row = Lease(key=lease_key(await world.stream.info(), shard.shard_id), checkpoint=first, batch_no=1)
    await world.leases.create([row])
    return world, second


async def proposal(world: World, target: str, **accepted: bool) -> reset.Proposal:
    info, leases = await rows_of(world)
    accept = {"accept_duplicates": False, "accept_loss": False} | accepted
    return await reset.propose(desk_of(world), info, leases, target, **accept)


async def test_going_back_wants_duplicates_accepted_and_going_on_wants_loss_accepted() -> None:
    world, second = await committed_world()
    for target, accepted, told in (
        (TRIM_HORIZON, "accept_duplicates", "back, but over no batch of ours that the stream still has"),
        (second, "accept_loss", "what lies between is never read"),
        (LATEST, "accept_loss", "what lies between is never read"),
    ):
        asked = await proposal(world, target)
        [problem] = asked.problems
        assert f"--{accepted.replace('_', '-')}" in problem
        assert reset.described(asked.moves[0]).endswith(told)
        assert (await proposal(world, target, **{accepted: True})).problems == ()


@pytest.mark.parametrize(
    ("batches", "whole", "told"),
    [
        (1, True, "1 batch with up to 1,200 records will be landed again"),
        (7, False, "7 batches with up to 1,200 records, and those whose manifests are gone, will be landed again"),
    ],
)
def test_a_move_back_tells_how_much_is_landed_again(batches: int, whole: bool, told: str) -> None:
    move = Move(lease=lease(1, checkpoint="5"), target=TRIM_HORIZON, batches=batches, records=1200, whole=whole)
    assert reset.described(move) == f"shardId-1: 5 → TRIM_HORIZON: {told}"


async def test_a_place_that_the_stream_does_not_know_is_refused() -> None:
    world, _ = await committed_world()
    [problem] = (await proposal(world, "7")).problems
    assert "forgotten it, or it is of another shard" in problem


async def test_an_owned_shard_is_not_moved_nor_one_that_the_stream_has_no_more() -> None:
    world, _ = await committed_world()
    info, [row] = await rows_of(world)
    gone = Lease(key=lease_key(info, ShardId("shardId-000000000099")))
    await world.leases.create([gone])
    await world.leases.take(row, "w")
    problems = (await proposal(world, TRIM_HORIZON)).problems
    assert [problem.partition(": ")[2] for problem in problems] == [
        "w owns it: stop the transformers, or release it first",
        "the stream has this shard no more",
    ]


async def test_an_ended_shard_has_no_latest_and_a_shard_that_is_there_is_not_moved() -> None:
    world, _ = await committed_world()
    _, [row] = await rows_of(world)
    assert await proposal(world, row.checkpoint) == reset.Proposal(moves=(), problems=())
    held = await world.leases.end(await world.leases.take(row, "w"), caught_up_at=None)
    await world.leases.release(held)
    [problem] = (await proposal(world, LATEST)).problems
    assert "has ended" in problem


async def test_a_moved_shard_is_read_again_by_the_next_transformer() -> None:
    world, _ = await committed_world()
    asked = await proposal(world, TRIM_HORIZON, accept_duplicates=True)
    info, [row] = await rows_of(world)
    done = await reset.carry_out(desk_of(world), info, asked.moves)
    assert done == [(row.shard_id, row.checkpoint, TRIM_HORIZON, 2)]
    async with world.run():
        await world.until(lambda ledger: ledger.received == 2)
    assert await world.ids() == ["1", "2"]
