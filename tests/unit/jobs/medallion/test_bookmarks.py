"""What is read and written of the bookmarks, and how the documents of runs follow one another."""

import random

import pytest

from headrace.errors import ConflictError, RequestError
from headrace.state import codec
from headrace.state.memory import MemoryStateStore
from jobs.medallion.bookmarks import (
    Bookmarks,
    SilverReportError,
    index_key,
    learnt_from,
    page_key,
    root_key,
    write_documents,
)
from jobs.medallion.listing import EVERYTHING, Listing, list_source
from jobs.medallion.model import FileReport, Plan, Source, SourceFile, ToRead
from jobs.medallion.pages import Bookmark, DamagedBookmarksError
from jobs.medallion.plan import Request
from tests.unit.jobs.medallion.bronze import Bronze, CountingState, file, landed, raw

ALL = Request(sources=tuple(Source))
RAW = Request(sources=(Source.RAW,))


def plan_of(*read: ToRead, run: int = 1, full: bool = False) -> Plan:
    return Plan(run=run, attempt="a", started=0.0, sources=(Source.RAW,), full=full, read=read)


def report(of: SourceFile, *days: str, error: str | None = None) -> FileReport:
    return FileReport(file=of, rows=len(days), rejected=0, days=days, error=error)


def listing(*files: SourceFile) -> Listing:
    return Listing(source=Source.RAW, scope=EVERYTHING, files=files, ignored=())


async def load(state: MemoryStateStore, files: list[SourceFile], run: int = 1) -> None:
    plan = plan_of(*(ToRead(file=each) for each in files), run=run)
    reports = [report(each, "2026-04-09") for each in files]
    await write_documents(state, await Bookmarks(state).after(plan, reports))


async def test_what_a_run_read_is_known_afterwards() -> None:
    bronze = Bronze()
    await bronze.put(raw(9, "a"), "2026-04-08", "2026-04-09")
    await bronze.store.put(landed(9, "b"), b"!")
    await bronze.run(ALL)
    known = await Bookmarks(bronze.state).all()
    assert {key: (mark.days, mark.unreadable) for key, mark in known.items()} == {
        raw(9, "a"): (("2026-04-08", "2026-04-09"), False),
        landed(9, "b"): ((), True),
    }
    assert await Bookmarks(bronze.state).sources() == (Source.RAW, Source.EVENTS)


async def test_the_months_of_all_runs_are_known() -> None:
    state = MemoryStateStore()
    for run, month in enumerate((4, 3, 4), start=1):
        await load(state, [file(raw(9, f"{run}", month=month))], run=run)
    assert list(await Bookmarks(state).all()) == [raw(9, "2", month=3), raw(9, "1"), raw(9, "3")]


async def test_before_the_first_run_nothing_is_known() -> None:
    bookmarks = Bookmarks(MemoryStateStore())
    assert await bookmarks.sources() == ()
    assert await bookmarks.all() == {}
    difference = await bookmarks.difference(listing(file("raw/events/a.jsonl.gz")))
    assert (len(difference.files), difference.bookmarks) == (1, {})


async def test_a_hundred_thousand_files_of_one_folder_fit_and_cost_one_read_when_nothing_changed() -> None:
    state, roll = CountingState(), random.Random(6)
    names = sorted(f"{roll.getrandbits(128):032x}" for _ in range(100_000))
    files = [file(raw(9, name), f"{roll.getrandbits(128):032x}", roll.randrange(1, 1 << 24)) for name in names]
    await load(state, files)
    sizes = {key: len(codec.encode(key, document.value)) for key, document in (await state.list("")).items()}
    assert len(sizes) == 200 + 2
    assert max(sizes.values()) < 50_000
    state.calls.clear()
    difference = await Bookmarks(state).difference(listing(*files))
    assert (difference.files, difference.bookmarks) == ((), {})
    assert dict(state.calls) == {"get": 1}


async def test_an_unchanged_listing_costs_one_read_a_month() -> None:
    state = CountingState()
    files = [file(raw(1 + n % 28, f"{n:06}", month=1 + n % 5)) for n in range(5_000)]
    files.sort(key=lambda each: each.key)
    await load(state, files)
    state.calls.clear()
    assert (await Bookmarks(state).difference(listing(*files))).files == ()
    assert dict(state.calls) == {"get": 5}


async def test_one_more_file_costs_one_page() -> None:
    state = CountingState()
    files = [file(raw(9, f"{n:06}"), size=n + 1) for n in range(5_000)]
    await load(state, files)
    state.calls.clear()
    new = file(raw(9, "002500-new"))
    difference = await Bookmarks(state).difference(listing(*sorted([*files, new], key=lambda each: each.key)))
    assert new in difference.files
    assert len(difference.files) <= 501
    assert dict(state.calls) == {"get": 2}
    state.calls.clear()
    plan = plan_of(ToRead(file=new), run=2)
    documents = await Bookmarks(state).after(plan, [report(new, "2026-04-09")])
    assert len(documents) <= 3
    assert dict(state.calls) == {"get": 3}


async def test_vanished_months_and_pages_cost_nothing_and_stay_bookmarked() -> None:
    state = CountingState()
    old = [file(raw(9, f"{n:06}", month=3)) for n in range(1_000)]
    files = [file(raw(9, f"{n:06}")) for n in range(1_000)]
    await load(state, old + files)
    state.calls.clear()
    difference = await Bookmarks(state).difference(listing(*files[500:]))
    assert difference.files == ()
    assert dict(state.calls) == {"get": 1}
    assert len(await Bookmarks(state).all()) == 2_000


