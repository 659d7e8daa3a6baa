"""When a micro-batch is cut, and how much of it."""

import pytest

from headrace.delivery.batch import Batch, BatchPolicy
from headrace.stream.ports import Record


def record(size: int) -> Record:
    return Record(b"x" * size, "1", "k", 0.0)


@pytest.mark.parametrize(
    ("sizes", "at", "due"),
    [([], 100.0, False), ([1], 9.9, False), ([1], 10.0, True), ([1, 1, 1], 0.0, True), ([60, 60], 0.0, True)],
)
def test_a_batch_is_due_by_age_rows_or_bytes(sizes: list[int], at: float, due: bool) -> None:
    batch = Batch(BatchPolicy(rows=3, bytes=100, age=10.0))
    batch.add([record(size) for size in sizes], 0.0)
    assert batch.due(at) is due


def test_an_empty_page_does_not_start_the_clock() -> None:
    batch = Batch(BatchPolicy(age=10.0))
    batch.add([], 0.0)
    batch.add([record(1)], 5.0)
    assert not batch.due(14.0)
    assert batch.due(15.0)


def test_the_head_ends_at_a_whole_record_within_the_limits_and_is_never_empty() -> None:
    batch = Batch(BatchPolicy(rows=3, bytes=100))
    batch.add([record(60), record(40), record(1), record(1)], 0.0)
    assert [len(found.data) for found in batch.head()] == [60, 40]
    batch.drop(2)
    assert (len(batch.head()), batch.bytes) == (2, 2)
    batch = Batch(BatchPolicy(rows=3, bytes=100))
    batch.add([record(500), record(1)], 0.0)
    assert [len(found.data) for found in batch.head()] == [500]


def test_what_a_cut_leaves_behind_does_not_wait_anew() -> None:
    batch = Batch(BatchPolicy(age=10.0))
    batch.add([record(1), record(1)], 0.0)
    batch.drop(1)
    assert batch.due(10.0)
    batch.drop(1)
    assert not batch.due(100.0)
