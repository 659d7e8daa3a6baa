import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.leases.model import SHARD_END, TRIM_HORIZON, Lease, LeaseKey, lease_key
from headrace.leases.plan import (
    CLAIM_UNSEEN,
    CLAIMS_OPEN,
    TAKE_UNSEEN,
    Claim,
    Observation,
    Plan,
    Standing,
    next_expiry,
    observe,
    plan_share,
    standing,
)
from headrace.stream.ports import ShardId, StreamInfo

STREAM = StreamInfo(name="events", account="000000000000", created=1)
NOW = 100.0
FAILOVER = 10.0


def lease(
    shard: str,
    owner: str | None = None,
    *,
    parents: tuple[str, ...] = (),
    ended: bool = False,
    claim: str | None = None,
    leaving: bool = False,
) -> Lease:
    return Lease(
        key=lease_key(STREAM, ShardId(shard)),
        owner=owner,
        parents=tuple(map(ShardId, parents)),
        checkpoint=SHARD_END if ended else TRIM_HORIZON,
        claim=claim,
        leaving=leaving,
    )


def seen(leases: Sequence[Lease], ages: Mapping[str, float]) -> dict[LeaseKey, Observation]:
    """By shard, for how long neither the lease nor a claim on it has changed; 0 for those not named."""
    return {
        row.key: Observation(
            counter=row.counter,
            owner=row.owner,
            since=NOW - ages.get(row.shard_id, 0.0),
            claim=row.claim,
            claimed_since=NOW - ages.get(f"{row.shard_id} claim", 0.0),
        )
        for row in leases
    }


def share(leases: Sequence[Lease], ages: Mapping[str, float] | None = None, me: str = "me") -> Plan:
    return plan_share(leases, me, seen(leases, ages or {}), NOW, FAILOVER)


def take(leases: Sequence[Lease], ages: Mapping[str, float] | None = None, me: str = "me") -> list[str]:
    return sorted(row.shard_id for row in share(leases, ages, me).take)


def claim(leases: Sequence[Lease], ages: Mapping[str, float] | None = None, me: str = "me") -> list[str]:
    return sorted(row.shard_id for row in share(leases, ages, me).claim)


def many(count: int, owner: str | None = None, *, first: int = 0) -> list[Lease]:
    return [lease(f"s{n:03}", owner) for n in range(first, first + count)]


def test_a_lone_worker_takes_what_nobody_holds() -> None:
    assert take([lease("a"), lease("b")]) == ["a", "b"]


def test_a_worker_that_the_others_cannot_see_takes_two_leases_and_the_rest_when_they_can() -> None:
    assert len(take(many(5))) == TAKE_UNSEEN == 2
    assert len(take([*many(5), lease("mine", "me")])) == 5


def test_nothing_is_taken_when_there_is_nothing() -> None:
    assert share([]) == Plan()


@pytest.mark.parametrize(("age", "expected"), [(9.9, []), (10.0, ["a"])])
def test_a_lease_has_expired_once_it_did_not_move_for_the_failover_time(age: float, expected: list[str]) -> None:
    assert take([lease("a", "other")], {"a": age}) == expected


def test_a_lease_that_was_never_observed_has_not_expired() -> None:
    assert plan_share([lease("a", "other")], "me", {}, NOW, FAILOVER) == Plan(alone=False)


def test_a_worker_leaves_free_leases_beyond_its_share_to_others() -> None:
    leases = [lease("a", "me"), lease("b", "me"), lease("c", "other"), lease("d")]
    assert take(leases) == []
    assert take(leases, me="other") == ["d"]


def test_the_dead_do_not_count_as_workers() -> None:
    leases = [lease("a", "me"), lease("b", "dead"), lease("c", "dead"), lease("d", "dead")]
    assert take(leases, {"b": 11, "c": 11, "d": 11}) == ["b", "c", "d"]


def test_a_newcomer_asks_for_one_lease_of_who_has_more_than_their_share_and_then_for_all_it_is_due() -> None:
    assert len(claim([*many(6, "rich"), *many(2, "fair", first=6)])) == CLAIM_UNSEEN == 1
    leases = [*many(6, "rich"), *many(2, "fair", first=6), lease("mine", "me")]
    assert len(claimed := claim(leases)) == 2
    assert set(claimed) < {row.shard_id for row in leases if row.owner == "rich"}


