"""What may lie below `raw/events/` and is no good ends in a dead letter or a message, and the rest counts."""

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pytest

from headrace.lake.parquet import encode
from tests.integration.medallion_lake import RAW, Shop, event, lines

pytestmark = pytest.mark.usefixtures("restored_logs")


@pytest.fixture
def shop(ministack_url: str, athena_environment: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Shop:
    return Shop(ministack_url, monkeypatch, tmp_path)


def test_a_bad_file_is_told_of_and_its_neighbours_count(shop: Shop) -> None:
    whole = gzip.compress(b"".join(json.dumps(event(n)).encode() + b"\n" for n in range(50_000)))
    shop.put(f"{RAW}/cut.jsonl.gz", whole[: len(whole) // 2])
    shop.put(f"{RAW}/plain.jsonl.gz", b'{"event_id":"plain"}\n')
    shop.put(f"{RAW}/blank.jsonl.gz", lines([]))
    shop.put(f"{RAW}/no-bytes.jsonl.gz", b"")
    shop.put(f"{RAW}/wrong.json", b"{}")
    shop.put("raw/events/nowhere.jsonl.gz", lines([event(60_001)]))
    shop.raw("with space, ünicode+plus%20'quote.jsonl.gz", event(60_002))
    shop.raw("good.jsonl.gz", event(60_003))

    said = shop.run("--source", "raw")
    assert shop.ids() == ["e60001", "e60002", "e60003"]
    letters = {letter.position: letter for letter in shop.dead_letters()}
    assert {letter.reason for letter in letters.values()} == {"unreadable_file"}
    assert letters.keys() == {f"{RAW}/cut.jsonl.gz", f"{RAW}/plain.jsonl.gz"}
    assert "broken off" in letters[f"{RAW}/cut.jsonl.gz"].detail
    assert f"{RAW}/cut.jsonl.gz" in said
    assert f"{RAW}/no-bytes.jsonl.gz" in said
    assert "does not end with .jsonl.gz" in said

    shop.put(f"{RAW}/cut.jsonl.gz", lines([event(60_004)]))
    shop.run("--source", "raw")
    assert "e60004" in shop.ids()
    assert len(shop.dead_letters()) == 2, "what is bookmarked as unreadable is not told of again"


def test_columns_of_other_types_names_and_files_of_other_shapes_make_rows_or_dead_letters(shop: Shop) -> None:
    renamed = {("visit_id" if key == "session_id" else key): value for key, value in event(1).items()}
    vanished = {key: value for key, value in event(2).items() if key not in {"price", "category", "user_id"}}
    shop.raw("renamed.jsonl.gz", renamed)
    shop.raw("vanished.jsonl.gz", vanished)
    shop.raw("mixed.jsonl.gz", event(3, price="cheap"), event(4, quantity=1.5), event(5, geo="DE"), event(6, rating=4))
    shop.run("--source", "raw")
    assert shop.ids() == ["e2", "e6"]
    assert [(letter.reason, letter.position) for letter in shop.dead_letters()] == [
        ("wrong_type", f"{RAW}/mixed.jsonl.gz line 1"),
        ("wrong_type", f"{RAW}/mixed.jsonl.gz line 2"),
        ("wrong_type", f"{RAW}/mixed.jsonl.gz line 3"),
        ("missing_field", f"{RAW}/renamed.jsonl.gz line 1"),
    ]
    assert shop.ask("SELECT user_id LIKE 'anon-%', price FROM silver_events WHERE event_id = 'e2'") == [(True, None)]


def test_the_same_file_under_two_keys_counts_once(shop: Shop) -> None:
    shop.raw("a.jsonl.gz", event(1), event(2))
    shop.raw("b.jsonl.gz", event(1), event(2))
    shop.run("--source", "raw")
    assert shop.ids() == ["e1", "e2"]
    shop.raw("c.jsonl.gz", event(1), event(2))
    shop.run("--source", "raw")
    assert shop.ids() == ["e1", "e2"]


def test_landed_files_that_are_none_are_told_of_and_older_ones_may_lack_columns(shop: Shop) -> None:
    folder = "events/year=2026/month=04/day=09/hour=08"
    old = pa.table({
        "event_id": ["old"], "session_id": ["s"], "event_type": ["page_view"],
        "event_time": pa.array([1_775_721_600_000_000], pa.timestamp("us")),
    })  # fmt: skip
    shop.put(f"{folder}/l-s-0000000001-0.parquet", encode(old))
    shop.put(f"{folder}/l-s-0000000002-0.parquet", encode(old)[:-20])
    shop.put(f"{folder}/l-s-0000000003-0.parquet", encode(old.rename_columns(["id", *old.column_names[1:]])))
    text = pa.array(["2026-04-09T08:00:00Z"])
    shop.put(f"{folder}/l-s-0000000004-0.parquet", encode(old.set_column(3, "event_time", text)))
    shop.run("--source", "events")
    assert shop.ids() == ["old"]
    assert [(letter.reason, letter.position[-19:]) for letter in shop.dead_letters()] == [
        ("unreadable_file", f"{number}-0.parquet"[-19:]) for number in ("0000000002", "0000000003", "0000000004")
    ]
