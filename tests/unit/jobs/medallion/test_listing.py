"""Which objects are files of a source, and which days are asked for."""

from collections.abc import AsyncIterator
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.lake.memory import MemoryStore
from headrace.lake.ports import ObjectInfo
from jobs.medallion.listing import ROOTS, Scope, day_of, list_source
from jobs.medallion.model import Source
from tests.unit.jobs.medallion.bronze import landed, raw


class WatchedStore(MemoryStore):
    """Knows which keys it told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []

    async def list(self, prefix: str, *, after: str = "") -> AsyncIterator[ObjectInfo]:
        async for info in super().list(prefix, after=after):
            self.told.append(info.key)
            yield info


async def filled(*keys: str) -> WatchedStore:
    store = WatchedStore()
    for key in keys:
        await store.put(key, b"body")
    return store


async def test_the_files_of_a_source_come_in_order_of_key_with_etag_and_size() -> None:
    store = await filled(raw(9, "b"), raw(9, "a"), landed(9, "c"))
    listing = await list_source(store, Source.RAW)
    assert [file.key for file in listing.files] == [raw(9, "a"), raw(9, "b")]
    head = await store.head(raw(9, "a"))
    assert head is not None
    assert (listing.files[0].source, listing.files[0].etag, listing.files[0].size) == (Source.RAW, head.etag, 4)
    assert [file.key for file in (await list_source(store, Source.EVENTS)).files] == [landed(9, "c")]


@pytest.mark.parametrize("name", ["a b", "ünï çödé", "日本", "%2F+&=#?", "a..b", "a_b"])
async def test_names_with_spaces_and_unicode_are_names(name: str) -> None:
    listing = await list_source(await filled(raw(9, name)), Source.RAW)
    assert [file.key for file in listing.files] == [raw(9, name)]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("a.json.gz", "does not end with .jsonl.gz"),
        ("a.jsonl", "does not end with .jsonl.gz"),
        ("a.JSONL.GZ", "does not end with .jsonl.gz"),
        ("a.parquet", "does not end with .jsonl.gz"),
        ("year=2026/", "marks a folder"),
        ("_temporary/a.jsonl.gz", "begins with _"),
        ("year=2026/.a.jsonl.gz", "begins with _ or a dot"),
    ],
)
async def test_what_is_no_file_is_ignored_with_the_reason(name: str, reason: str) -> None:
    listing = await list_source(await filled(f"raw/events/{name}"), Source.RAW)
    assert listing.files == ()
    [(key, why)] = listing.ignored
    assert key == f"raw/events/{name}"
    assert reason in why


async def test_an_empty_file_is_ignored_and_says_so() -> None:
    store = await filled(raw(9, "a"))
    await store.put(raw(9, "b"), b"")
    listing = await list_source(store, Source.RAW)
    assert [file.key for file in listing.files] == [raw(9, "a")]
    assert listing.ignored == ((raw(9, "b"), "it is empty"),)


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        (None, None, [8, 9, 10, 11]),
        (9, 10, [9, 10]),
        (9, None, [9, 10, 11]),
        (None, 9, [8, 9]),
        (12, None, []),
    ],
)
async def test_days_narrow_by_path(first: int | None, last: int | None, expected: list[int]) -> None:
    store = await filled(*(raw(day, "a") for day in (8, 9, 10, 11)))
    scope = Scope(first=first and date(2026, 4, first), last=last and date(2026, 4, last))
    listing = await list_source(store, Source.RAW, scope)
    assert [file.key for file in listing.files] == [raw(day, "a") for day in expected]


async def test_of_days_outside_no_key_is_asked_for_but_the_one_that_ends_the_listing() -> None:
    store = await filled(*(raw(day, name) for day in range(1, 29) for name in "abc"))
    await list_source(store, Source.RAW, Scope(first=date(2026, 4, 9), last=date(2026, 4, 10)))
    assert store.told == [raw(day, name) for day in (9, 10) for name in "abc"] + [raw(11, "a")]


async def test_with_days_what_says_no_day_is_left_out_and_not_ignored() -> None:
    store = await filled("raw/events/a.jsonl.gz", "raw/events/year=2026/a.txt", raw(9, "a"))
    listing = await list_source(store, Source.RAW, Scope(first=date(2026, 1, 1)))
    assert [file.key for file in listing.files] == [raw(9, "a")]
    assert listing.ignored == ()


@pytest.mark.parametrize(
    ("path", "day"),
    [
        ("raw/events/year=2026/month=04/day=09/hour=00/minute=59/a", date(2026, 4, 9)),
        ("events/year=2026/month=04/day=09/a", date(2026, 4, 9)),
        ("events/year=2026/month=02/day=31/a", None),
        ("events/year=0000/month=01/day=01/a", None),
        ("events/year=2026/month=4/day=9/a", None),
        ("events/x/year=2026/month=04/day=09/a", None),
        ("events/year=2026/month=04/day=09", None),
    ],
)
def test_the_day_of_a_path(path: str, day: date | None) -> None:
    assert day_of(path) == day


@given(st.dates(), st.dates(), st.dates(), st.sampled_from(Source), st.text(max_size=3))
def test_what_a_scope_covers_lies_in_its_span(first: date, last: date, day: date, source: Source, name: str) -> None:
    root = ROOTS[source]
    key = f"{root}year={day.year:04}/month={day.month:02}/day={day.day:02}/{name}"
    scope = Scope(first=first, last=last)
    after, before = scope.span(root)
    assert scope.covers(key) == (first <= day <= last) == (after < key < before)
