import math
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.leases.model import LATEST, SHARD_END, TRIM_HORIZON, Lease, LeaseKey, lease_key
from headrace.leases.plan import TAKE_AT_ONCE, Observation, observe, plan_rows, plan_take
from headrace.stream.ports import Shard, ShardId, StreamInfo

STREAM = StreamInfo(name="events", account="000000000000", created=1)
NOW = 100.0
FAILOVER = 10.0


def lease(shard: str, owner: str | None = None, *, parents: tuple[str, ...] = (), ended: bool = False) -> Lease:
    return Lease(
        key=lease_key(STREAM, ShardId(shard)),
        owner=owner,
        parents=tuple(map(ShardId, parents)),
        checkpoint=SHARD_END if ended else TRIM_HORIZON,
    )


def shard(name: str, *parents: str, closed: bool = False) -> Shard:
    return Shard(shard_id=ShardId(name), parents=tuple(map(ShardId, parents)), closed=closed)


def seen(leases: list[Lease], ages: dict[str, float]) -> dict[LeaseKey, Observation]:
    """By shard, for how long it has not changed; 0 for those not named."""
    return {
        row.key: Observation(counter=row.counter, owner=row.owner, since=NOW - ages.get(row.shard_id, 0.0))
        for row in leases
    }


def take(leases: list[Lease], ages: dict[str, float] | None = None, me: str = "me") -> list[str]:
    return sorted(row.shard_id for row in plan_take(leases, me, seen(leases, ages or {}), NOW, FAILOVER))


def test_a_lone_worker_takes_what_nobody_holds() -> None:
    assert take([lease("a"), lease("b")]) == ["a", "b"]


def test_free_leases_are_taken_two_at_a_time() -> None:
    assert len(take([lease(name) for name in "abcde"])) == TAKE_AT_ONCE == 2


def test_nothing_is_taken_when_there_is_nothing() -> None:
    assert take([]) == []


@pytest.mark.parametrize(("age", "expected"), [(9.9, []), (10.0, ["a"])])
def test_a_lease_has_expired_once_it_did_not_move_for_the_failover_time(age: float, expected: list[str]) -> None:
    assert take([lease("a", "other")], {"a": age}) == expected


def test_a_lease_that_was_never_observed_has_not_expired() -> None:
    assert plan_take([lease("a", "other")], "me", {}, NOW, FAILOVER) == []


def test_a_worker_leaves_free_leases_beyond_its_share_to_others() -> None:
    leases = [lease("a", "me"), lease("b", "me"), lease("c", "other"), lease("d")]
    assert take(leases) == []
    assert take(leases, me="other") == ["d"]


def test_the_dead_do_not_count_as_workers() -> None:
    leases = [lease("a", "me"), lease("b", "dead"), lease("c", "dead"), lease("d", "dead")]
    assert len(take(leases, {"b": 11, "c": 11, "d": 11})) == 2


def test_a_newcomer_steals_one_lease_from_the_most_loaded() -> None:
    leases = [lease("a", "rich"), lease("b", "rich"), lease("c", "rich"), lease("d", "poor")]
    [stolen] = take(leases)
    assert stolen in {"a", "b", "c"}


def test_nothing_is_stolen_when_it_would_only_turn_the_tables() -> None:
    assert take([lease("a", "one"), lease("b", "two"), lease("c", "one"), lease("d", "me")]) == []
    assert take([lease("a", "one")]) == []


def test_nothing_is_stolen_while_something_is_free() -> None:
    leases = [*(lease(name, "rich") for name in "abcd"), lease("e")]
    assert take(leases) == ["e"]


def test_an_ended_shard_is_never_taken_and_does_not_count() -> None:
    ended = [lease(name, ended=True) for name in "abc"]
    assert take([*ended, lease("d", "other"), lease("e")]) == ["e"]
    assert take([lease("a", "rich", ended=True), lease("b", "rich")]) == []


