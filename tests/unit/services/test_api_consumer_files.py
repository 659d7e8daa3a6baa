"""Files as sources: what is in them comes out, page by page, and damage never passes for an end."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import ConfigError, StopError
from headrace.events.mapping import Mapping, parse_mapping
from services.api_consumer.files import FileSource, open_sources, source_id
from services.api_consumer.ports import Page
from services.api_consumer.splitter import split_values

BOM = b"\xef\xbb\xbf"
objects = st.dictionaries(st.text(), st.text() | st.integers() | st.lists(st.dictionaries(st.text(), st.text())))


async def pages(path: Path, *, limit: int = 100, mapping: Mapping | None = None, position: Any = None) -> list[Page]:
    return [page async for page in FileSource(path, limit=limit, mapping=mapping).pages(position)]


async def payloads(path: Path, **options: Any) -> list[bytes]:
    return [bytes(payload) for page in await pages(path, **options) for payload in page.payloads]


def written(path: Path, body: bytes) -> Path:
    path.write_bytes(gzip.compress(body) if path.suffix == ".gz" else body)
    return path


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.json", "a.json.gz"])
async def test_lines_come_out_as_they_are_without_bom_and_blank_lines(tmp_path: Path, name: str) -> None:
    path = written(tmp_path / name, BOM + b'{"a":1}\r\n\n  \n{"b": \xff}\nno json\n{"c":')
    assert await payloads(path) == [b'{"a":1}', b'{"b": \xff}', b"no json", b'{"c":']


@pytest.mark.parametrize("name", ["a.json", "a.json.gz"])
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'[{"a":1},\n {"b":[{"c":"]"}]}\n]', [b'{"a":1}', b'{"b":[{"c":"]"}]}']),
        (b'{\n "a": 1\n}', [b'{\n "a": 1\n}']),
        (b'{"a":1}{"b":2}', [b'{"a":1}', b'{"b":2}']),
        (b'{\n"a":1}\n{"b":"}"}', [b'{\n"a":1}', b'{"b":"}"}']),
        (b'[{"a":1}]\n[{"b":2}]', [b'{"a":1}', b'{"b":2}']),
        (b'[1, "x", null, [2]]', [b"1", b'"x"', b"null", b"[2]"]),
        (b'[{"a":1},{"b":"cut o', [b'{"a":1}', b'{"b":"cut o']),
        (b"[]", []),
        (b"", []),
    ],
)
async def test_json_is_an_array_an_object_or_several(
    tmp_path: Path, name: str, body: bytes, expected: list[bytes]
) -> None:
    assert await payloads(written(tmp_path / name, body)) == expected


@given(st.lists(objects, max_size=5), st.integers(1, 20), st.booleans(), st.sampled_from([None, 1]))
def test_values_are_split_alike_wherever_the_chunks_end(
    values: list[Any], size: int, array: bool, indent: int | None
) -> None:
    text = (
        json.dumps(values, ensure_ascii=False, indent=indent)
        if array
        else " ".join(json.dumps(value, indent=indent) for value in values)
    ).encode()
    chunks = [text[n : n + size] for n in range(0, len(text), size)]
    assert [json.loads(value) for value in split_values(chunks)] == values


async def test_a_csv_without_a_mapping_has_our_keys_and_types_and_no_empty_cells(tmp_path: Path) -> None:
    path = written(
        tmp_path / "a.csv.gz",
        BOM + b"session_id,event_time,event_type,quantity,price,is_bot,city,own\r\n"
        b's1,1775721600,click,2,1.50,true,"a ""b""\r\nc",7\r\ns2,1,click,,,,,\r\n',
    )
    assert [json.loads(payload) for payload in await payloads(path)] == [
        {
            "session_id": "s1", "timestamp": "1775721600", "event_type": "click", "quantity": 2, "price": 1.5,
            "is_bot": True, "city": 'a "b"\r\nc', "own": "7",
        },
        {"session_id": "s2", "timestamp": "1", "event_type": "click"},
    ]  # fmt: skip


async def test_a_csv_follows_the_mappings_delimiter_and_null(tmp_path: Path) -> None:
    mapping = parse_mapping(
        'session="gap:1h"\n[fields]\nevent_type="t"\ntimestamp="at"\n[csv]\ndelimiter=";"\nnull="NA"\n'
    )
    path = written(tmp_path / "a.csv", b"t;at;x\nclick,1;2;NA\n")
    assert [json.loads(payload) for payload in await payloads(path, mapping=mapping)] == [{"t": "click,1", "at": "2"}]


async def test_rows_of_another_width_and_broken_text_come_out_to_be_rejected(tmp_path: Path) -> None:
    path = written(
        tmp_path / "a.csv",
        b"a,b\n1,2\n1\n1,2,3\n\n\xff,2\n" + (endless := b'"%s",2\n' % (b"x" * (1 << 20) + b"x")) + b"3,4\ncut",
    )
    found = await payloads(path)
    assert [payload for payload in found if payload.startswith(b"{")] == [
        b'{"a":"1","b":"2"}', b'{"a": "\xff", "b": "2"}', b'{"a":"3","b":"4"}',
    ]  # fmt: skip
    assert [payload for payload in found if not payload.startswith(b"{")] == [
        b'["1"]', b'["1","2","3"]', endless, b'["cut"]',
    ]  # fmt: skip


async def test_pages_are_cut_at_the_limit_and_a_position_goes_on_where_it_was(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", b"".join(b"%d\n" % n for n in range(5)))
    whole = await pages(path, limit=2)
    assert [(list(page.payloads), page.after, page.exhausted) for page in whole] == [
        ([b"0", b"1"], 2, False), ([b"2", b"3"], 4, False), ([b"4"], 5, False), ([], {"end": 5}, True),
    ]  # fmt: skip
    assert await pages(path, limit=2, position=2) == whole[1:]
    assert await pages(path, limit=2, position=5) == whole[3:]


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.json.gz", "a.csv.gz"])
async def test_a_cut_off_gzip_gives_all_that_can_be_read_and_then_fails(tmp_path: Path, name: str) -> None:
    lines = [b'{"n":%d}' % n for n in range(20_000)]
    if name == "a.csv.gz":
        lines = [b"n", *(b"%d" % n for n in range(20_000))]
    path = tmp_path / name
    whole = gzip.compress(b"\n".join(lines))
    path.write_bytes(whole[: len(whole) * 2 // 3])
    taken: list[bytes] = []
    with pytest.raises(StopError, match="damaged"):  # noqa: PT012 - the pages before it are the point
        async for page in FileSource(path, limit=1000, mapping=None).pages(None):
            assert not page.exhausted
            taken += [bytes(payload) for payload in page.payloads]
    assert len(taken) > 5_000
    assert json.loads(taken[4_000]) == {"n": 4000 if name != "a.csv.gz" else "4000"}


async def test_a_line_of_any_length_takes_bounded_memory(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl.gz", b"x" * (40 << 20) + b"\n{}\n")
    found = await payloads(path)
    assert [len(payload) for payload in found] == [16 << 20, 2]


def test_a_changed_file_is_another_source(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", b"{}\n")
    before = source_id(path)
    assert source_id(tmp_path / "." / "a.jsonl") == before
    path.write_bytes(b"{}\n{}\n")
    assert source_id(path) != before


def test_all_unusable_files_are_told_at_once(tmp_path: Path) -> None:
    good = written(tmp_path / "a.jsonl", b"")
    bad = written(tmp_path / "a.xml", b"")
    with pytest.raises(ConfigError) as caught:
        open_sources([str(good), str(bad), str(tmp_path / "b.csv")], limit=1, mapping=None)
    assert len(caught.value.problems) == 2


async def test_a_file_that_was_read_to_its_end_is_not_read_again(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl.gz", gzip.compress(b"1\n2\n"))
    *_, last = await pages(path)
    source = FileSource(path, limit=10, mapping=None)
    path.unlink()
    assert [page async for page in source.pages(last.after)] == [last]
