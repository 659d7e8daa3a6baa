"""The cases of the table mixed: what becomes of one does not depend on the others."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.bad_input.table import BEFORE, CASES
from tests.unit.bad_input.ways import Landed, through_lines, through_stream

SMALL = [case for case in CASES if len(case.payload) < 10_000]
Way = Callable[[Sequence[bytes]], Landed]
picks = st.lists(st.integers(0, len(SMALL) - 1), max_size=30)


def told(landed: Landed) -> tuple[Counter[Any], Counter[Any]]:
    """Rows but for ids that are made up from the place, and letters but for the place."""
    rows = Counter(repr({**row, "event_id": None, "user_id": None}) for row in landed.rows)
    letters = Counter((letter.reason, letter.payload) for letter in (*landed.dead, *landed.extra))
    return rows, letters


def alone(way: Way, chosen: Sequence[int]) -> tuple[Counter[Any], Counter[Any]]:
    """What is to be told of a good event and the chosen cases, each on its own."""
    each = [told(way([BEFORE])), *(_alone(way, pick) for pick in chosen)]
    return sum((rows for rows, _ in each), Counter()), sum((letters for _, letters in each), Counter())


@cache
def _alone(way: Way, pick: int) -> tuple[Counter[Any], Counter[Any]]:
    rows, letters = told(way([BEFORE, SMALL[pick].payload]))
    first, _ = told(way([BEFORE]))
    return rows - first, letters


@given(picks)
@settings(max_examples=15)
def test_on_the_stream_what_becomes_of_a_record_does_not_depend_on_its_neighbours(chosen: list[int]) -> None:
    assert told(through_stream([BEFORE, *(SMALL[pick].payload for pick in chosen)])) == alone(through_stream, chosen)


@given(picks)
@settings(max_examples=15)
def test_in_a_polled_page_what_becomes_of_a_line_does_not_depend_on_its_neighbours(chosen: list[int]) -> None:
    assert told(through_lines([BEFORE, *(SMALL[pick].payload for pick in chosen)])) == alone(through_lines, chosen)


def test_no_value_of_an_event_shows_in_the_key_of_an_object() -> None:
    keys = through_stream([case.payload for case in SMALL]).keys
    allowed = re.compile(
        r"(events|extra_columns|failed_transformation_records)/(\w+=\d+/)+lineage-shard-\d{10}(-\d+)?\.\w+(\.gz)?"
    )
    assert keys
    assert [key for key in keys if not allowed.fullmatch(key)] == []


def test_every_line_of_the_list_has_a_case() -> None:
    assert {case.line for case in CASES} == {
        "malformed", "empty", "truncated", "non-UTF-8", "BOM", "NUL", "lone surrogates", "depth 100,000",
        "duplicate keys", "NaN/Infinity", "integers past 2⁶³", "integers of 5,000 digits", "1e999", "wrong types",
        "missing fields", "timestamps", "1 MiB+ records", "gzip bombs", "partition values", "KPL records",
    }  # fmt: skip
