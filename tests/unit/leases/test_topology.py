import itertools
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from headrace.leases.model import AT_TIMESTAMP, LATEST, SHARD_END, TRIM_HORIZON, Intent, Lease, lease_key
from headrace.leases.topology import (
    hash_holes,
    is_whole,
    persisting,
    plan_audit,
    plan_goodbyes,
    plan_removals,
    plan_rows,
)
from headrace.stream.ports import EVERY_KEY, HASH_KEYS, HashRange, Shard, ShardId
from tests.unit.leases.histories import RETENTION, STALE, STREAM, History, steps

HALF = HASH_KEYS // 2
LOW, HIGH = (0, HALF - 1), (HALF, HASH_KEYS - 1)


def lease(shard: str, *, parents: tuple[str, ...] = (), ended: bool = False) -> Lease:
    return Lease(
        key=lease_key(STREAM, ShardId(shard)),
        parents=tuple(map(ShardId, parents)),
        checkpoint=SHARD_END if ended else TRIM_HORIZON,
    )


def shard(name: str, *parents: str, closed: bool = False, keys: HashRange = EVERY_KEY) -> Shard:
    return Shard(shard_id=ShardId(name), parents=tuple(map(ShardId, parents)), closed=closed, hash_range=keys)


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


def test_a_time_to_start_at_holds_for_children_too_as_it_means_the_same_in_each_shard() -> None:
    shards = [shard("a", closed=True), shard("b", "a")]
    assert added(shards, [], AT_TIMESTAMP) == [("a", AT_TIMESTAMP), ("b", AT_TIMESTAMP)]
    assert added(shards, [lease("a")], AT_TIMESTAMP) == [("b", AT_TIMESTAMP)]


def test_what_no_range_has_is_a_hole() -> None:
    assert hash_holes([]) == [EVERY_KEY]
    assert hash_holes([LOW, HIGH]) == hash_holes([EVERY_KEY, LOW]) == []
    assert hash_holes([(1, 5), (3, 9), (11, HASH_KEYS - 2)]) == [(0, 0), (10, 10), (HASH_KEYS - 1, HASH_KEYS - 1)]


@given(st.sets(st.integers(1, HASH_KEYS - 1), max_size=8), st.lists(st.booleans(), min_size=9, max_size=9))
def test_ranges_and_their_holes_are_every_key_once(cuts: set[int], kept: list[bool]) -> None:
    bounds = [0, *sorted(cuts), HASH_KEYS]
    ranges = [(first, end - 1) for first, end in itertools.pairwise(bounds)]
    covered = [one for one, keep in zip(ranges, kept, strict=False) if keep]
    holes = hash_holes(covered)
    everything = sorted([*covered, *holes])
    assert everything[0][0] == 0
    assert everything[-1][1] == HASH_KEYS - 1
    assert all(left[1] + 1 == right[0] for left, right in itertools.pairwise(everything))
    assert all(left[1] + 1 < right[0] for left, right in itertools.pairwise(holes))


def test_a_list_is_whole_when_its_open_shards_take_every_key() -> None:
    assert is_whole([shard("a", closed=True), shard("b", keys=LOW), shard("c", keys=HIGH)])
    assert not is_whole([shard("a", closed=True), shard("b", keys=LOW)])
    assert not is_whole([])


def removed(shards: list[Shard], rows: list[Lease]) -> list[str]:
    return [row.shard_id for row in plan_removals(shards, rows, apart=0.0)]


CHILDREN = [shard("b", "a", keys=LOW), shard("c", "a", keys=HIGH)]
FAMILY = [lease("a", ended=True), lease("b", parents=("a",)), lease("c", parents=("a",))]


def test_the_row_of_an_ended_shard_goes_once_the_stream_has_forgotten_the_shard() -> None:
    assert removed([shard("a", closed=True), *CHILDREN], FAMILY) == []
    assert removed(CHILDREN, FAMILY) == ["a"]


def test_a_row_that_has_not_ended_or_has_an_intent_never_goes() -> None:
    intent = Intent(batch_no=0, manifest="m", sha256="")
    assert removed(CHILDREN, [lease("a"), *FAMILY[1:]]) == []
    assert removed(CHILDREN, [replace(FAMILY[0], intent=intent), *FAMILY[1:]]) == []


def test_a_row_stays_until_each_child_has_one() -> None:
    assert removed(CHILDREN, FAMILY[:2]) == []


def test_no_row_goes_by_a_list_that_is_not_whole() -> None:
    assert removed(CHILDREN[:1], FAMILY) == []
    assert removed([], FAMILY) == []


def test_rows_go_generation_by_generation() -> None:
    rows = [lease("a", ended=True), lease("b", parents=("a",), ended=True), lease("c", parents=("b",))]
    assert removed([shard("c", "b")], rows) == ["a"]
    assert removed([shard("c", "b")], rows[1:]) == ["b"]
    assert removed([shard("a", closed=True), shard("c", "b")], rows[1:]) == []