def test_a_claim_makes_a_newcomer_visible_and_counts_as_its_lease() -> None:
    leases = [*many(8, "rich"), lease("s008", "rich", claim="me")]
    assert len(claim(leases)) == 3
    assert claim(leases, me="third") == claim(leases, me="third")[:1]
    leases = [*many(4, "rich"), *(lease(f"c{n}", "rich", claim="me") for n in range(4))]
    assert share(leases) == Plan(alone=False)


def test_a_claim_of_somebody_who_would_have_the_lease_if_they_lived_does_not_count() -> None:
    leases = [lease("a", "rich", claim="dead"), lease("b", "rich")]
    assert claim(leases, {"a claim": 9.9}) == []
    assert len(claim(leases, {"a claim": 10.0})) == 1


def test_no_more_claims_are_open_at_a_time_than_can_be_looked_after() -> None:
    leases = [*many(500, "rich"), lease("mine", "me")]
    assert len(share(leases).claim) == CLAIMS_OPEN
    leases = [replace(row, claim="me") if n < 30 else row for n, row in enumerate(leases)]
    assert len(share(leases).claim) == CLAIMS_OPEN - 30


def test_nothing_is_asked_for_when_it_would_only_turn_the_tables() -> None:
    assert claim([lease("a", "one"), lease("b", "two"), lease("c", "one"), lease("d", "me")]) == []
    assert claim([lease("a", "one")]) == []


def test_what_is_free_is_taken_before_anything_is_asked_for() -> None:
    leases = [*many(3, "rich"), lease("e"), lease("f", "me")]
    assert (take(leases), claim(leases)) == (["e"], [])
    leases = [*many(4, "rich"), lease("e"), lease("f", "me")]
    assert (take(leases), len(claim(leases))) == (["e"], 1)


def test_who_is_leaving_counts_as_nobody_and_its_leases_are_shared_out() -> None:
    leases = [lease("a", "old", leaving=True), lease("b", "old"), lease("c", "me"), lease("d", "other")]
    assert len(claim(leases)) == 1
    leases = [lease("a", "old", leaving=True), lease("b", "old"), lease("c", "me")]
    assert claim(leases) == ["a", "b"]
    assert not share(leases, me="other").alone
    assert share(leases[:2]).alone
    assert len(claim(leases[:2])) == CLAIM_UNSEEN


def test_the_leases_of_who_is_leaving_come_before_those_of_who_has_too_many() -> None:
    leases = [*many(9, "rich"), lease("mine", "me"), lease("left", "old", leaving=True)]
    assert "left" in claim(leases)


def test_a_claim_of_who_is_leaving_does_not_count() -> None:
    leases = [lease("a", "rich", claim="old"), *many(3, "rich"), lease("b", "old", leaving=True), lease("m", "me")]
    assert len(claim(leases)) == 2


def test_an_ended_shard_is_never_taken_and_does_not_count() -> None:
    ended = [lease(name, ended=True) for name in "abc"]
    assert take([*ended, lease("d", "other"), lease("e")]) == ["e"]
    assert share([lease("a", "rich", ended=True), lease("b", "rich")]) == Plan(alone=False)


def test_a_child_waits_until_every_parent_has_ended() -> None:
    child = lease("c", parents=("a", "b"))
    assert take([lease("a", "x", ended=True), lease("b", "x"), child]) == []
    assert take([lease("a", ended=True), lease("b", ended=True), child]) == ["c"]


def test_a_child_does_not_wait_for_parents_that_have_no_row() -> None:
    assert take([lease("c", parents=("gone",))]) == ["c"]


def test_workers_reach_for_different_leases_first() -> None:
    assert len({tuple(take(many(40), me=f"w{n}")) for n in range(10)}) > 5


workers = st.sampled_from(["me", "a", "b", "c", None])
rows = st.lists(
    st.fixed_dictionaries({
        "owner": workers,
        "ended": st.booleans(),
        "age": st.sampled_from([0.0, 5.0, 10.0, 60.0]),
        "parents": st.sets(st.integers(0, 7), max_size=2),
        "claim": workers,
        "claim_age": st.sampled_from([0.0, 60.0]),
        "leaving": st.booleans(),
    }),
    max_size=12,
)  # fmt: skip


