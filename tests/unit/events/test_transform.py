"""Records in, rows and rejections out: by golden cases, and by properties over mixtures of them."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from headrace.events.arrow import EVENT_SCHEMA
from headrace.events.enrich import Enricher
from headrace.events.parse import EventParser, Policy, Reason
from headrace.events.transform import CHUNK, Origin, Transformer
from headrace.lake.layout import HourPartition

NOW = 1775736000.0  # 2026-04-09 12:00 UTC
CASES: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "golden.yaml").read_text())
BYTES = {
    "not UTF-8 in a known field": (
        b'{"session_id":"\xff","event_type":"click","timestamp":1775721600}',
        Reason.NOT_UTF8,
    ),
    "not UTF-8 in an unknown field": (
        b'{"session_id":"s","event_type":"click","timestamp":1775721600,"x":"\xff"}',
        Reason.NOT_UTF8,
    ),
    "a byte-order mark": (b'\xef\xbb\xbf{"session_id":"s"}', Reason.MALFORMED_JSON),
    "depth 100,000 in an unknown field": (
        b'{"session_id":"s","event_type":"click","timestamp":1775721600,"x":' + b"[" * 100_000 + b"}",
        Reason.TOO_DEEP,
    ),
    "depth 100,000 from the start": (b"[" * 100_000, Reason.WRONG_TYPE),
    "an integer of 5,000 digits": (
        b'{"session_id":"s","event_type":"click","timestamp":1775721600,"quantity":' + b"9" * 5000 + b"}",
        Reason.NUMBER_OUT_OF_RANGE,
    ),
    "a price of 5,000 digits": (
        b'{"session_id":"s","event_type":"click","timestamp":1775721600,"price":' + b"9" * 5000 + b"}",
        Reason.NUMBER_OUT_OF_RANGE,
    ),
}

ORIGIN = Origin(arrived=lambda _at: NOW - 1, default_id=lambda at: f"made-up-{at}")
transform = Transformer(Policy(), Enricher(), anonymous_key=b"key")


def rows_of(table: pa.Table) -> list[dict[str, Any]]:
    return [{name: _plain(value) for name, value in row.items()} for row in table.to_pylist()]


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [list(pair) for pair in value]
    return value if value is None or isinstance(value, bool | int | float) else str(value)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_a_record_becomes_the_row_or_the_rejection_it_should(case: dict[str, Any]) -> None:
    result = transform([case["record"].encode()], ORIGIN)
    assert [str(rejection.reason) for rejection in result.rejected] == (
        [case["rejected"]] if "rejected" in case else []
    )
    assert list(result.extra) == ([0] if case.get("extra") else [])
    rows = rows_of(result.rows)
    assert len(rows) == ("row" in case)
    for row in rows:
        assert {name: row[name] for name in case["row"]} == case["row"]


@pytest.mark.parametrize("name", BYTES)
def test_bytes_that_are_no_event_are_rejected_with_their_reason(name: str) -> None:
    payload, reason = BYTES[name]
    result = transform([payload], ORIGIN)
    assert [rejection.reason for rejection in result.rejected] == [reason]
    assert result.rows.num_rows == 0


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_the_poller_judges_as_the_consumer_does(case: dict[str, Any]) -> None:
    parsed = EventParser(Policy(), trusted=True).parse([case["record"].encode()], now=NOW)
    assert [str(rejection.reason) for rejection in parsed.rejected] == (
        [case["rejected"]] if "rejected" in case else []
    )
    assert parsed.extra == ([0] if case.get("extra") else [])


ALL = [case["record"].encode() for case in CASES] + [payload for payload, _ in BYTES.values()]
ALONE = [transform([payload], ORIGIN) for payload in ALL]


@given(st.lists(st.integers(0, len(ALL) - 1), max_size=40))
def test_neighbours_do_not_change_what_becomes_of_a_record(picks: list[int]) -> None:
    result = transform([ALL[pick] for pick in picks], ORIGIN)
    expected_rejections = [
        (at, ALONE[pick].rejected[0].reason) for at, pick in enumerate(picks) if ALONE[pick].rejected
    ]
    assert [(rejection.index, rejection.reason) for rejection in result.rejected] == expected_rejections
    assert list(result.extra) == [at for at, pick in enumerate(picks) if ALONE[pick].extra]
    expected = [
        row | ({"event_id": f"made-up-{at}"} if row["event_id"] == "made-up-0" else {})
        for at, pick in enumerate(picks)
        for row in rows_of(ALONE[pick].rows)
    ]
    assert rows_of(result.rows) == expected
    assert result.rows.schema == EVENT_SCHEMA


def test_rows_are_cut_by_the_hour_of_their_event_time() -> None:
    stamps = [1775721600, 1775725200, 1775725199, 0, 1775721601]
    payloads = [b'{"session_id":"s","event_type":"click","timestamp":%d}' % stamp for stamp in stamps]
    result = transform(payloads, ORIGIN)
    assert [(partition.path, table["event_id"].to_pylist()) for partition, table in result.partitions] == [
        ("year=1970/month=01/day=01/hour=00", ["made-up-3"]),
        ("year=2026/month=04/day=09/hour=08", ["made-up-0", "made-up-2", "made-up-4"]),
        ("year=2026/month=04/day=09/hour=09", ["made-up-1"]),
    ]
    assert HourPartition.of_hour(0) == HourPartition("1970", "01", "01", "00")


def test_repeats_are_dropped_and_counted() -> None:
    payloads = [b'{"event_id":"%d","session_id":"s","event_type":"click","timestamp":1}' % n for n in (1, 2, 3)]
    result = transform(payloads, ORIGIN, repeats=lambda ids: {ids.to_pylist().index("2")})
    assert (result.rows["event_id"].to_pylist(), result.repeats) == (["1", "3"], 1)


def test_repeats_are_looked_for_among_the_good_events_only() -> None:
    payloads = [
        b'{"event_id":"%d","session_id":"s","event_type":"%s","timestamp":1,"x":1}' % (n, kind)
        for n, kind in enumerate([b"NO", b"click", b"NO", b"click", b"click"])
    ]
    result = transform(payloads, ORIGIN, repeats=lambda ids: {ids.to_pylist().index("3")})
    assert [rejection.index for rejection in result.rejected] == [0, 2]
    assert (result.rows["event_id"].to_pylist(), result.repeats, result.extra) == (["1", "4"], 1, [1, 4])


def test_indexes_run_on_from_chunk_to_chunk() -> None:
    payloads = [b'{"session_id":"s","event_type":"click","timestamp":%d}' % (n % 7000) for n in range(CHUNK * 2 + 10)]
    payloads[CHUNK + 1] = b"broken"
    payloads[CHUNK * 2] = b'{"session_id":"s","event_type":"click","timestamp":-1}'
    result = transform(payloads, ORIGIN)
    assert [rejection.index for rejection in result.rejected] == [CHUNK + 1, CHUNK * 2]
    ids = [f"made-up-{at}" for at in range(len(payloads)) if at not in {CHUNK + 1, CHUNK * 2}]
    assert result.rows["event_id"].to_pylist() == ids


def test_strict_event_types_and_a_largest_age_are_kept() -> None:
    strict = Transformer(Policy(event_types=frozenset({"click"}), max_age=3600), Enricher(), anonymous_key=b"key")
    payloads = [
        b'{"session_id":"s","event_type":"click","timestamp":1775735000}',
        b'{"session_id":"s","event_type":"tap","timestamp":1775735000}',
        b'{"session_id":"s","event_type":"click","timestamp":1775721600}',
    ]
    result = strict(payloads, ORIGIN)
    assert [rejection.reason for rejection in result.rejected] == [Reason.INVALID_EVENT_TYPE, Reason.TOO_OLD]
    assert result.rows.num_rows == 1


def test_a_thousand_mixed_prices_stay_exact() -> None:
    prices = [Decimal(n) / 100 for n in range(1000)]
    payloads = [
        b'{"session_id":"s","event_type":"purchase","timestamp":1,"quantity":3,"price":%s}' % str(price).encode()
        for price in prices
    ]
    result = transform(payloads, ORIGIN)
    assert result.rows["revenue"].to_pylist() == [price * 3 for price in prices]


def test_session_rule_is_reserved_where_input_is_not_trusted() -> None:
    payload = b'{"session_rule":"gap:30m","user_id":"u","event_type":"click","timestamp":1775721600}'
    parsed = EventParser(Policy()).parse([payload], now=NOW)
    assert [rejection.reason for rejection in parsed.rejected] == [Reason.WRONG_TYPE]