def test_a_row_stays_until_what_comes_behind_it_needs_its_event_ids_no_more() -> None:
    parent, left, right = (replace(row, complete_through=100.0) for row in FAMILY)
    far = replace(right, complete_through=110.0)

    def goes(*rows: Lease) -> bool:
        return plan_removals([*CHILDREN, shard("d", "b", keys=LOW)], rows, apart=10.0) == [parent]

    assert not goes(parent, left, far, replace(lease("d", parents=("b",)), complete_through=110.0))
    assert goes(parent, replace(left, complete_through=110.0), far, lease("d", parents=("b",)))
    done = replace(left, checkpoint=SHARD_END)
    assert not goes(parent, done, far, lease("d", parents=("b",)))
    assert goes(parent, done, far, replace(lease("d", parents=("b",)), complete_through=110.0))


def test_a_row_that_is_alone_stays_for_where_to_start_depends_on_it() -> None:
    assert removed([shard("z")], [lease("a", ended=True)]) == []


def goodbyes(shards: list[Shard], rows: list[Lease]) -> list[str]:
    return list(plan_goodbyes(shards, rows))


def test_an_unfinished_shard_that_is_listed_no_more_is_gone() -> None:
    assert goodbyes(CHILDREN, [lease("a"), *FAMILY[1:]]) == ["a"]
    assert goodbyes([shard("a", closed=True), *CHILDREN], [lease("a"), *FAMILY[1:]]) == []
    assert goodbyes(CHILDREN, FAMILY) == []


def test_a_list_that_is_not_whole_says_nothing_of_shards_that_are_gone() -> None:
    assert goodbyes(CHILDREN[:1], FAMILY) == []
    assert goodbyes([], FAMILY) == []


def test_a_list_from_before_a_reshard_does_not_make_children_gone() -> None:
    rows = [*FAMILY, lease("d", parents=("b",))]
    assert goodbyes([shard("a")], rows) == []


def test_rows_that_ended_leave_a_hole_unless_their_children_have_rows() -> None:
    shards = [shard("a", closed=True), *CHILDREN]
    assert plan_audit(shards, [lease("a")]) == plan_audit(shards, FAMILY) == []
    assert plan_audit(shards, FAMILY[:2]) == [HIGH]
    assert plan_audit(shards, FAMILY[:1]) == [EVERY_KEY]


def test_an_open_shard_whose_row_has_ended_is_a_hole() -> None:
    rows = [lease("b", ended=True), lease("c")]
    assert plan_audit(CHILDREN, rows) == [LOW]


def test_rows_of_parent_and_children_may_overlap() -> None:
    shards = [shard("a", closed=True), *CHILDREN]
    assert plan_audit(shards, [lease("a"), *FAMILY[1:]]) == []


@given(steps, st.integers(0, STALE))
def test_rows_that_keep_up_with_any_history_have_no_hole_however_late_the_list_of_shards_is(
    history: list[tuple[str, int]], behind: int
) -> None:
    world = History()
    world.sync(0)
    world.play(history)
    world.sync(behind)
    assert plan_audit(world.listing(behind), world.rows) == []


@given(steps, st.integers(0, 30))
def test_the_end_of_an_open_shard_is_a_hole_of_just_its_keys(history: list[tuple[str, int]], n: int) -> None:
    world = History()
    world.play(history)
    world.rows = []
    world.sync(0)
    lost = world.open_shards[n % len(world.open_shards)]
    rows = [replace(row, checkpoint=SHARD_END) if row.shard_id == lost.shard_id else row for row in world.rows]
    rows = [row for row in rows if row.ended or row.shard_id in {one.shard_id for one in world.open_shards}]
    assert plan_audit(world.shards, rows) == [lost.hash_range]


@given(steps, st.integers(0, STALE))
def test_a_shard_that_the_stream_has_is_never_taken_for_gone(history: list[tuple[str, int]], behind: int) -> None:
    world = History()
    world.sync(0)
    world.play(history)
    world.sync(0)
    there = {one.shard_id for one in world.shards}
    assert there.isdisjoint(plan_goodbyes(world.listing(behind), world.rows))
    unread = {row.shard_id for row in world.rows if not row.ended}
    assert set(plan_goodbyes(world.listing(), world.rows)) == unread - there


@given(steps)
def test_rows_are_never_added_again_once_they_were_removed_and_all_go_in_the_end(
    history: list[tuple[str, int]],
) -> None:
    world = History()
    world.sync(0)
    gone: set[str] = set()
    for step in [*history, *[("pass_time", 0)] * RETENTION]:
        world.play([step])
        removed = world.clean(STALE)
        gone |= {row.shard_id for row in removed}
        assert all(row.ended for row in removed)
        world.sync(0)
        assert gone.isdisjoint(row.shard_id for row in world.rows)
    for _ in range(len(world.rows)):
        world.clean(0)
    ended = [row for row in world.rows if row.ended]
    unread = {row.shard_id for row in world.rows if not row.ended}
    assert not ended or unread - {one.shard_id for one in world.shards}, "only what was never read keeps rows"


def test_what_is_found_in_every_look_is_known_since_the_first() -> None:
    first = persisting("ab", {}, 1.0)
    again = persisting("bc", first, 2.0)
    assert again == {"b": 1.0, "c": 2.0}
    assert persisting("ab", again, 3.0) == {"a": 3.0, "b": 1.0}