@given(rows)
def test_a_plan_asks_only_for_what_may_be_had_and_never_for_more_than_a_share(drawn: list[dict[str, Any]]) -> None:
    leases = [
        lease(
            f"s{n}",
            row["owner"],
            ended=row["ended"],
            parents=tuple(f"s{p}" for p in sorted(row["parents"]) if p < n),
            claim=row["claim"] if row["owner"] is not None and row["claim"] != row["owner"] else None,
            leaving=row["leaving"] and row["owner"] not in {None, "me"},
        )
        for n, row in enumerate(drawn)
    ]
    ages = {f"s{n}": 0.0 if row["owner"] == "me" else row["age"] for n, row in enumerate(drawn)}
    claim_ages = {f"s{n} claim": row["claim_age"] for n, row in enumerate(drawn)}
    plan = share(leases, ages | claim_ages)

    unfinished = {row.shard_id for row in leases if not row.ended}
    workable = [row for row in leases if not row.ended and not unfinished & set(row.parents)]
    held = [row for row in workable if row.owner is not None and ages[row.shard_id] < FAILOVER]
    leaving = {row.owner for row in held if row.leaving}
    promised = {
        row.key: row.claim
        for row in held
        if row.claim not in {None, *leaving} and claim_ages[f"{row.shard_id} claim"] < FAILOVER
    }
    load = Counter(
        promised.get(row.key) or row.owner for row in held if row.key in promised or row.owner not in leaving
    )
    wanted = [*plan.take, *plan.claim]

    assert all(row in workable and row not in held for row in plan.take)
    assert all(row in held and row.owner != "me" and row.key not in promised for row in plan.claim)
    assert len(set(wanted)) == len(wanted)
    assert not wanted or load["me"] + len(wanted) <= math.ceil(len(workable) / len({*load, "me"}))
    for owner, asked in Counter(row.owner for row in plan.claim).items():
        assert owner in leaving or load[owner] - asked >= len(workable) // len({*load, "me"})
    assert plan.alone == (not {*load} - {"me"})


class Shop:
    """Workers that plan by what they see, and owners that meet every claim after a while."""

    def __init__(self, names: Sequence[str], owners: Sequence[str | None]) -> None:
        self.names = list(names)
        self.leases = [lease(f"s{n}", owner) for n, owner in enumerate(owners)]
        self.moves = 0

    def turn(self, order: Sequence[str], *, at_once: bool) -> bool:
        """Everyone looks, all at the same time or one after the other, then claims are met. Whether anything moved."""
        before = list(self.leases)
        for me in order:
            plan = share(before if at_once else self.leases, me=me)
            for wanted in plan.take:
                self._change(wanted, owner=me)
            for wanted in plan.claim:
                self._change(wanted, claim=me)
        after = [replace(row, owner=row.claim, claim=None) if row.claim else row for row in self.leases]
        self.moves += sum(new.owner != old.owner for new, old in zip(after, before, strict=True))
        moved, self.leases = after != before, after
        return moved

    def _change(self, seen: Lease, **what: str) -> None:
        """By compare-and-set."""
        n = next(n for n, row in enumerate(self.leases) if row.key == seen.key)
        if self.leases[n] == seen:
            self.leases[n] = replace(seen, **what)

    def settle(self, data: st.DataObject, *, at_once: bool) -> None:
        for _ in range(3 * len(self.leases) + 3):
            if not self.turn(data.draw(st.permutations(self.names)), at_once=at_once):
                return
        pytest.fail("the workers never stop taking from each other")


@given(st.integers(1, 5), st.lists(st.integers(0, 5), max_size=14), st.booleans(), st.data())
def test_all_end_with_an_even_share_and_then_nothing_moves_any_more(
    fleet: int, held_by: list[int], at_once: bool, data: st.DataObject
) -> None:
    names = [f"w{n}" for n in range(fleet)]
    shop = Shop(names, [names[w] if w < fleet else None for w in held_by])
    shop.settle(data, at_once=at_once)
    shares = Counter(row.owner for row in shop.leases)
    assert None not in shares
    assert max(shares[name] for name in names) - min(shares[name] for name in names) <= 1


@given(st.integers(1, 6), st.integers(0, 5), st.integers(0, 20), st.data())
def test_newcomers_one_by_one_move_no_lease_twice(staying: int, coming: int, count: int, data: st.DataObject) -> None:
    names = [f"w{n}" for n in range(staying + coming)]
    shop = Shop(names[:staying], [None] * count)
    shop.settle(data, at_once=False)
    shop.names, shop.moves = names, 0
    shop.settle(data, at_once=False)
    assert shop.moves <= coming * math.ceil(count / len(names))


