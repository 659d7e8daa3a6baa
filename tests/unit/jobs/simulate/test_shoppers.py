import functools
import hashlib
import itertools
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.events.schema import KNOWN_EVENT_TYPES, Event
from jobs.simulate.shoppers import BLOCK_MS, VISIT_BLOCKS, Block, Item, Shoppers

FIRST = 1_775_721_600_000 // BLOCK_MS
BLOCKS_OF_TEN_MINUTES = 600_000 // BLOCK_MS


def blocks(count: int, *, seed: int = 7, rate: float = 50.0, first: int = FIRST) -> list[Block]:
    return list(itertools.islice(Shoppers(seed=seed, rate=rate).blocks(first), count))


def digest(blocks: list[Block]) -> str:
    return hashlib.sha256(repr(blocks).encode()).hexdigest()


@pytest.fixture(scope="module")
def events() -> list[Event]:
    decode = msgspec.json.Decoder(Event).decode
    return [decode(item.data) for block in blocks(BLOCKS_OF_TEN_MINUTES) for item in block]


@given(offset=st.integers(0, VISIT_BLOCKS + 10))
@settings(max_examples=15)
def test_a_block_is_the_same_wherever_the_reader_began(offset: int) -> None:
    assert blocks(1, rate=5, first=FIRST + offset)[0] == _from_the_start()[offset]


@functools.cache
def _from_the_start() -> list[Block]:
    return blocks(VISIT_BLOCKS + 11, rate=5)


def test_another_process_makes_the_same_bytes() -> None:
    code = (
        "import hashlib, itertools; from jobs.simulate.shoppers import Shoppers;"
        f"blocks = list(itertools.islice(Shoppers(seed=7, rate=50.0).blocks({FIRST}), 3));"
        "print(hashlib.sha256(repr(blocks).encode()).hexdigest())"
    )
    there = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=30)
    assert there.stdout.strip() == digest(blocks(3))


def test_another_seed_makes_other_visits() -> None:
    assert digest(blocks(3)) != digest(blocks(3, seed=8))


def test_items_are_in_time_order_and_inside_their_block() -> None:
    for number, block in enumerate(blocks(20), start=FIRST):
        times = [item.at_ms for item in block]
        assert times == sorted(times)
        assert all(at // BLOCK_MS == number for at in times)


def test_an_item_is_handed_out_at_the_time_of_its_event_and_keyed_by_its_session() -> None:
    for item in blocks(1)[0]:
        event = msgspec.json.decode(item.data, type=Event)
        assert (item.at_ms, item.key) == (event.event_time, event.session_id)


@pytest.mark.parametrize("rate", [5.0, 50.0])
def test_the_rate_holds_within_a_tenth(rate: float) -> None:
    count = BLOCKS_OF_TEN_MINUTES * 6 if rate < 10 else BLOCKS_OF_TEN_MINUTES
    made = sum(map(len, blocks(count, rate=rate)))
    assert made / (count * BLOCK_MS / 1000) == pytest.approx(rate, rel=0.1)


def test_event_ids_are_unique(events: list[Event]) -> None:
    assert len({event.event_id for event in events}) == len(events)


def test_an_event_is_about_500_bytes() -> None:
    sizes = [len(item.data) for block in blocks(10) for item in block]
    assert 400 < sum(sizes) / len(sizes) < 600


def test_every_known_type_occurs_and_no_other(events: list[Event]) -> None:
    assert {event.event_type for event in events} == KNOWN_EVENT_TYPES


def test_less_is_bought_than_carted_and_less_carted_than_viewed_for_every_product_of_a_session() -> None:
    decode = msgspec.json.Decoder(Event).decode
    seen: defaultdict[tuple[str | None, str | None], Counter[str]] = defaultdict(Counter)
    for event in (decode(item.data) for item in _whole_sessions(blocks(BLOCKS_OF_TEN_MINUTES))):
        count = seen[event.session_id, event.product_id]
        count[event.event_type] += 1
        if event.product_id:
            assert count["purchase"] + count["remove_from_cart"] <= count["add_to_cart"] <= count["page_view"]
    assert sum(count["purchase"] for count in seen.values()) > 100


def _whole_sessions(blocks: list[Block]) -> Iterator[Item]:
    """Without those that were under way when the first block began."""
    earlier = {item.key for block in blocks[:VISIT_BLOCKS] for item in block}
    for block in blocks[VISIT_BLOCKS:]:
        yield from (item for item in block if item.key not in earlier)


def test_purchases_say_what_they_cost_and_some_leave_the_revenue_to_the_pipeline(events: list[Event]) -> None:
    purchases = [event for event in events if event.event_type == "purchase"]
    assert all(event.price and event.quantity and event.currency == "EUR" for event in purchases)
    given_revenue = [event for event in purchases if event.revenue is not None]
    assert 0.3 < len(given_revenue) / len(purchases) < 0.7
    assert all(event.price and event.revenue == event.price * (event.quantity or 0) for event in given_revenue)


def test_popularity_follows_zipf(events: list[Event]) -> None:
    views = Counter(event.product_id for event in events if event.event_type == "page_view" and event.product_id)
    first, second, tenth = views["p-1001"], views["p-1002"], views["p-1010"]
    assert first / second == pytest.approx(2, rel=0.25)
    assert first / tenth == pytest.approx(10, rel=0.35)


def test_some_visitors_are_anonymous_and_some_come_back(events: list[Event]) -> None:
    sessions = {event.session_id: event.user_id for event in events}
    users = Counter(user for user in sessions.values() if user)
    assert 0.2 < sum(users.values()) / len(sessions) < 0.8
    assert max(users.values()) > 1


def test_a_login_ends_anonymity(events: list[Event]) -> None:
    signed_in: set[str | None] = set()
    for event in events:
        if event.event_type in {"login", "signup"}:
            signed_in.add(event.session_id)
        assert event.user_id is not None or event.session_id not in signed_in


def test_a_visitor_has_one_device_and_one_address(events: list[Event]) -> None:
    traits = defaultdict(set)
    for event in events:
        if event.user_id:
            traits[event.user_id].add((event.user_agent, event.ip))
    assert all(len(seen) == 1 for seen in traits.values())


def test_addresses_are_from_the_ranges_for_documentation(events: list[Event]) -> None:
    prefixes = ("192.0.2.", "198.51.100.", "203.0.113.", "2001:db8:")
    assert {prefix for prefix in prefixes for event in events if str(event.ip).startswith(prefix)} == set(prefixes)
    assert all(str(event.ip).startswith(prefixes) for event in events)


def test_a_scanned_code_comes_from_the_source_qr(events: list[Event]) -> None:
    scans = [event for event in events if event.event_type == "qr_scan"]
    assert scans
    assert all(event.source == "qr" and event.product_id for event in scans)