async def test_paths_without_a_month_have_pages_of_their_own() -> None:
    state = CountingState()
    odd = [file(f"raw/events/{name}.jsonl.gz") for name in ("a b", "year=2026/x", "zürich")]
    await load(state, odd)
    assert (await Bookmarks(state).difference(listing(*odd))).files == ()
    assert await state.get(index_key(Source.RAW, "-")) is not None
    assert await Bookmarks(state).sources() == (Source.RAW,)


async def test_a_file_that_was_read_in_part_keeps_its_bookmark() -> None:
    whole, part = file(raw(9, "a")), file(raw(9, "b"))
    plan = plan_of(ToRead(file=whole), ToRead(file=part, only_days=("2026-04-09",)))
    reports = [report(part, "2026-04-09"), report(whole, "2026-04-10")]
    assert learnt_from(plan, reports) == [Bookmark(file=whole, days=("2026-04-10",))]


def test_a_file_whose_rows_are_needed_and_that_cannot_be_read_stops_the_run() -> None:
    part = file(raw(9, "b"))
    plan = plan_of(ToRead(file=part, only_days=("2026-04-09",)))
    with pytest.raises(SilverReportError, match=r"b\.jsonl\.gz .* no gzip"):
        learnt_from(plan, [report(part, error="no gzip")])


@pytest.mark.parametrize("told", [[], ["a", "b"], ["b"]])
def test_reports_of_other_files_than_the_plan_named_stop_the_run(told: list[str]) -> None:
    plan = plan_of(ToRead(file=file(raw(9, "a"))))
    with pytest.raises(SilverReportError):
        learnt_from(plan, [report(file(raw(9, name))) for name in told])


async def test_documents_are_written_once_however_often_they_are_applied() -> None:
    state = CountingState()
    await load(state, [file(raw(9, "a"))])
    before = {key: document.version for key, document in (await state.list("")).items()}
    assert set(before) == {root_key(Source.RAW), index_key(Source.RAW, "2026-04"), page_key(Source.RAW, "2026-04", 0)}
    await write_documents(state, {key: document.value for key, document in (await state.list("")).items()})
    assert {key: document.version for key, document in (await state.list("")).items()} == before


async def test_a_document_of_a_later_run_is_not_overwritten_by_an_older_one() -> None:
    state = MemoryStateStore()
    await write_documents(state, {"a": {"run": 1, "n": 1}})
    await write_documents(state, {"a": {"run": 3, "n": 3}})
    await write_documents(state, {"a": {"run": 2, "n": 2}, "b": {"run": 2, "n": 2}})
    assert {key: document.value["n"] for key, document in (await state.list("")).items()} == {"a": 3, "b": 2}


async def test_a_write_that_meets_another_of_the_same_run_is_done() -> None:
    class Beaten(MemoryStateStore):
        async def put(self, key: str, value: dict[str, object], *, expected: int) -> int:
            await super().put(key, value, expected=expected)
            raise ConflictError("somebody was faster")

    state = Beaten()
    await write_documents(state, {"a": {"run": 1, "n": 1}})
    found = await state.get("a")
    assert found is not None
    assert (found.value, found.version) == ({"run": 1, "n": 1}, 1)


@pytest.mark.parametrize("full", [False, True])
async def test_a_run_that_was_decided_already_makes_no_documents(full: bool) -> None:
    state = MemoryStateStore()
    await load(state, [file(raw(9, "a"))], run=2)
    plan = plan_of(ToRead(file=file(raw(9, "b"))), run=2, full=full)
    with pytest.raises(ConflictError, match="comes too late"):
        await Bookmarks(state).after(plan, [report(file(raw(9, "b")))])


async def test_a_page_that_is_not_what_its_index_says_is_told() -> None:
    state = MemoryStateStore()
    await load(state, [file(raw(9, "a")), file(raw(9, "b"))])
    key = page_key(Source.RAW, "2026-04", 0)
    other = MemoryStateStore()
    await load(other, [file(raw(9, "a"))])
    page = await other.get(key)
    assert page is not None
    await state.put(key, page.value, expected=1)
    with pytest.raises(DamagedBookmarksError, match=key):
        await Bookmarks(state).all()


async def test_a_document_that_would_be_too_large_is_refused_before_the_run_is_decided(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(codec, "MAX_BYTES", 100)
    with pytest.raises(RequestError, match="medallion:files:raw"):
        await load(MemoryStateStore(), [file(raw(9, "a"))])


async def test_full_forgets_months_and_what_comes_back_to_them_is_read_again() -> None:
    bronze = Bronze()
    old, new = raw(9, "a", month=3), raw(9, "a")
    await bronze.put(old, "2026-03-09")
    await bronze.put(new, "2026-04-09")
    await bronze.run(RAW)
    await bronze.store.delete([old])
    plan = await bronze.run(Request(sources=(Source.RAW,), full=True, forget_vanished=True))
    assert (plan.forgotten, bronze.silver) == (1, {("2026-04-09", new, b"2026-04-09,v0")})
    assert set(await Bookmarks(bronze.state).all()) == {new}
    await bronze.put(old, "2026-03-09")
    assert [each.file.key for each in (await bronze.run(RAW)).read] == [old]


async def test_a_listing_from_the_store_is_the_same_as_the_bookmarks_made_of_it() -> None:
    bronze = Bronze()
    for n in range(7):
        await bronze.put(raw(1 + n, "a"), f"2026-04-{n + 1:02}")
    await bronze.run(RAW)
    difference = await Bookmarks(bronze.state).difference(await list_source(bronze.store, Source.RAW))
    assert difference.files == ()