def test_a_child_waits_until_every_parent_has_ended() -> None:
    child = lease("c", parents=("a", "b"))
    assert take([lease("a", "x", ended=True), lease("b", "x"), child]) == []
    assert take([lease("a", ended=True), lease("b", ended=True), child]) == ["c"]


def test_a_child_does_not_wait_for_parents_that_have_no_row() -> None:
    assert take([lease("c", parents=("gone",))]) == ["c"]


def test_workers_reach_for_different_leases_first() -> None:
    leases = [lease(f"s{n}") for n in range(40)]
    assert len({tuple(take(leases, me=f"w{n}")) for n in range(10)}) > 5


workers = st.sampled_from(["me", "a", "b", "c", None])
rows = st.lists(
    st.tuples(workers, st.booleans(), st.sampled_from([0.0, 5.0, 10.0, 60.0]), st.sets(st.integers(0, 7), max_size=2)),
    max_size=12,
)


@given(rows)
def test_a_plan_takes_only_what_may_be_taken_and_never_too_much(
    drawn: list[tuple[str | None, bool, float, set[int]]],
) -> None:
    leases = [
        lease(f"s{n}", owner, ended=ended, parents=tuple(f"s{p}" for p in sorted(parents) if p < n))
        for n, (owner, ended, _, parents) in enumerate(drawn)
    ]
    ages = {f"s{n}": 0.0 if row[0] == "me" else row[2] for n, row in enumerate(drawn)}
    planned = plan_take(leases, "me", seen(leases, ages), NOW, FAILOVER)

    live = [row for row in leases if row.owner is not None and ages[row.shard_id] < FAILOVER]
    unfinished = {row.shard_id for row in leases if not row.ended}
    workable = [row for row in leases if not row.ended and not unfinished & set(row.parents)]
    load = Counter(row.owner for row in live if row in workable)
    stolen = [row for row in planned if row in live]

    assert all(row in workable for row in planned)
    assert all(row.owner != "me" for row in planned)
    assert len(planned) <= TAKE_AT_ONCE
    if stolen:
        assert planned == stolen[:1]
        assert all(row in live for row in workable), "something was free"
        assert load[stolen[0].owner] == max(load.values()) >= load["me"] + 2
    elif planned:
        assert load["me"] + len(planned) <= math.ceil(len(workable) / len({*load, "me"}))
    else:
        idle = not [row for row in workable if row not in live]
        assert not idle or max(load.values(), default=0) < load["me"] + 2


@given(st.integers(1, 5), st.lists(st.integers(0, 5), max_size=14))
def test_taking_in_turn_ends_with_an_even_share_for_everyone(fleet: int, held_by: list[int]) -> None:
    names = [f"w{n}" for n in range(fleet)]
    leases = [lease(f"s{n}", names[w] if w < fleet else None) for n, w in enumerate(held_by)]
    for _ in range(50):
        before = list(leases)
        for me in names:
            planned = {row.key for row in plan_take(leases, me, seen(leases, {}), NOW, FAILOVER)}
            leases = [replace(row, owner=me) if row.key in planned else row for row in leases]
        if leases == before:
            break
    else:
        pytest.fail("the workers never stop taking from each other")
    shares = Counter(row.owner for row in leases)
    assert None not in shares
    assert max((shares[name] for name in names), default=0) - min(shares[name] for name in names) <= 1


def test_a_lease_that_moved_is_fresh_and_one_that_did_not_ages() -> None:
    leases = [replace(lease(name, "other"), counter=1) for name in "ab"]
    first = observe(leases, {}, 1.0, me="me", held=())
    again = observe([leases[0], replace(leases[1], counter=2)], first, 5.0, me="me", held=())
    assert [again[row.key].since for row in leases] == [1.0, 5.0]


def test_a_lease_that_changed_hands_is_fresh() -> None:
    before = observe([lease("a", "one")], {}, 1.0, me="me", held=())
    assert observe([lease("a", "two")], before, 5.0, me="me", held=())[lease("a").key].since == 5.0


