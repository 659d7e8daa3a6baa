"""Whole files of raw bronze: how they are packed, cut, named and counted."""

import base64
import gzip
from datetime import UTC
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from headrace.events.ingest import id_prefix
from headrace.events.privacy import anonymous_user
from headrace.stream.ports import MAX_RECORD_BYTES
from jobs.medallion.duck import decode, inflate, lines
from jobs.medallion.duck.decode import arrival_of
from jobs.medallion.duck.inflate import Slots
from jobs.medallion.duck.lines import read_lines
from jobs.medallion.duck.portion import UnreadableFileError
from jobs.medallion.duck.suspicious import numbered
from tests.unit.jobs.medallion.duck.decoding import (
    ARRIVED,
    KEY,
    SEEN,
    SETTINGS,
    line,
    portions,
    rejected_of,
    rows_of,
    source_file,
    zipped,
)

ELSEWHERE = "raw/events/a.jsonl.gz"


def ids(path: Path) -> list[str]:
    found: list[str] = rows_of(portions(path))["event_id"].to_pylist()
    return found


def raw(path: Path, body: bytes) -> Path:
    path.write_bytes(body)
    return path


def good_lines(count: int) -> list[bytes]:
    return [line(event_id=str(number)) for number in range(count)]


def test_a_truncated_file_cannot_be_read(tmp_path: Path) -> None:
    for count in (5, 5_000):
        body = gzip.compress(b"\n".join(good_lines(count)))
        with pytest.raises(UnreadableFileError, match="broken off"):
            portions(raw(tmp_path / "a", body[: len(body) // 2]))


def test_an_empty_file_cannot_be_read_and_one_that_holds_nothing_has_no_rows(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFileError, match="empty"):
        portions(raw(tmp_path / "a", b""))
    assert rows_of(portions(raw(tmp_path / "b", gzip.compress(b"")))).num_rows == 0


@pytest.mark.parametrize("body", [line() + b"\n", b"PAR1", b"\x1f\x8b", b"\x00" * 100])
def test_what_is_no_gzip_cannot_be_read(tmp_path: Path, body: bytes) -> None:
    with pytest.raises(UnreadableFileError, match=r"broken off|no gzip"):
        portions(raw(tmp_path / "a", body))


def test_a_wrong_checksum_is_seen_whatever_the_lines_are(tmp_path: Path) -> None:
    for name, end in (("a", b"no event"), ("b", line())):
        body = bytearray(gzip.compress(b"\n".join([*good_lines(3), end])))
        body[-8] ^= 1
        with pytest.raises(UnreadableFileError, match="CRC"):
            portions(raw(tmp_path / name, bytes(body)))


def test_what_does_not_fit_into_scratch_is_read_without_being_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = zipped(tmp_path / "a", [*good_lines(3), b"none"])
    small = Slots(up_to=100)
    with small.inflated(path) as plain:
        assert plain is None
    fitting = zipped(tmp_path / "b", [b"x" * 99])
    with small.inflated(fitting) as plain:
        assert plain is not None
        assert plain.read_bytes() == b"x" * 99 + b"\n"
    decoder = decode.Decoder(duckdb.connect(config={"threads": 1}), SETTINGS, seen_at=SEEN, lines_up_to=0)
    expected = list(decoder(source_file(), path))
    monkeypatch.setattr(decoder, "_slots", small)
    assert rows_of(list(decoder(source_file(), path))).equals(rows_of(expected))
    assert rejected_of(list(decoder(source_file(), path))) == rejected_of(expected) != []


def test_a_slot_that_held_more_before_shows_nothing_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slots = Slots()
    long, short = (zipped(tmp_path / name, good_lines(count)) for name, count in (("a", 2_000), ("b", 2)))
    with slots.inflated(long) as first, slots.inflated(short) as beside:
        assert first is not None
        assert first != beside
        assert len(first.read_bytes().splitlines()) == 2_000
    monkeypatch.setattr(inflate, "_KEPT_BYTES", 100)
    again: set[Path | None] = set()
    for _ in range(3):
        with slots.inflated(short) as plain:
            assert plain is not None
            assert plain.read_bytes().splitlines() == good_lines(2)
            again.add(plain)
        assert plain.read_bytes() == b"", "what is large gives its room back"
    assert again <= {first, beside}


def test_all_members_of_a_gzip_file_are_read(tmp_path: Path) -> None:
    first, second = b"".join(each + b"\n" for each in good_lines(2)), line(event_id="2")
    assert ids(raw(tmp_path / "a", gzip.compress(first) + gzip.compress(second))) == ["0", "1", "2"]


@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b"\n\n", b"\r\n \t\r\n"])
def test_line_ends_of_any_kind_and_blank_lines_are_no_lines(tmp_path: Path, ending: bytes) -> None:
    assert ids(raw(tmp_path / "a", gzip.compress(ending.join(good_lines(3))))) == ["0", "1", "2"]


def test_a_dead_letter_names_file_and_line_and_keeps_the_bytes_as_they_came(tmp_path: Path) -> None:
    found = portions(zipped(tmp_path / "a", [line(), b"", b" \t", b'  {"session_id":5}  ', line()]))
    (letter,) = rejected_of(found)
    assert (letter.position, letter.stage, letter.seen_at) == (f"{KEY} line 4", "medallion", SEEN)
    assert (letter.reason, base64.b64decode(letter.payload)) == ("wrong_type", b'{"session_id":5}')
    assert rows_of(found).num_rows == 2


def test_rows_that_took_the_long_way_are_at_their_places(tmp_path: Path) -> None:
    mixed = [line(event_id=str(n), price=f"{n}.5") if n % 3 == 0 else line(event_id=str(n), price=n) for n in range(20)]
    mixed[10:10] = [b"none"]
    assert ids(zipped(tmp_path / "a", mixed)) == [str(number) for number in range(20)]


def test_events_without_id_are_named_by_file_and_place_on_either_way(tmp_path: Path) -> None:
    nameless = [line(event_id=None), b"", line(event_id=None, price="1.5"), b"{", line(event_id=None)]
    prefix = id_prefix("raw", KEY)
    assert ids(zipped(tmp_path / "a", nameless)) == [f"{prefix}-0", f"{prefix}-1", f"{prefix}-3"]


def test_unknown_visitors_are_named_by_their_session_on_either_way(tmp_path: Path) -> None:
    key = SETTINGS.anonymous_key.get_secret_value().encode()
    rows = rows_of(portions(zipped(tmp_path / "a", [line(user_id=None), line(user_id=None, price="1"), line()])))
    assert rows["user_id"].to_pylist() == [anonymous_user(key, "s")] * 2 + ["u"]


def test_arrival_is_the_minute_in_the_path_and_without_one_nothing_is_too_far_ahead(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a", [line(timestamp=1775740000), line(timestamp=1775740000, price="1"), line()])
    there = portions(path)
    assert [letter.reason for letter in rejected_of(there)] == ["too_far_ahead"] * 2
    assert [moment.replace(tzinfo=UTC).timestamp() for moment in rows_of(there)["ingest_time"].to_pylist()] == [ARRIVED]
    elsewhere = rows_of(portions(path, key=ELSEWHERE))
    assert (elsewhere.num_rows, elsewhere["ingest_time"].null_count) == (3, 3)


def test_ids_that_are_digits_in_quotes_are_read_by_column_and_numbers_are_no_ids(tmp_path: Path) -> None:
    good = [line(event_id=str(n), product_id="85048", user_id="-1.5") for n in range(3)]
    odd = [line(product_id=85048), line(event_id="3", product_id='8"5\\'), line(event_id="4", product_id=None)]
    path = zipped(tmp_path / "a", [*good, *odd])
    rows, letters = rows_of(portions(path)), rejected_of(portions(path))
    assert rows["product_id"].to_pylist() == ["85048"] * 3 + ['8"5\\', None]
    assert [(letter.reason, letter.position) for letter in letters] == [("wrong_type", f"{KEY} line 4")]
    assert numbered(read_lines(path)) == {"event_id", "product_id", "user_id"}


def test_what_is_known_of_texts_decides_about_speed_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = zipped(tmp_path / "a", [line(event_id=str(n), city=str(n), region="x") for n in range(3)])
    sampled = rows_of(portions(path))
    monkeypatch.setattr(decode, "SAMPLE", 0)
    assert rows_of(portions(path)).equals(sampled)


@pytest.mark.parametrize(
    ("key", "arrived"),
    [
        (KEY, ARRIVED),
        ("x/y/year=2026/month=04/day=09/hour=12/minute=00/ä b.jsonl.gz", ARRIVED),
        ("raw/events/year=2026/month=02/day=30/hour=12/minute=00/a.jsonl.gz", None),
        ("raw/events/year=2026/month=04/day=09/hour=12/a.jsonl.gz", None),
        (ELSEWHERE, None),
    ],
)
def test_arrival_of_a_key(key: str, arrived: float | None) -> None:
    assert arrival_of(key) == arrived


def test_files_of_several_portions_keep_order_and_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "ROWS", 2_048)
    each = good_lines(10_000)
    each[5_000] = line(event_id="5000", price="1.5")
    each[9_999] = b"none"
    found = portions(zipped(tmp_path / "a", each))
    assert len(found) > 2
    assert rows_of(found)["event_id"].to_pylist() == [str(number) for number in range(9_999)]
    assert [letter.position for letter in rejected_of(found)] == [f"{KEY} line 10000"]


class _Unwanted(lines.LinesInStep):
    """Tells that a file is read in Python too."""

    def __init__(self, path: Path) -> None:
        raise AssertionError(f"{path} is read line by line")


def test_lines_as_they_usually_are_are_read_by_column(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "LinesInStep", _Unwanted)
    usual = [
        line(),
        line(event_id=None, user_id=None, timestamp=1775721600123, is_bot=True, schema_version=1),
        line(timestamp="2026-04-09T08:00:00Z", price=44.99, quantity=3, revenue=0, rating=4.5),
        line(timestamp="2026-04-09T08:00:00.123", geo={"country": "DE", "city": "Bonn"}, properties={"a": 'b"'}),
        line(event_type="own_type", ip="2001:db8::1", user_agent="curl/8", city="Île 5", unknown=[1]),
    ]
    assert rows_of(portions(zipped(tmp_path / "a", usual))).num_rows == len(usual)


class _Miscounting(lines.LinesInStep):
    """Stands for a DuckDB that sees other lines than we do."""

    def take(self, *_: object, **__: object) -> list[lines.Line]:
        raise lines.OutOfStepError


def test_a_file_that_is_counted_otherwise_goes_line_by_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "LinesInStep", _Miscounting)
    found = portions(zipped(tmp_path / "a", [*good_lines(3), b"none", line(event_id="4")]))
    assert rows_of(found)["event_id"].to_pylist() == ["0", "1", "2", "4"]
    assert len(rejected_of(found)) == 1


