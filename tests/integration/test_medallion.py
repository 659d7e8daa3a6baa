"""`headrace job medallion` against the local cloud: bronze to gold, run after run."""

import asyncio
import gzip
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.medallion_lake import Shop, event
from tests.integration.medallion_traffic import Bulk, land

pytestmark = pytest.mark.usefixtures("restored_logs")

NewShop = Callable[[], Shop]


@pytest.fixture
def new_shop(ministack_url: str, athena_environment: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> NewShop:
    return lambda: Shop(ministack_url, monkeypatch, tmp_path)


@pytest.fixture
def shop(new_shop: NewShop) -> Shop:
    return new_shop()


def test_bronze_becomes_tables_that_named_queries_ask_and_only_what_is_new_is_read(shop: Shop) -> None:
    shop.raw("a.jsonl.gz", *map(event, range(9)))
    shop.run("--source", "raw")
    assert shop.ids() == [f"e{n}" for n in range(9)]
    assert shop.gold()["hourly_revenue"] == [("2026-04-09", 8, 12.5, 3, 12.5 / 3, 5)]
    first = (shop.days(), shop.manifests())

    shop.run("--source", "raw")
    assert (shop.days(), shop.manifests()) == first, "nothing new is no run"

    shop.raw("b.jsonl.gz", event(9), event(10, "2026-04-10"))
    shop.run("--source", "raw")
    assert len(shop.ids()) == 11
    assert sorted(shop.days()) == ["2026-04-09", "2026-04-10"]
    assert len(shop.manifests()) == 2
    assert shop.ask("SELECT count(*) FROM all_events") == [(11,)]
    assert shop.ask("SELECT max(run) FROM gold_runs") == [(2,)]

    incremental = (shop.silver(), shop.gold())
    shop.run("--full")
    assert (shop.silver(), shop.gold()) == incremental


def test_late_events_change_their_day_and_no_other(shop: Shop) -> None:
    shop.raw("a.jsonl.gz", *(event(n, f"2026-04-0{7 + n % 3}") for n in range(9)))
    shop.run("--source", "raw")
    places, rows = shop.days(), shop.silver()

    late = "raw/events/year=2026/month=04/day=12/hour=23/minute=59/late.jsonl.gz"
    shop.raw(late, event(20, "2026-04-08"))
    shop.run("--source", "raw")
    assert {day for day, place in shop.days().items() if place != places[day]} == {"2026-04-08"}
    changed = shop.silver()
    assert len(changed.pop("2026-04-08")) == len(rows.pop("2026-04-08")) + 1
    assert changed == rows


def test_streamed_events_make_the_rows_and_answers_of_the_same_events_loaded_raw(new_shop: NewShop) -> None:
    bulk = Bulk(late=0.2)
    streamed = new_shop()
    asyncio.run(land(streamed.settings, list(bulk.records())))
    streamed.run("--source", "events")
    by_stream = (streamed.silver(), streamed.gold())

    raw = new_shop()
    for key, body in bulk.files.items():
        raw.put(key, body)
    raw.run("--source", "raw")
    assert sum(map(len, by_stream[0].values())) == bulk.summary.events
    assert (raw.silver(), raw.gold()) == by_stream


def test_a_flawed_load_makes_the_tables_of_a_clean_one_and_tells_of_each_bad_line(new_shop: NewShop) -> None:
    found = []
    for flaws in ({}, {"bad_lines": 0.03, "duplicates": 0.05}):
        shop = new_shop()
        bulk = Bulk(late=0.1, **flaws)
        for key, body in bulk.files.items():
            shop.put(key, body)
        shop.run("--source", "raw")
        found.append((shop.silver(), shop.gold()))
    assert found[0] == found[1]

    letters = shop.dead_letters()
    assert len(letters) == bulk.summary.bad_lines > 0
    for letter in letters:
        key, _, line = letter.position.rpartition(" line ")
        assert gzip.decompress(bulk.files[key]).split(b"\n")[int(line) - 1].strip() == b64decode(letter.payload)


def test_both_sources_feed_one_silver_and_an_event_in_both_counts_once(shop: Shop) -> None:
    bulk = Bulk(events=600, minutes=2)
    asyncio.run(land(shop.settings, list(bulk.records())))
    shop.run("--source", "events")
    streamed = shop.silver()
    for key, body in bulk.files.items():
        shop.put(key, body)
    shop.run("--source", "raw")
    assert shop.silver() == streamed
    assert shop.ask("SELECT count(*), count(DISTINCT event_id) FROM all_events") == [(600, 600)]


def test_replaced_files_take_their_old_rows_with_them_and_vanished_ones_leave_theirs(shop: Shop) -> None:
    kept = shop.raw("kept.jsonl.gz", event(1), event(2, "2026-04-10"))
    replaced = shop.raw("replaced.jsonl.gz", event(3), event(4, "2026-04-11"))
    shop.run("--source", "raw")
    shop.raw(replaced, event(5), event(2, "2026-04-10"))
    shop.run("--source", "raw")
    assert shop.ids() == ["e1", "e2", "e5"]
    assert sorted(shop.days()) == ["2026-04-09", "2026-04-10"]

    shop.delete(kept)
    shop.run("--source", "raw")
    assert shop.ids() == ["e1", "e2", "e5"]
    before = (shop.days(), shop.manifests())
    shop.raw(replaced, event(6))
    for refused in (shop.job("--source", "raw"), shop.job("--full")):
        assert refused.exit_code == 1
        assert kept in f"{refused.output}{refused.exception}"
    assert (shop.days(), shop.manifests()) == before
    shop.run("--full", "--forget-vanished")
    assert shop.ids() == ["e6"]


def test_steps_that_run_by_themselves_make_the_tables_of_one_run_and_none_is_taken_out_of_turn(shop: Shop) -> None:
    early = shop.job("silver")
    assert early.exit_code == 1
    assert "plan" in str(early.exception)
    shop.raw("a.jsonl.gz", *(event(n, colour="red", geo={"country": "DE", "planet": "earth"}) for n in range(6)))
    shop.run("plan", "--source", "raw")
    for step in ("silver", "gold", "publish", "register"):
        assert shop.keys("silver/") == [] or step == "register", "nothing is published before it is decided"
        shop.run(step)
    apart = (shop.silver(), shop.gold())
    assert all(apart[1].values())
    assert shop.ask("SELECT DISTINCT country FROM all_events") == [("DE",)]
    assert shop.dead_letters() == []
    shop.run("--full")
    assert (shop.silver(), shop.gold()) == apart