@given(st.integers(2, 6), st.integers(1, 5), st.integers(0, 15), st.data())
def test_what_leaving_workers_held_is_shared_out_and_nothing_else_moves(
    fleet: int, leaving: int, count: int, data: st.DataObject
) -> None:
    names = [f"w{n}" for n in range(fleet)]
    shop = Shop(names, [None] * count)
    shop.settle(data, at_once=False)
    gone = set(names[: min(leaving, fleet - 1)])
    shop.leases = [replace(row, leaving=row.owner in gone) for row in shop.leases]
    homeless = sum(row.leaving for row in shop.leases)
    shop.names, shop.moves = [name for name in names if name not in gone], 0
    unseen = sum(all(row.owner != name for row in shop.leases) for name in shop.names)
    for _ in range(count + 3):
        shop.turn(data.draw(st.permutations(shop.names)), at_once=False)
        shop.leases = [replace(row, leaving=row.owner in gone) for row in shop.leases]
    assert not gone & {row.owner for row in shop.leases}
    shares = [sum(row.owner == name for row in shop.leases) for name in shop.names]
    assert max(shares) - min(shares) <= 1
    assert homeless <= shop.moves <= homeless + unseen * math.ceil(count / len(shop.names))


@pytest.mark.parametrize(
    ("row", "now", "expected"),
    [
        (lease("a", "other", claim="me"), 9.9, Standing.OPEN),
        (lease("a", "other", claim="me"), 10.0, Standing.OVERDUE),
        (lease("a"), 1.0, Standing.FREE),
        (lease("a", ended=True), 1.0, Standing.GONE),
        (lease("a", "third", claim="me"), 1.0, Standing.GONE),
        (lease("a", "other", claim="third"), 1.0, Standing.GONE),
        (replace(lease("a", "other", claim="me"), epoch=1), 1.0, Standing.GONE),
        (None, 1.0, Standing.GONE),
    ],
)
def test_what_a_row_says_of_a_claim(row: Lease | None, now: float, expected: Standing) -> None:
    assert standing(row, Claim(lease=lease("a", "other", claim="me"), until=10.0), "me", now) is expected


def test_the_next_expiry_is_that_of_the_oldest_lease_of_another_worker_that_has_not_expired() -> None:
    leases = [lease("a", "me"), lease("b"), lease("c", "x"), lease("d", "x"), lease("e", "x")]
    observed = seen(leases, {"a": 9, "b": 9, "c": 3, "d": 4, "e": 60})
    assert next_expiry(observed, "me", NOW, FAILOVER) == NOW + 6
    assert next_expiry({}, "me", NOW, FAILOVER) == math.inf


def test_a_lease_that_moved_is_fresh_and_one_that_did_not_ages() -> None:
    leases = [replace(lease(name, "other"), counter=1) for name in "ab"]
    first = observe(leases, {}, 1.0, me="me", held=())
    again = observe([leases[0], replace(leases[1], counter=2)], first, 5.0, me="me", held=())
    assert [again[row.key].since for row in leases] == [1.0, 5.0]


def test_a_lease_that_changed_hands_is_fresh() -> None:
    before = observe([lease("a", "one")], {}, 1.0, me="me", held=())
    assert observe([lease("a", "two")], before, 5.0, me="me", held=())[lease("a").key].since == 5.0


def test_a_claim_that_changed_is_fresh_and_says_nothing_of_the_owner() -> None:
    first = observe([lease("a", "one", claim="x")], {}, 1.0, me="me", held=())
    again = observe([lease("a", "one", claim="x")], first, 5.0, me="me", held=())[lease("a").key]
    assert (again.since, again.claimed_since) == (1.0, 1.0)
    other = observe([lease("a", "one", claim="y")], first, 5.0, me="me", held=())[lease("a").key]
    assert (other.since, other.claimed_since) == (1.0, 5.0)


def test_a_lease_that_is_gone_is_forgotten() -> None:
    assert observe([], observe([lease("a")], {}, 1.0, me="me", held=()), 2.0, me="me", held=()) == {}


def test_what_a_worker_holds_never_expires_for_itself() -> None:
    mine = lease("a", "me")
    observed = observe([mine], {}, NOW - 60, me="me", held={mine.key})
    observed = observe([mine], observed, NOW, me="me", held={mine.key})
    assert plan_share([mine], "me", observed, NOW, FAILOVER) == Plan()


def test_what_bears_a_workers_name_without_being_held_is_taken_anew_at_once() -> None:
    mine = lease("a", "me")
    observed = observe([mine], {}, NOW, me="me", held=())
    assert plan_share([mine], "me", observed, NOW, FAILOVER).take == (mine,)
