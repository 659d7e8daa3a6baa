"""What only a file can do wrong: rows of CSV, ends without end, compression, and values that are larger than memory."""

import gzip
import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.errors import StopError
from headrace.events.mapping import parse_mapping
from services.api_consumer import splitter
from services.api_consumer.files import FileSource
from services.api_consumer.splitter import split_values
from tests.unit.bad_input.table import BEFORE, BEHIND
from tests.unit.bad_input.ways import through_file

HEADER = "event_id,session_id,event_type,timestamp,city\n"
MAPPING = parse_mapping('[fields]\nsession_id="visit"\nevent_type="what"\ntimestamp="when"\n')


async def test_csv_with_a_renamed_column_rejects_each_row_for_the_field_it_now_lacks(tmp_path: Path) -> None:
    body = HEADER.replace("session_id", "visit_id") + "1,s,click,1775721600,Oslo\n2,s,click,1775721600,Rome\n"
    landed = await through_file(tmp_path / "a.csv", body.encode())
    assert ([letter.reason for letter in landed.dead], landed.rows) == (["missing_field"] * 2, ())


async def test_csv_with_a_renamed_optional_column_lands_and_keeps_the_stranger_apart(tmp_path: Path) -> None:
    body = HEADER.replace("city", "town") + "1,s,click,1775721600,Oslo\n"
    landed = await through_file(tmp_path / "a.csv", body.encode())
    assert [(row["event_id"], row["city"]) for row in landed.rows] == [("1", None)]
    assert [letter.reason for letter in landed.extra] == ["extra_columns"]


@pytest.mark.parametrize("header", ["visit,what", "visit,what,at"])
async def test_csv_whose_mapped_column_vanished_or_was_renamed_rejects_each_row(tmp_path: Path, header: str) -> None:
    cells = ",".join(["s", "click", "1775721600"][: header.count(",") + 1])
    landed = await through_file(tmp_path / "a.csv", f"{header}\n{cells}\n{cells}\n".encode(), MAPPING)
    assert ([letter.reason for letter in landed.dead], landed.rows) == (["missing_field"] * 2, ())


async def test_a_last_line_that_is_cut_off_is_rejected_and_those_before_it_land(tmp_path: Path) -> None:
    landed = await through_file(tmp_path / "a.jsonl", BEFORE + b"\n" + BEHIND[:-20])
    assert [row["event_id"] for row in landed.rows] == ["before"]
    assert [letter.reason for letter in landed.dead] == ["malformed_json"]


async def test_a_last_row_of_csv_that_is_cut_off_in_a_cell_before_the_last_is_rejected(tmp_path: Path) -> None:
    landed = await through_file(tmp_path / "a.csv", (HEADER + "1,s,click,1775721600,Oslo\n2,s,cli").encode())
    assert [row["event_id"] for row in landed.rows] == ["1"]
    assert [letter.reason for letter in landed.dead] == ["wrong_type"]


async def test_the_row_in_which_a_damaged_csv_breaks_off_is_no_row_even_when_its_width_fits(tmp_path: Path) -> None:
    rows = [f"{n},s,click,1775721600,{'Oslo' * 20}{n}\n" for n in range(20_000)]
    whole = gzip.compress((HEADER + "".join(rows)).encode())
    (tmp_path / "a.csv.gz").write_bytes(whole[: len(whole) // 2])
    payloads = []
    with pytest.raises(StopError, match="damaged"):  # noqa: PT012 - what came before it is the point
        async for page in FileSource(tmp_path / "a.csv.gz", limit=1000, mapping=None).pages(None):
            payloads += [json.loads(bytes(payload)) for payload in page.payloads]
    assert len(payloads) > 1000
    for n, payload in enumerate(payloads[:-1]):
        assert payload["city"] == f"{'Oslo' * 20}{n}"
    assert isinstance(payloads[-1], list)


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.json.gz"])
async def test_a_gzip_bomb_is_one_oversized_dead_letter_with_a_pointer_and_its_neighbours_land(
    tmp_path: Path, name: str
) -> None:
    bomb = b'{"session_id":"' + b"x" * (20 << 20) + b'"}'
    body = b"\n".join([BEFORE, bomb, BEHIND]) if "jsonl" in name else b"[" + b",".join([BEFORE, bomb, BEHIND]) + b"]"
    landed = await through_file(tmp_path / name, gzip.compress(body, compresslevel=1))
    assert [row["event_id"] for row in landed.rows] == ["before", "behind"]
    [letter] = landed.dead
    assert (letter.reason, letter.payload, letter.position) == ("oversized", "", "src:p:1")
    assert "payload not kept" in letter.detail


async def test_a_row_of_csv_without_end_is_oversized_and_the_next_one_lands(tmp_path: Path) -> None:
    endless = ",".join(["x"] * (9 << 20))
    landed = await through_file(tmp_path / "a.csv", (HEADER + endless + "\n2,s,click,1775721600,Oslo\n").encode())
    assert [row["event_id"] for row in landed.rows] == ["2"]
    assert [(letter.reason, letter.payload) for letter in landed.dead] == [("oversized", "")]


@pytest.mark.parametrize("opening", [b'["', b'[{"a":"', b"[[", b"9", b" "])
def test_a_json_text_without_end_takes_bounded_memory(opening: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splitter, "MAX_VALUE_BYTES", limit := 1 << 20)
    unit = {b"[[": b"[" + b"x" * 1022 + b"],", b"9": b"9" * 1024, b" ": b" " * 1024}.get(opening, b"x" * 1024)
    chunk = unit * 64

    def endless() -> Iterator[bytes]:
        yield opening
        for _ in range(160):
            yield chunk

    tracemalloc.start()
    try:
        longest = max((len(value) for value in split_values(endless())), default=0)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert longest <= limit + len(chunk)
    assert peak < 4 * limit