def test_portions_from_before_a_miscount_are_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "LinesInStep", _Miscounting)
    monkeypatch.setattr(decode, "ROWS", 2048)
    found = portions(zipped(tmp_path / "a", [*good_lines(3_000), b"none", line(event_id="3000")]))
    assert rows_of(found)["event_id"].to_pylist() == [str(number) for number in range(3_001)]
    assert [letter.position for letter in rejected_of(found)] == [f"{KEY} line 3001"]


@pytest.mark.parametrize(("rows", "wanted"), [(2, [1]), (4, [1])])
def test_lines_and_rows_of_different_number_are_out_of_step(tmp_path: Path, rows: int, wanted: list[int]) -> None:
    in_step = lines.LinesInStep(raw(tmp_path / "a", b"\n".join(good_lines(3))))
    with pytest.raises(lines.OutOfStepError):
        in_step.take(0, rows, pa.array(wanted), is_last=True)


def test_a_line_past_the_reader_s_bound_is_one_dead_letter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MAX_LINE_BYTES", MAX_RECORD_BYTES + 10)
    huge = line(city="x" * (3 * MAX_RECORD_BYTES))
    found = portions(zipped(tmp_path / "a", [line(event_id="0"), huge, line(event_id="2")]))
    assert rows_of(found)["event_id"].to_pylist() == ["0", "2"]
    assert [(letter.reason, letter.position) for letter in rejected_of(found)] == [("oversized", f"{KEY} line 2")]


def test_a_line_of_twenty_megabytes_is_one_dead_letter(tmp_path: Path) -> None:
    found = portions(zipped(tmp_path / "a", [line(event_id="0"), line(city="x" * 20_000_000), line(event_id="2")]))
    assert rows_of(found)["event_id"].to_pylist() == ["0", "2"]
    assert [letter.reason for letter in rejected_of(found)] == ["oversized"]


def test_a_small_file_is_read_without_planning_a_query_for_it(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.jsonl.gz", [line(event_id="a"), b"{", line(event_id="b")])
    unusable = duckdb.connect()
    unusable.close()
    small = path.stat().st_size
    [portion] = decode.Decoder(unusable, SETTINGS, seen_at=SEEN, lines_up_to=small)(source_file(), path)
    assert portion.rows["event_id"].to_pylist() == ["a", "b"]
    assert [letter.position for letter in portion.rejected] == [f"{KEY} line 2"]
    assert portion.rows.equals(pa.concat_tables(each.rows for each in portions(path)).combine_chunks())
    with pytest.raises(duckdb.ConnectionException):
        list(decode.Decoder(unusable, SETTINGS, seen_at=SEEN, lines_up_to=small - 1)(source_file(), path))
