"""Bookmarks as documents: what comes back, how much fits, and how pages divide."""

import random
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.state.codec import encode
from jobs.medallion import pages
from jobs.medallion.model import Source, SourceFile
from jobs.medallion.pages import (
    Bookmark,
    DamagedBookmarksError,
    PageEntry,
    decode_index,
    decode_page,
    decode_root,
    digest_of,
    encode_index,
    encode_page,
    encode_root,
    shares,
    update,
)
from tests.unit.jobs.medallion.bronze import file

names = st.text(st.characters(exclude_categories=["Cs"]), max_size=12).map(lambda name: f"raw/events/{name}")
files = st.builds(SourceFile, source=st.just(Source.RAW), key=names, etag=st.text("0123456789abcdef-", max_size=8),
                  size=st.integers(1, 5 << 40))  # fmt: skip
days = st.lists(st.dates().map(date.isoformat), unique=True, max_size=6).map(lambda days: tuple(sorted(days)))
bookmarks = st.builds(Bookmark, file=files, days=days) | files.map(
    lambda file: Bookmark(file=file, days=(), unreadable=True)
)


def marks(*keys: str, etag: str = "e") -> list[Bookmark]:
    return [Bookmark(file=file(key, etag), days=("2026-04-09",)) for key in keys]


@given(st.lists(bookmarks, max_size=8))
def test_a_page_comes_back_as_it_was_written(page: list[Bookmark]) -> None:
    assert decode_page(encode_page(page, 7), Source.RAW) == tuple(page)


@given(
    st.lists(st.builds(PageEntry, names, st.integers(0, 10**6), st.text(max_size=4), st.integers(0, 500)), max_size=5)
)
def test_an_index_comes_back_as_it_was_written(entries: list[PageEntry]) -> None:
    assert decode_index(encode_index(entries, 7)) == tuple(entries)


@given(st.lists(files, max_size=4), st.lists(files, max_size=4))
def test_a_digest_is_that_of_its_files_and_of_no_others(some: list[SourceFile], others: list[SourceFile]) -> None:
    assert (digest_of(some) == digest_of(others)) == (some == others)


@pytest.mark.parametrize(
    "document", [{}, {"files": 1}, {"files": "?"}, {"files": "AAAA"}, {"files": encode_index((), 1)["pages"]}]
)
def test_what_is_no_page_is_told(document: dict[str, object]) -> None:
    with pytest.raises(DamagedBookmarksError):
        decode_page(document, Source.RAW)


@pytest.mark.parametrize("document", [{}, {"pages": 1}, {"pages": "AAAA"}, {"pages": encode_page((), 1)["files"]}])
def test_what_is_no_index_is_told(document: dict[str, object]) -> None:
    with pytest.raises(DamagedBookmarksError):
        decode_index(document)


@given(st.sets(st.text()))
def test_the_months_of_a_source_come_back_in_order(months: set[str]) -> None:
    assert decode_root(encode_root(months, 7)) == tuple(sorted(months))


@pytest.mark.parametrize("document", [{}, {"months": "2026-04"}, {"months": [4]}])
def test_what_is_no_list_of_months_is_told(document: dict[str, object]) -> None:
    with pytest.raises(DamagedBookmarksError):
        decode_root(document)


def test_columns_of_other_lengths_or_days_outside_the_calendar_are_told() -> None:
    for columns in (
        pages._Columns(keys=["a"], etags=[], sizes=[1], days=[None]),
        pages._Columns(keys=["a"], etags=["e"], sizes=[1], days=[(0, 1)]),
        pages._Columns(keys=["a"], etags=["e"], sizes=[1], days=[(1,)]),
    ):
        with pytest.raises(DamagedBookmarksError):
            decode_page({"files": pages._pack(columns)}, Source.RAW)


@given(st.lists(names, unique=True, max_size=12), st.lists(names, unique=True, max_size=4))
def test_every_key_is_the_share_of_one_page(keys: list[str], starts: list[str]) -> None:
    keys.sort()
    entries = [PageEntry(start, n, "", 0) for n, start in enumerate(["", *sorted(starts)])]
    found = [(entry, key) for entry, share in shares(entries, keys) for key in keys[share]]
    assert [key for _, key in found] == keys
    for entry, key in found:
        assert entry.start <= key
        assert not any(entry.start < other.start <= key for other in entries)


def test_names_of_a_thousand_random_letters_fit_too() -> None:
    roll = random.Random(6)
    learnt = marks(
        *sorted("raw/events/" + "".join(map(chr, roll.choices(range(0x4E00, 0x9FFF), k=330))) for _ in range(499))
    )
    entries, changed = update((), {}, learnt)
    assert len(entries) > 1
    for number, page in changed.items():
        encode(f"page {number}", encode_page(page, 1))
    assert [bookmark for entry in entries for bookmark in changed[entry.number]] == learnt


def test_a_page_that_grows_too_large_is_divided_and_the_others_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "PAGE_FILES", 4)
    first, before = update((), {}, marks(*"abcdefgh"))
    assert [(entry.start, entry.number, entry.files) for entry in first] == [("", 0, 4), ("e", 1, 4)]
    second, changed = update(first, {0: tuple(before[0])}, marks("bb"))
    assert [(entry.start, entry.number, entry.files) for entry in second] == [("", 0, 2), ("bb", 2, 3), ("e", 1, 4)]
    assert {number: [each.file.key for each in page] for number, page in changed.items()} == {
        0: ["a", "b"],
        2: ["bb", "c", "d"],
    }
    assert second[2] is first[1]


@given(st.lists(st.tuples(st.sets(names, min_size=1, max_size=5), st.sampled_from("ef")), max_size=8))
def test_pages_hold_what_was_learnt_last_of_every_file(steps: list[tuple[set[str], str]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pages, "PAGE_FILES", 3)
        entries: list[PageEntry] = []
        documents: dict[int, tuple[Bookmark, ...]] = {}
        expected: dict[str, Bookmark] = {}
        for keys, etag in steps:
            learnt = marks(*sorted(keys), etag=etag)
            touched = {entry.number for entry, _ in shares(entries, sorted(keys))}
            entries, changed = update(entries, {number: documents[number] for number in touched}, learnt)
            documents |= {number: tuple(page) for number, page in changed.items()}
            expected |= {bookmark.file.key: bookmark for bookmark in learnt}
            stored = [bookmark for entry in entries for bookmark in documents[entry.number]]
            assert stored == [expected[key] for key in sorted(expected)]
            for entry in entries:
                page = documents[entry.number]
                assert (entry.files, entry.digest) == (len(page), digest_of(each.file for each in page))
                assert 1 <= len(page) <= 3
