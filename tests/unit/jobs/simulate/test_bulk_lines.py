import hashlib
import json
from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from jobs.simulate.bulk.places import Folder
from jobs.simulate.catalogue import products
from tests.unit.jobs.simulate.bulk_world import EVENTS, NOON, lines_of, made, make, plan_of

DIGEST = "5e66cc503658ea2c607920df276d0155a1208578dd554672a9b91264357757a6"
"""SHA-256 of the lines of a run. It changes only with what a seed makes: raise the plan's version then, so that other
bytes get other keys."""


@pytest.fixture(scope="module")
def lines() -> list[bytes]:
    store, _ = made(plan_of())
    return lines_of(store)


@pytest.fixture(scope="module")
def events(lines: list[bytes]) -> list[dict[str, Any]]:
    return [json.loads(line, parse_float=Decimal) for line in lines]


def test_a_seed_makes_the_bytes_that_it_has_always_made(lines: list[bytes]) -> None:
    assert hashlib.sha256(b"\n".join(lines)).hexdigest() == DIGEST


def test_an_event_has_our_keys_and_its_place_as_an_object(events: list[dict[str, Any]]) -> None:
    ours = {"event_id", "session_id", "user_id", "event_type", "timestamp", "device_type", "user_agent", "ip", "geo"}
    assert all(ours <= event.keys() for event in events)
    assert all(event["geo"].keys() == {"country", "region", "city"} for event in events)
    assert len({event["event_id"] for event in events}) == EVENTS
    window = range(int(NOON.timestamp()) * 1000 - 300_000, int(NOON.timestamp()) * 1000)
    assert all(event["timestamp"] in window for event in events)


def test_nothing_is_carted_before_it_was_viewed_nor_bought_before_it_was_carted(events: list[dict[str, Any]]) -> None:
    done: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)
    for event in events:
        kind, product, seen = event["event_type"], event.get("product_id", ""), done[event["session_id"]]
        if kind == "add_to_cart":
            assert ("page_view", product) in seen
        if kind in {"purchase", "remove_from_cart"}:
            assert ("add_to_cart", product) in seen
        if kind == "purchase":
            assert ("checkout_started", "") in seen
        seen.add((kind, product))


def test_prices_and_categories_are_the_catalogues_and_revenue_is_price_times_quantity(
    events: list[dict[str, Any]],
) -> None:
    known = {item.product_id: item for item in products()}
    offers = [event for event in events if "product_id" in event]
    assert len(offers) > EVENTS / 2
    for event in offers:
        item = known[event["product_id"]]
        assert (event["category"], event["price"], event["currency"]) == (item.category, item.price, "EUR")
        assert event["event_type"] != "page_view" or event["page_url"] == item.url
        assert ("revenue" in event) == (event["event_type"] == "purchase")
        assert "revenue" not in event or event["revenue"] == event["price"] * event["quantity"]


def test_a_users_device_and_place_stay_the_same_and_some_users_come_again(events: list[dict[str, Any]]) -> None:
    known: defaultdict[str, set[tuple[str, ...]]] = defaultdict(set)
    visits: defaultdict[str, set[str]] = defaultdict(set)
    for event in events:
        known[event["user_id"]].add((event["user_agent"], event["ip"], *event["geo"].values()))
        visits[event["user_id"]].add(event["session_id"])
    assert all(len(each) == 1 for each in known.values())
    assert sum(len(each) > 1 for each in visits.values()) > 10


def test_duckdb_finds_the_shares_that_the_simulator_has(tmp_path: Path) -> None:
    summary = make(plan_of(40_000, files=2), Folder(tmp_path))
    table = (
        f"read_json('{tmp_path}/raw/events/*/*/*/*/*/*.jsonl.gz', format = 'newline_delimited', "
        "hive_partitioning = true, columns = {event_id: 'VARCHAR', event_type: 'VARCHAR', product_id: 'VARCHAR'})"
    )
    db = duckdb.connect()
    assert db.execute(f"SELECT count(*), count(DISTINCT event_id), count(DISTINCT minute) FROM {table}").fetchone() == (
        summary.events,
        summary.events,
        5,
    )
    shares = dict(db.execute(f"SELECT event_type, count(*) / 4e4 FROM {table} GROUP BY 1").fetchall())
    walks = {"page_view": 0.64, "search": 0.086, "add_to_cart": 0.071, "click": 0.063, "purchase": 0.02}
    assert {kind: shares[kind] for kind in walks} == pytest.approx(walks, rel=0.25)
    top, eighth = (
        db.execute(f"SELECT count(*) FROM {table} WHERE product_id = ? AND event_type = 'page_view'", [name]).fetchone()
        for name in ("p-1001", "p-1008")
    )
    assert top
    assert eighth
    assert top[0] / eighth[0] == pytest.approx(8, rel=0.2)  # Zipf's law