def test_a_lease_that_is_gone_is_forgotten() -> None:
    assert observe([], observe([lease("a")], {}, 1.0, me="me", held=()), 2.0, me="me", held=()) == {}


def test_what_a_worker_holds_never_expires_for_itself() -> None:
    mine = lease("a", "me")
    observed = observe([mine], {}, NOW - 60, me="me", held={mine.key})
    observed = observe([mine], observed, NOW, me="me", held={mine.key})
    assert plan_take([mine], "me", observed, NOW, FAILOVER) == []


def test_what_bears_a_workers_name_without_being_held_is_taken_anew_at_once() -> None:
    mine = lease("a", "me")
    observed = observe([mine], {}, NOW, me="me", held=())
    assert plan_take([mine], "me", observed, NOW, FAILOVER) == [mine]


def added(shards: list[Shard], known: list[Lease], start: str = TRIM_HORIZON) -> list[tuple[str, str]]:
    return [(row.shard_id, row.checkpoint) for row in plan_rows(STREAM, shards, known, start)]


def test_the_first_rows_start_where_the_settings_say() -> None:
    assert added([shard("a"), shard("b")], []) == [("a", TRIM_HORIZON), ("b", TRIM_HORIZON)]
    assert added([shard("a"), shard("b")], [], LATEST) == [("a", LATEST), ("b", LATEST)]


def test_rows_that_are_there_stay() -> None:
    assert added([shard("a")], [lease("a")]) == []


def test_a_row_names_its_parents() -> None:
    [row] = plan_rows(STREAM, [shard("c", "b", "a")], [], TRIM_HORIZON)
    assert row == lease("c", parents=("a", "b"))


def test_parents_come_before_their_children() -> None:
    shards = [shard("c", "b"), shard("b", "a", closed=True), shard("a", closed=True)]
    assert [name for name, _ in added(shards, [])] == ["a", "b", "c"]


def test_children_of_a_reshard_start_at_the_beginning_whatever_the_settings_say() -> None:
    shards = [shard("a", closed=True), shard("b", "a"), shard("c", "a")]
    assert added(shards, [lease("a")], LATEST) == [("b", TRIM_HORIZON), ("c", TRIM_HORIZON)]


def test_generations_that_came_and_went_unseen_are_caught_up_with() -> None:
    shards = [shard("b", "a", closed=True), shard("c", "b"), shard("e", "d")]
    assert added(shards, [lease("a")], LATEST) == [("b", TRIM_HORIZON), ("e", TRIM_HORIZON), ("c", TRIM_HORIZON)]


def test_starting_at_the_tip_leaves_closed_shards_out_for_good() -> None:
    shards = [shard("a", closed=True), shard("b", "a")]
    assert added(shards, [], LATEST) == [("b", LATEST)]
    assert added(shards, [lease("b", parents=("a",))], LATEST) == []


def test_ancestors_are_not_added_again_once_their_rows_are_gone() -> None:
    shards = [shard("a", closed=True), shard("b", "a", closed=True), shard("c", "b")]
    assert added(shards, [lease("c", parents=("b",))]) == []


def test_a_first_sync_that_was_cut_short_is_finished_as_it_began() -> None:
    assert added([shard("a"), shard("b")], [lease("a")], LATEST) == [("b", LATEST)]


@given(st.lists(st.sets(st.integers(0, 9), max_size=2), max_size=10), st.data())
def test_a_first_sync_adds_the_same_rows_in_one_go_or_cut_short(parents: list[set[int]], data: st.DataObject) -> None:
    shards = [shard(f"s{n}", *(f"s{p}" for p in sorted(above) if p < n)) for n, above in enumerate(parents)]
    whole = plan_rows(STREAM, shards, [], TRIM_HORIZON)
    assert {row.shard_id for row in whole} == {one.shard_id for one in shards}
    done = whole[: data.draw(st.integers(0, len(whole)))]
    assert done + plan_rows(STREAM, shards, done, TRIM_HORIZON) == whole
