"""Aggregates in a batch: what is taken apart, what is left out, and where a batch ends."""

from collections.abc import Sequence
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.delivery.batch import BatchPolicy
from headrace.delivery.plan import BatchPlan, Planner
from headrace.delivery.resume import start_position
from headrace.delivery.unpack import unpack
from headrace.delivery.window import DedupWindow
from headrace.events.enrich import Enricher
from headrace.events.parse import Policy
from headrace.events.transform import Transformer
from headrace.leases.model import LATEST, TRIM_HORIZON, Lease, LeaseKey, Ledger
from headrace.quarantine import from_jsonl_gz
from headrace.stream.kpl import encode, hash_key
from headrace.stream.ports import (
    EVERY_KEY,
    HASH_KEYS,
    AfterSequence,
    AtSequence,
    Entry,
    HashRange,
    Latest,
    Record,
    SequenceNumber,
    TrimHorizon,
)

NOW = 1_775_700_000.0
LOWER: HashRange = (0, HASH_KEYS // 2 - 1)
LEASE = Lease(key=LeaseKey("account:stream:1:shard"))
transformer = Transformer(Policy(), Enricher(), anonymous_key=b"k")


def of(number: int, data: bytes) -> Record:
    return Record(data=data, sequence_number=str(number), partition_key="k", approximate_arrival_timestamp=NOW + number)


def event(n: int, *, hour: int = 0, named: bool = True) -> bytes:
    payload = {"session_id": "s", "event_type": "page_view", "timestamp": 1_775_692_800 + hour * 3600, "quantity": n}
    return msgspec.json.encode(payload | ({"event_id": f"e{n}"} if named else {}))


def aggregate(number: int, *data: bytes) -> Record:
    return of(number, encode([Entry(each, f"key {at}") for at, each in enumerate(data)]))


def planner(**limits: int) -> Planner:
    return Planner(transformer, BatchPolicy(**limits), lineage="l")


def plan(
    records: Sequence[Record], lease: Lease = LEASE, *, hash_range: HashRange = EVERY_KEY, **limits: int
) -> BatchPlan:
    return planner(**limits).plan(records, lease, now=NOW, window=DedupWindow(600), hash_range=hash_range)


def test_without_aggregates_the_records_are_what_they_were() -> None:
    records = [of(n, event(n)) for n in range(5)]
    unpacked = unpack(records, LEASE, limit=100)
    assert unpacked.records == records
    assert (unpacked.taken, unpacked.foreign, unpacked.within(3)) == (5, 0, 3)


def test_each_user_record_has_a_place_of_its_own_and_the_arrival_of_its_aggregate() -> None:
    records = [of(7, b"one"), aggregate(8, b"two", b"three"), of(9, b"four")]
    unpacked = unpack(records, LEASE, limit=100)
    assert [
        (each.data, each.sequence_number, each.approximate_arrival_timestamp - NOW) for each in unpacked.records
    ] == [(b"one", "7", 7), (b"two", "8.0", 8), (b"three", "8.1", 8), (b"four", "9", 9)]
    assert [unpacked.within(count) for count in range(5)] == [1, 1, 1, 2, 3]


@given(st.lists(st.integers(1, 6), min_size=1, max_size=12), st.integers(1, 8))
def test_a_front_is_whole_records_within_the_limit_and_never_empty(sizes: list[int], limit: int) -> None:
    records = [aggregate(n, *[b"x"] * size) for n, size in enumerate(sizes)]
    unpacked = unpack(records, LEASE, limit=limit)
    whole = [sum(sizes[: at + 1]) for at in range(len(sizes))]
    assert list(unpacked.ends) == whole[: unpacked.taken]
    assert unpacked.taken == 1 or whole[unpacked.taken - 1] <= limit
    assert unpacked.taken == len(sizes) or whole[unpacked.taken] > limit


def test_what_belongs_to_another_shard_is_counted_and_left_out() -> None:
    entries = [Entry(event(n), f"key {n}") for n in range(20)]
    entries += [Entry(event(20), "key", str(HASH_KEYS - 1)), Entry(event(21), "key", "0")]
    ours = [entry for entry in entries if hash_key(entry) <= LOWER[1]]
    made = plan([of(1, encode(entries)), of(2, event(99))], hash_range=LOWER)
    assert 1 < len(ours) < 21
    assert made.ledger == Ledger(
        received=len(ours) + 1, committed=len(ours) + 1, objects=1, foreign=len(entries) - len(ours)
    )
    assert (made.records, made.checkpoint) == (2, "2")


def test_a_batch_of_nothing_but_foreign_records_moves_the_checkpoint() -> None:
    made = plan([of(1, encode([Entry(event(1), "k", str(HASH_KEYS - 1))]))], hash_range=LOWER)
    assert (made.ledger, made.objects, made.records, made.checkpoint) == (Ledger(foreign=1), [], 1, "1")
    assert (made.first_arrival, made.last_arrival) == (NOW + 1, NOW + 1)


def test_an_ordinary_record_lands_whatever_the_hash_range_of_its_shard() -> None:
    assert plan([of(1, event(1))], hash_range=(5, 5)).ledger.committed == 1


def test_an_aggregate_that_is_damaged_is_one_dead_letter_with_all_its_bytes() -> None:
    good = encode([Entry(event(1), "k"), Entry(event(2), "k")])
    made = plan([of(1, good), of(2, good[:-1]), of(3, event(3))])
    assert made.ledger == Ledger(received=4, committed=3, dead_lettered=1, objects=1)
    [letters] = [each for each in made.objects if each.key == made.dead_letter_key]
    [letter] = from_jsonl_gz(letters.body)
    assert (letter.reason, letter.position) == ("malformed_json", "shard:2")


@pytest.mark.parametrize("bad", [b"{", b""], ids=["cut off", "empty"])
def test_a_bad_event_within_an_aggregate_is_a_dead_letter_and_its_neighbours_land(bad: bytes) -> None:
    made = plan([aggregate(4, event(0), bad, event(2))])
    assert made.ledger == Ledger(received=3, committed=2, dead_lettered=1, objects=1)
    [letters] = [each for each in made.objects if each.key == made.dead_letter_key]
    assert [letter.position for letter in from_jsonl_gz(letters.body)] == ["shard:4.1"]


def test_events_that_bring_no_id_get_one_by_their_place_and_repeats_within_an_aggregate_are_dropped() -> None:
    records = [aggregate(4, event(0, named=False), event(0, named=False)), aggregate(5, event(1), event(1))]
    first, second = plan(records), plan(records)
    assert first.ledger == Ledger(received=4, committed=3, duplicates=1, objects=1)
    assert first.event_ids == second.event_ids
    assert len(set(first.event_ids.to_pylist())) == 3


def test_an_aggregate_that_was_put_twice_lands_once() -> None:
    made = plan([aggregate(4, event(0), event(1)), aggregate(5, event(0), event(1)), aggregate(6, event(1), event(2))])
    assert made.ledger == Ledger(received=6, committed=3, duplicates=3, objects=1)


def test_rows_are_those_of_user_records_so_an_aggregate_more_waits_for_the_next_batch() -> None:
    records = [aggregate(n, *(event(n * 10 + at) for at in range(4))) for n in range(5)]
    made = plan(records, rows=10)
    assert (made.records, made.ledger.received, made.checkpoint) == (2, 8, "1")
    alone = plan([aggregate(0, *(event(at) for at in range(30))), of(1, event(99))], rows=10)
    assert (alone.records, alone.ledger.received) == (1, 30)


def test_a_batch_with_too_many_hours_is_cut_at_a_whole_record_of_the_stream() -> None:
    records = [aggregate(n, *(event(n * 10 + at, hour=-(n * 2 + at // 2)) for at in range(4))) for n in range(4)]
    made = plan(records, partitions=5)
    assert (made.records, made.ledger.received, made.ledger.objects) == (2, 8, 4)
    wide = plan(records, partitions=1)
    assert (wide.records, wide.ledger.received, wide.ledger.objects) == (1, 4, 2)


@pytest.mark.parametrize(("done", "left"), [(0, [1, 2, 3]), (1, [2, 3]), (2, [3]), (3, []), (7, [])])
def test_a_checkpoint_of_kcls_within_an_aggregate_passes_over_what_is_done(done: int, left: list[int]) -> None:
    lease = replace(LEASE, checkpoint="5", sub_sequence=done)
    records = [aggregate(5, *(event(n) for n in range(4))), of(6, event(9))]
    made = plan(records, lease)
    assert made.ledger == Ledger(received=len(left) + 1, committed=len(left) + 1, objects=1)
    assert [each.sequence_number for each in unpack(records, lease, limit=100).records] == [
        *(f"5.{n}" for n in left),
        "6",
    ]


def test_a_checkpoint_of_kcls_at_an_ordinary_record_passes_over_that_one() -> None:
    lease = replace(LEASE, checkpoint="5", sub_sequence=0)
    assert [each.data for each in unpack([of(5, b"a"), of(6, b"b")], lease, limit=100).records] == [b"b"]
    assert [each.data for each in unpack([of(6, b"b")], lease, limit=100).records] == [b"b"]


def test_what_is_passed_over_is_neither_received_nor_foreign() -> None:
    lease = replace(LEASE, checkpoint="5", sub_sequence=1)
    foreign = [Entry(event(n), "k", str(HASH_KEYS - 1)) for n in range(3)]
    made = plan([of(5, encode(foreign))], lease, hash_range=LOWER)
    assert made.ledger == Ledger(foreign=1)


def test_reading_goes_on_at_a_record_that_kcl_left_within_and_behind_one_that_we_did() -> None:
    ours = replace(LEASE, checkpoint="5")
    assert start_position(ours) == AfterSequence(SequenceNumber("5"))
    assert start_position(replace(ours, sub_sequence=0)) == AtSequence(SequenceNumber("5"))
    assert start_position(replace(LEASE, checkpoint=TRIM_HORIZON)) == TrimHorizon()
    assert start_position(replace(LEASE, checkpoint=LATEST)) == Latest()
