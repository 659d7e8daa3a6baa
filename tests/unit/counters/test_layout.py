from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.counters.layout import (
    Bucket,
    Span,
    bucket_of,
    entity_key,
    entity_partition,
    entity_partitions,
    page_path,
    plan,
    range_of,
    sort_range,
    spread,
)
from headrace.counters.ports import CountKey, Counts, Entity, Window

NOW = datetime(2026, 4, 9, 12, 35, 30, tzinfo=UTC).timestamp()
MINUTE = int(NOW // 60)
HOUR = 60
DAY = 24 * HOUR


def items(minute: int, counts: Counts | None = None) -> dict[str, dict[str, int | Decimal]]:
    deltas = {CountKey(Entity.PRODUCT, "p", minute): counts or Counts(views=1)}
    return {key.sk: dict(added.numbers) for key, added in plan("o", deltas, NOW).items()}


@given(st.text(max_size=2000))
def test_every_id_fits_a_key_and_names_itself(text: str) -> None:
    key = entity_key(text)
    assert len(key.encode("utf-8", "surrogatepass")) <= 900
    assert entity_key(key) == key


def test_ids_that_differ_at_their_far_end_have_different_keys() -> None:
    assert entity_key("x" * 1000 + "a") != entity_key("x" * 1000 + "b")


@given(st.text(), st.text(max_size=5))
def test_a_reader_looks_where_any_origin_writes(entity_id: str, origin: str) -> None:
    written = entity_partition(Entity.PAGE, entity_key(entity_id), spread(origin))
    assert written in entity_partitions(Entity.PAGE, entity_id)


def test_the_shards_of_a_stream_are_spread_over_all_buckets() -> None:
    assert {spread(f"ab12cd34-shardId-{n:012}") for n in range(32)} == {0, 1, 2, 3}


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.text(max_size=20))
def test_sort_keys_are_in_order_of_time(left: int, right: int, origin: str) -> None:
    older, newer = sorted((left, right))
    first, last = Bucket(Span.MINUTE, older).sort_key, Bucket(Span.MINUTE, newer).sort_key
    assert first <= last
    assert older == newer or first + origin < last


def test_a_key_range_takes_in_every_origin_and_no_other_bucket() -> None:
    first, last = sort_range(range_of(Window.WEEK, NOW))
    today = MINUTE // DAY
    for day, inside in ((today - 7, False), (today - 6, True), (today, True), (today + 1, False)):
        for origin in ("", "o", "\U0010fffe"):
            assert (first <= Bucket(Span.DAY, day).sort_key + origin <= last) is inside
    assert not first <= Bucket(Span.ALL, 0).sort_key + "o" <= last


def test_a_recent_event_is_kept_by_minute_day_and_for_all_time() -> None:
    assert items(MINUTE) == {
        "all#o": {"v": 1},
        "day#0000020552#o": {"v": 1, "v12": 1},
        "minute#0029595635#o": {"v": 1},
    }


def test_amounts_are_apart_by_currency_and_hour() -> None:
    counts = Counts(purchases=1, quantity=3, revenue={"EUR": Decimal("1.5"), "USD": Decimal(2)})
    assert items(MINUTE, counts)["day#0000020552#o"] == {
        "p": 1, "p12": 1, "q": 3, "q12": 3,
        "r_EUR": Decimal("1.5"), "r12_EUR": Decimal("1.5"), "r_USD": 2, "r12_USD": 2,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("age", "kept"),
    [
        (59, ["all#o", "day#0000020552#o", "minute#0029595576#o"]),
        (60, ["all#o", "day#0000020552#o"]),
        (30 * DAY, ["all#o"]),
        (20_000 * DAY, ["all#o"]),
        (40_000 * DAY, ["all#o"]),
    ],
)
def test_what_is_past_a_retention_is_not_written(age: int, kept: list[str]) -> None:
    assert list(items(MINUTE - age)) == kept


def test_hours_that_no_window_shows_are_not_written_apart() -> None:
    assert items(MINUTE - 2 * DAY)["day#0000020550#o"] == {"v": 1}


def test_an_entity_without_any_count_is_not_written() -> None:
    assert items(MINUTE, Counts()) == {}


def test_an_item_expires_when_its_last_window_has_passed() -> None:
    def expiry(span: Span) -> datetime:
        expires = bucket_of(span, MINUTE).expires
        assert expires is not None
        return datetime.fromtimestamp(expires, UTC)

    assert expiry(Span.MINUTE) == datetime(2026, 4, 9, 13, 35, tzinfo=UTC)
    assert expiry(Span.HOUR) == datetime(2026, 4, 10, 12, tzinfo=UTC)
    assert expiry(Span.DAY) == datetime(2026, 5, 9, tzinfo=UTC)
    assert bucket_of(Span.ALL, MINUTE).expires is None


def test_ids_that_share_an_item_are_added_up_in_it() -> None:
    long = "x" * 1000
    deltas = {CountKey(Entity.PRODUCT, name, MINUTE): Counts(views=1) for name in (long, entity_key(long))}
    assert {added.numbers["v"] for added in plan("o", deltas, NOW).values()} == {2}


def test_a_plan_does_not_depend_on_the_order_of_deltas() -> None:
    deltas = {CountKey(Entity.PAGE, f"/{n}", MINUTE - n): Counts(views=1) for n in range(20)}
    assert list(plan("o", deltas, NOW)) == list(plan("o", dict(reversed(deltas.items())), NOW))


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("https://shop.example/p/1?ref=x#top", "/p/1"),
        ("HTTP://shop.example:8080", "/"),
        ("https://shop.example?x=/y", "/"),
        ("//cdn.example/a", "/a"),
        ("/p/1?x", "/p/1"),
        ("/p/#/route", "/p/"),
        ("p/1", "p/1"),
        ("Talk:Headrace", "Talk:Headrace"),
        ("android-app://com.example/x", "/x"),
        ("?x", "/"),
        ("", "/"),
        ("/a\nb?c", "/a\nb"),
    ],
)
def test_a_page_is_the_path_of_its_address(url: str, path: str) -> None:
    assert page_path(url) == path
