"""Cutting entries into calls."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import RequestError
from headrace.stream.batcher import cut, entry_bytes
from headrace.stream.ports import MAX_RECORD_BYTES, Entry

entries = st.lists(st.builds(Entry, st.binary(max_size=40), st.text(min_size=1, max_size=10)), max_size=60)


@given(entries, st.integers(1, 7), st.integers(80, 200))
def test_batches_are_the_entries_in_order_and_within_both_limits(
    given_entries: list[Entry], max_records: int, max_bytes: int
) -> None:
    batches = cut(given_entries, max_records=max_records, max_bytes=max_bytes)
    assert [entry for batch in batches for entry in batch] == given_entries
    for batch in batches:
        assert 1 <= len(batch) <= max_records
        assert sum(map(entry_bytes, batch)) <= max_bytes


@given(entries, st.integers(1, 7), st.integers(80, 200))
def test_a_batch_ends_only_where_the_next_entry_does_not_fit(
    given_entries: list[Entry], max_records: int, max_bytes: int
) -> None:
    batches = cut(given_entries, max_records=max_records, max_bytes=max_bytes)
    for batch, after in pairwise(batches):
        assert len(batch) == max_records or sum(map(entry_bytes, [*batch, after[0]])) > max_bytes


def test_twelve_hundred_entries_take_three_calls() -> None:
    batches = cut(Entry(b"x", str(n)) for n in range(1200))
    assert [len(batch) for batch in batches] == [500, 500, 200]


def test_five_of_the_largest_records_fill_a_call() -> None:
    largest = Entry(b"x" * (MAX_RECORD_BYTES - 1), "k")
    assert [len(batch) for batch in cut([largest] * 6)] == [5, 1]


def test_the_partition_key_counts_by_its_utf8_bytes() -> None:
    assert entry_bytes(Entry(b"abc", "é")) == 5
    fits = Entry(b"x" * (MAX_RECORD_BYTES - 2), "é")
    assert cut([fits]) == [[fits]]
    with pytest.raises(RequestError, match="1048577 bytes"):
        cut([fits._replace(data=fits.data + b"x")])


@pytest.mark.parametrize("key", ["", "k" * 257, "\ud800"], ids=["empty", "too long", "lone surrogate"])
def test_a_partition_key_that_kinesis_refuses_is_refused_here(key: str) -> None:
    with pytest.raises(RequestError, match="partition key"):
        cut([Entry(b"x", key)])


def test_no_entries_make_no_batch() -> None:
    assert cut([]) == []
