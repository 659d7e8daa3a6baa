"""What KCL's rows mean for us: which are ours to take, where they stand, and when something is wrong with them."""

from dataclasses import replace
from typing import Any

import pytest

from headrace.leases.kcl import KclLease, parse, plan_import, still_run
from headrace.leases.model import AT_TIMESTAMP, LATEST, SHARD_END, TRIM_HORIZON, WHOLE, Lease, lease_key
from headrace.stream.ports import Shard, ShardId, StreamInfo

STREAM = StreamInfo(name="shop", account="123456789012", created=1_775_000_000)
FIRST, SECOND, THIRD = (ShardId(f"shardId-{n:012}") for n in range(3))
SHARDS = [
    Shard(shard_id=FIRST, hash_range=(0, 99), closed=True),
    Shard(shard_id=SECOND, hash_range=(0, 49), parents=(FIRST,)),
    Shard(shard_id=THIRD, hash_range=(50, 99), parents=(FIRST,)),
]


def item(shard: str, checkpoint: str = "49", **other: Any) -> dict[str, Any]:
    """As a single-stream application keeps it."""
    return {
        "leaseKey": shard, "leaseCounter": 5, "checkpoint": checkpoint, "checkpointSubSequenceNumber": 0,
        "ownerSwitchesSinceCheckpoint": 0, **other,
    }  # fmt: skip


def multi(shard: str, stream: str = "123456789012:shop:1775000000", **other: Any) -> dict[str, Any]:
    return {**item(shard), "leaseKey": f"{stream}:{shard}", "streamName": stream, "shardId": shard, **other}


def leases(*items: dict[str, Any]) -> list[KclLease]:
    return [lease for one in items if (lease := parse(one)) is not None]


@pytest.mark.parametrize("make", [item, multi])
def test_both_kinds_of_keys_become_ours_at_their_checkpoints(make: Any) -> None:
    found = leases(
        make(FIRST, checkpoint=SHARD_END), make(SECOND, parentShardId={FIRST}), make(THIRD, checkpoint=TRIM_HORIZON)
    )
    plan = plan_import(found, STREAM, SHARDS, [])
    assert (plan.problems, plan.others) == ((), 0)
    assert [taken.lease for taken in plan.taken] == [
        Lease(key=lease_key(STREAM, FIRST), checkpoint=SHARD_END),
        Lease(key=lease_key(STREAM, SECOND), checkpoint="49", sub_sequence=0, parents=(FIRST,)),
        Lease(key=lease_key(STREAM, THIRD), checkpoint=TRIM_HORIZON),
    ]


def test_a_checkpoint_within_an_aggregate_is_carried_and_told() -> None:
    [taken] = plan_import(leases(item(SECOND, checkpointSubSequenceNumber=3)), STREAM, SHARDS, []).taken
    assert (taken.lease.sub_sequence, taken.note) == (3, "behind user record 3 of an aggregate")


def test_a_row_without_a_sub_sequence_number_has_done_the_first_user_record() -> None:
    [taken] = plan_import(leases({"leaseKey": SECOND, "checkpoint": "49"}), STREAM, SHARDS, []).taken
    assert taken.lease.sub_sequence == 0


@pytest.mark.parametrize(("word", "becomes"), [(AT_TIMESTAMP, TRIM_HORIZON), (LATEST, LATEST)])
def test_a_shard_that_kcl_had_not_begun_is_told(word: str, becomes: str) -> None:
    [taken] = plan_import(leases(item(SECOND, checkpoint=word)), STREAM, SHARDS, []).taken
    assert (taken.lease.checkpoint, taken.lease.sub_sequence) == (becomes, WHOLE)
    assert "KCL had not begun" in taken.note


def test_rows_that_we_have_stay_and_are_shown() -> None:
    mine = Lease(key=lease_key(STREAM, SECOND), checkpoint="12")
    [taken] = plan_import(leases(item(SECOND)), STREAM, SHARDS, [mine]).taken
    assert taken.there == mine


def test_rows_of_other_streams_are_left_out() -> None:
    others = [multi(SECOND, "123456789012:other:1775000000"), multi(SECOND, "210987654321:shop:1775000000")]
    plan = plan_import(leases(multi(SECOND), *others), STREAM, SHARDS, [])
    assert (len(plan.taken), plan.others, plan.problems) == (1, 2, ())
    assert plan_import(leases(*others), STREAM, SHARDS, []).problems == ("no row of this stream in it",)


def test_the_creation_time_may_be_in_milliseconds_but_not_another_one() -> None:
    plan = plan_import(leases(multi(SECOND, "123456789012:shop:1775000000123")), STREAM, SHARDS, [])
    assert (plan.problems, plan.taken[0].lease.key) == ((), lease_key(STREAM, SECOND))
    for other in ("1774999999", "1774999999999"):
        [problem] = plan_import(leases(multi(SECOND, f"123456789012:shop:{other}")), STREAM, SHARDS, []).problems
        assert f"created at {other}" in problem


@pytest.mark.parametrize(
    ("found", "told"),
    [
        ([item("shardId-000000000077")], "none of the shards"),
        ([item(SECOND, startingHashKey="0", endingHashKey="48")], "other hash keys"),
        ([item(SECOND), multi(SECOND)], "two rows"),
        ([], "no row"),
    ],
)
def test_a_table_of_another_stream_is_refused(found: list[dict[str, Any]], told: str) -> None:
    [problem] = plan_import(leases(*found), STREAM, SHARDS, []).problems
    assert told in problem


def test_hash_keys_that_agree_and_ended_shards_that_are_gone_are_no_problem() -> None:
    gone = item("shardId-000000000077", checkpoint=SHARD_END)
    found = leases(gone, item(SECOND, startingHashKey="0", endingHashKey="49"))
    assert plan_import(found, STREAM, SHARDS, []).problems == ()


@pytest.mark.parametrize("broken", [{"leaseKey": "x"}, {"checkpoint": "1"}, item(FIRST, checkpoint="soon")])
def test_what_is_no_row_of_kcls_is_refused(broken: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="checkpoint"):
        parse(broken)


@pytest.mark.parametrize("kind", ["WORKER_METRIC_STATS", "LEADER", "STREAM", "TABLE_MIGRATION"])
def test_what_kcl_3_keeps_beside_its_leases_is_none(kind: str) -> None:
    assert parse({"leaseKey": "w", "entityType": kind}) is None


def test_a_worker_that_renews_or_checkpoints_between_two_looks_still_runs() -> None:
    first, second = leases(item(FIRST, leaseOwner="a"), item(SECOND, leaseOwner="b"))
    assert still_run([first, second], [first, second]) == []
    assert still_run([first, second], [replace(first, counter=6), second]) == ["a"]
    assert still_run([first, second], [first, replace(second, checkpoint="50")]) == ["b"]
    assert still_run([first], [first, second]) == ["b"]


def test_while_kcl_3_hands_a_lease_over_its_worker_is_the_one_that_still_checkpoints() -> None:
    [lease] = leases(item(FIRST, leaseOwner="next", checkpointOwner="last"))
    assert lease.owner == "last"
