"""A line of bronze becomes what the stream makes of it: the row, or the dead letter."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.events.schema import KNOWN_EVENT_TYPES
from headrace.quarantine import Envelope
from headrace.settings import Settings
from jobs.medallion.duck.portion import Portion
from tests.unit.bad_input.table import BEFORE, BEHIND, CASES, Case
from tests.unit.jobs.medallion.duck.decoding import (
    ARRIVED,
    KEY,
    SETTINGS,
    as_streamed,
    event,
    line,
    portions,
    rejected_of,
    rows_of,
    zipped,
)
from tests.unit.jobs.medallion.duck.flawed import NUMBERS, TIMES, flawed_lines

UNSEEN = {
    "malformed: a comma before the end",
    "depth 100,000: in an unknown field",
    "duplicate keys: the last wins",
    "duplicate keys: even when the first is no good",
    "NaN/Infinity: minus Infinity in an unknown field",
}
"""What DuckDB cannot tell. It takes the first of two keys and a comma too many, and looks into no key but ours."""
Outcome = tuple[Portion, ...]


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """Of one file with all cases, each behind a good line."""
    lines = [each for case in CASES for each in (BEFORE, case.payload)]
    return tuple(portions(zipped(tmp_path_factory.mktemp("cases") / "a", [*lines, BEHIND])))


@pytest.mark.parametrize("case", [case for case in CASES if str(case) not in UNSEEN], ids=str)
def test_each_case_of_bad_input_ends_as_in_any_file(outcome: Outcome, case: Case) -> None:
    number = 2 * CASES.index(case) + 2
    dead = [letter for letter in rejected_of(outcome) if letter.position == f"{KEY} line {number}"]
    expected = case.outcomes["file"]
    assert [letter.reason for letter in dead] == ([] if expected in {"row", "extra", "nothing"} else [expected])


def test_lines_beside_bad_ones_all_land(outcome: Outcome) -> None:
    landed = rows_of(outcome)["event_id"].to_pylist()
    assert (landed.count("before"), landed.count("behind")) == (len(CASES), 1)


def test_each_case_that_is_a_row_says_what_it_says_in_any_file(tmp_path: Path) -> None:
    cases = [case for case in CASES if case.row and str(case) not in UNSEEN]
    rows = rows_of(portions(zipped(tmp_path / "a", [case.payload for case in cases]))).to_pylist()
    told = [{name: str(row[name]) for name in case.row} for case, row in zip(cases, rows, strict=True)]
    assert told == [{name: str(value) for name, value in case.row.items()} for case in cases]


def same_as_streamed(path: Path, lines: list[bytes], policy: Settings = SETTINGS) -> None:
    """Whatever is decoded by column or line by line is what the stream's transformer makes of all of them."""
    found = portions(zipped(path, lines), settings=policy)
    rows, reasons = as_streamed(lines, policy)
    assert rows_of(found).to_pylist() == rows.to_pylist()
    assert {number_of(letter): letter.reason for letter in rejected_of(found)} == reasons


def number_of(letter: Envelope) -> int:
    """Index of a dead letter's line."""
    return int(letter.position.rpartition(" ")[2]) - 1


EDGES = (
    {"event_type": "purchase", "price": 44.99, "quantity": 2**62},
    {"event_type": "purchase", "price": 99_999_999_999.9999, "quantity": 1000},
    {"event_type": "purchase", "price": 99_999_999_999.9999, "quantity": 1001},
    {"event_type": "purchase", "price": 44.99, "quantity": -3, "revenue": 0},
    {"event_type": "purchase", "price": 44.99},
    {"event_type": "click", "price": 44.99, "quantity": 3, "revenue": 1.5},
    {"event_type": "click", "price": 1e300, "quantity": 3},
    *({name: value} for name in ("price", "revenue", "rating", "quantity", "schema_version") for value in NUMBERS),
    *({name: value} for name in ("price", "revenue", "rating", "quantity") for value in ("5", "1_0", " 5", True, [5])),
    *({"timestamp": value} for value in TIMES),
    *({"ingest_time": value} for value in (*TIMES, True, 5.0)),
    *({"is_bot": value} for value in (True, False, "true", 1, None)),
    {"geo": "DE", "city": "Bonn"},
    {"geo": {"country": "DE", "city": None}, "country": "FR", "city": "Bonn"},
    {"geo": {}, "country": "FR"},
    {"geo": {"country": "DE", "region": "NW", "city": "Köln"}, "country": "FR", "region": "x", "city": "Bonn"},
    {"properties": {"a": 1}},
    {"properties": {}},
    {"session_id": ""},
    {"schema_version": -1},
    {"user_id": None, "event_id": None},
)
SPELT = ("1e2", "1E-4", "1.50000", "12345678901234.00007", "0.00004999999999999999999999", "-0", "-0.0", "1e999", "NaN")


@pytest.mark.parametrize("spaced", [False, True])
def test_values_at_the_edges_of_each_rule_become_what_the_stream_makes_of_them(tmp_path: Path, spaced: bool) -> None:
    lines = [json.dumps(event(**edge), separators=None if spaced else (",", ":")).encode() for edge in EDGES]
    lines += [
        line(**{name: 0.125}).replace(b"0.125", spelt.encode())
        for name in ("price", "revenue", "rating", "quantity", "timestamp", "ingest_time")
        for spelt in SPELT
    ]
    same_as_streamed(tmp_path / "a", lines)


FILES = st.lists(flawed_lines(), min_size=1, max_size=40)
SHORT = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=25)


@SHORT
@given(lines=FILES)
def test_a_file_becomes_what_the_stream_makes_of_its_lines(tmp_path: Path, lines: list[bytes]) -> None:
    same_as_streamed(tmp_path / "a", lines)


STRICT = Settings(event_types="strict", max_age=20_000.0, max_future=0.5)


@settings(SHORT, max_examples=8)
@given(lines=FILES)
def test_a_file_meets_the_rules_that_the_settings_name(tmp_path: Path, lines: list[bytes]) -> None:
    same_as_streamed(tmp_path / "a", lines, STRICT)


@pytest.mark.parametrize("policy", [SETTINGS, STRICT], ids=["open", "strict"])
def test_event_types_are_taken_and_refused_as_by_the_stream(tmp_path: Path, policy: Settings) -> None:
    types = [*sorted(KNOWN_EVENT_TYPES), "own_type", "Click", "click\n", "é", "a" * 64, "a" * 65]
    same_as_streamed(tmp_path / "a", [line(event_type=event_type) for event_type in types], policy)


@pytest.mark.parametrize("policy", [SETTINGS, STRICT], ids=["open", "strict"])
def test_times_at_the_bounds_are_taken_and_refused_as_by_the_stream(tmp_path: Path, policy: Settings) -> None:
    bounds = [ARRIVED + policy.max_future, ARRIVED - (policy.max_age or 0), 0, 1e11, 253_402_300_800]
    same_as_streamed(
        tmp_path / "a",
        [
            line(timestamp=spelt)
            for bound in bounds
            for near in (-1, -0.001, 0, 0.001, 1)
            for spelt in (int(bound + near), int((bound + near) * 1000), bound + near)
        ],
        policy,
    )
