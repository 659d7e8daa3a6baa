"""What a run reads: of new, unchanged, replaced, vanished and unreadable files; and what it refuses."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.medallion.bookmarks import Bookmarks, page_key
from jobs.medallion.listing import Scope
from jobs.medallion.model import Plan, Source, ToRead
from jobs.medallion.pages import Bookmark, DamagedBookmarksError
from jobs.medallion.plan import RefusedRunError, Request, Sight, check, is_empty, plan_run
from tests.unit.jobs.medallion.bronze import Bronze, file, landed, raw

ALL = Request(sources=tuple(Source))
RAW = Request(sources=(Source.RAW,))
EVENTS = Request(sources=(Source.EVENTS,))
FULL = Request(sources=(Source.RAW,), full=True)
FORGET = Request(sources=(Source.RAW,), full=True, forget_vanished=True)


def keys(plan: Plan) -> list[str]:
    return [each.file.key for each in plan.read]


def only(plan: Plan) -> dict[str, tuple[str, ...] | None]:
    return {each.file.key: each.only_days for each in plan.read}


async def loaded(**days: str) -> Bronze:
    """Files of the ninth by name, each with rows of some days of April, all read."""
    bronze = Bronze()
    for name, text in days.items():
        await bronze.put(raw(9, name), *(f"2026-04-{day}" for day in text.split()))
    await bronze.run(RAW)
    return bronze


async def test_the_first_run_reads_every_file_whole() -> None:
    bronze = Bronze()
    await bronze.put(raw(9, "b"), "2026-04-09")
    await bronze.put(raw(9, "a"), "2026-04-09")
    plan = await bronze.plan(RAW)
    assert plan == Plan(
        run=1, attempt="a", started=0.0, sources=(Source.RAW,), full=False,
        read=tuple(ToRead(file=each.file) for each in plan.read),
    )  # fmt: skip
    assert keys(plan) == [raw(9, "a"), raw(9, "b")]
    assert not is_empty(plan)


async def test_a_run_after_a_run_has_nothing_to_do() -> None:
    bronze = await loaded(a="09", b="09 10")
    assert is_empty(await bronze.plan(RAW))


async def test_new_files_are_read_and_no_others() -> None:
    bronze = await loaded(a="09", b="09 10")
    await bronze.put(raw(8, "late"), "2026-04-08")
    await bronze.put(raw(9, "c"), "2026-04-09")
    plan = await bronze.run(RAW)
    assert only(plan) == {raw(8, "late"): None, raw(9, "c"): None}
    assert plan.rebuild == ()


async def test_a_replaced_file_has_the_days_of_its_old_version_made_anew_from_all_that_have_rows_of_them() -> None:
    bronze = await loaded(a="09 10", b="10 11", c="11", d="08 09")
    await bronze.put(raw(9, "a"), "2026-04-12")
    plan = await bronze.run(RAW)
    assert plan.rebuild == ("2026-04-09", "2026-04-10")
    assert only(plan) == {raw(9, "a"): None, raw(9, "b"): ("2026-04-10",), raw(9, "d"): ("2026-04-09",)}
    assert is_empty(await bronze.plan(RAW))


async def test_two_replaced_files_are_both_read_whole() -> None:
    bronze = await loaded(a="09", b="09 10", c="10")
    await bronze.put(raw(9, "a"), "2026-04-09", version=1)
    await bronze.put(raw(9, "b"), "2026-04-09", version=1)
    plan = await bronze.run(RAW)
    assert plan.rebuild == ("2026-04-09", "2026-04-10")
    assert only(plan) == {raw(9, "a"): None, raw(9, "b"): None, raw(9, "c"): ("2026-04-10",)}


async def test_a_replaced_file_that_had_no_rows_is_read_and_nothing_is_made_anew() -> None:
    bronze = await loaded(a="", b="09")
    await bronze.store.put(raw(9, "a"), b"2026-04-09,v1")
    plan = await bronze.run(RAW)
    assert (only(plan), plan.rebuild) == ({raw(9, "a"): None}, ())


async def test_an_unreadable_file_is_tried_again_when_it_changes_and_not_before() -> None:
    bronze = await loaded(b="09")
    await bronze.store.put(raw(9, "a"), b"!")
    assert keys(await bronze.run(RAW)) == [raw(9, "a")]
    assert is_empty(await bronze.plan(RAW))
    await bronze.put(raw(9, "a"), "2026-04-09")
    plan = await bronze.run(RAW)
    assert (only(plan), plan.rebuild) == ({raw(9, "a"): None}, ())
    assert {key for _, key, _ in bronze.silver} == {raw(9, "a"), raw(9, "b")}


async def test_a_replaced_file_that_has_become_unreadable_takes_its_rows_with_it() -> None:
    bronze = await loaded(a="09", b="09")
    await bronze.store.put(raw(9, "a"), b"!")
    await bronze.run(RAW)
    assert {key for _, key, _ in bronze.silver} == {raw(9, "b")}
    assert is_empty(await bronze.plan(RAW))


async def test_a_vanished_file_keeps_its_rows_and_is_not_read_again_when_it_returns() -> None:
    bronze = await loaded(a="09", b="09")
    body = await bronze.store.get(raw(9, "a"))
    await bronze.store.delete([raw(9, "a")])
    assert is_empty(await bronze.plan(RAW))
    await bronze.store.put(raw(9, "a"), body)
    assert is_empty(await bronze.plan(RAW))


async def test_days_that_cannot_be_made_anew_are_refused_by_the_names_of_the_files() -> None:
    bronze = await loaded(a="09", b="09", c="10")
    await bronze.store.delete([raw(9, "b")])
    await bronze.put(raw(9, "a"), "2026-04-09", version=1)
    with pytest.raises(RefusedRunError) as refused:
        await bronze.plan(RAW)
    assert raw(9, "a") in str(refused.value)
    assert raw(9, "b") in str(refused.value)
    assert raw(9, "c") not in str(refused.value)


async def test_full_reads_all_files_of_all_sources_that_were_ever_loaded() -> None:
    bronze = await loaded(a="09", b="09 10")
    await bronze.put(landed(9, "e"), "2026-04-09")
    await bronze.run(EVENTS)
    await bronze.put(raw(9, "c"), "2026-04-09")
    await bronze.put(raw(9, "a"), "2026-04-10", version=1)
    plan = await bronze.run(FULL)
    assert (plan.full, plan.sources, plan.rebuild) == (True, (Source.RAW, Source.EVENTS), ())
    assert only(plan) == dict.fromkeys([landed(9, "e"), raw(9, "a"), raw(9, "b"), raw(9, "c")])
    assert is_empty(await bronze.plan(ALL))


async def test_full_leaves_a_source_alone_that_was_never_loaded() -> None:
    bronze = await loaded(a="09")
    await bronze.put(landed(9, "e"), "2026-04-09")
    plan = await bronze.plan(FULL)
    assert (keys(plan), plan.sources) == ([raw(9, "a")], (Source.RAW,))


async def test_full_without_any_file_is_still_something_to_do() -> None:
    plan = await Bronze().run(FULL)
    assert (plan.read, is_empty(plan)) == ((), False)


async def test_full_does_not_lose_vanished_files_unless_told_to() -> None:
    bronze = await loaded(a="09", b="09 10", c="09", d="09", e="09", f="09")
    await bronze.store.delete([raw(9, name) for name in "bcdef"])
    with pytest.raises(RefusedRunError, match=r"5 files \(.*b\.jsonl\.gz, .* and 2 more\).*--forget-vanished"):
        await bronze.plan(FULL)
    plan = await bronze.run(FORGET)
    assert (keys(plan), plan.forgotten) == ([raw(9, "a")], 5)
    assert list(await Bookmarks(bronze.state).all()) == [raw(9, "a")]


async def test_damaged_bookmarks_stop_every_run_but_one_that_needs_none() -> None:
    bronze = await loaded(a="09", b="09")
    document = page_key(Source.RAW, "2026-04", 0)
    await bronze.state.put(document, {"run": 1, "files": "?"}, expected=1)
    await bronze.put(raw(9, "a"), "2026-04-09", version=1)
    for request in (RAW, FULL):
        with pytest.raises(DamagedBookmarksError, match=rf"{document} is .*--full --forget-vanished"):
            await bronze.plan(request)
    assert keys(await bronze.run(FORGET)) == [raw(9, "a"), raw(9, "b")]
    assert is_empty(await bronze.plan(RAW))


async def test_files_outside_the_days_are_neither_read_nor_vanished() -> None:
    bronze = Bronze()
    for day in (8, 9, 10):
        await bronze.put(raw(day, "a"), f"2026-04-{day:02}")
    ninth = Request(sources=(Source.RAW,), scope=Scope(first=date(2026, 4, 9), last=date(2026, 4, 9)))
    assert keys(await bronze.run(ninth)) == [raw(9, "a")]
    assert is_empty(await bronze.plan(ninth))
    assert keys(await bronze.run(RAW)) == [raw(8, "a"), raw(10, "a")]
    await bronze.put(raw(10, "a"), "2026-04-10", version=1)
    assert is_empty(await bronze.plan(ninth))


async def test_days_are_made_anew_from_files_outside_the_days_and_of_other_sources_too() -> None:
    bronze = Bronze()
    await bronze.put(raw(9, "a"), "2026-04-09")
    await bronze.put(raw(10, "b"), "2026-04-09", "2026-04-10")
    await bronze.put(landed(9, "c"), "2026-04-09")
    await bronze.run(ALL)
    await bronze.put(raw(9, "a"), "2026-04-09", version=1)
    await bronze.put(raw(11, "new"), "2026-04-09")
    await bronze.put(landed(9, "new"), "2026-04-09")
    ninth = Request(sources=(Source.RAW,), scope=Scope(first=date(2026, 4, 9), last=date(2026, 4, 9)))
    plan = await bronze.run(ninth)
    assert only(plan) == {raw(9, "a"): None, raw(10, "b"): ("2026-04-09",), landed(9, "c"): ("2026-04-09",)}
    assert plan.sources == (Source.RAW,)
    assert keys(await bronze.run(ALL)) == [landed(9, "new"), raw(11, "new")]


async def test_a_file_that_is_needed_and_was_replaced_itself_brings_the_days_that_it_had() -> None:
    bronze = Bronze()
    await bronze.put(raw(9, "a"), "2026-04-09")
    await bronze.put(landed(9, "b"), "2026-04-09", "2026-04-10")
    await bronze.put(landed(9, "c"), "2026-04-10", "2026-04-11")
    await bronze.run(ALL)
    await bronze.put(raw(9, "a"), "2026-04-09", version=1)
    await bronze.put(landed(9, "b"), "2026-04-12", version=1)
    plan = await bronze.run(RAW)
    assert plan.rebuild == ("2026-04-09", "2026-04-10")
    assert only(plan) == {raw(9, "a"): None, landed(9, "b"): None, landed(9, "c"): ("2026-04-10",)}
    assert is_empty(await bronze.plan(ALL))


async def test_what_is_no_file_is_told_and_is_nothing_to_do() -> None:
    bronze = await loaded(a="09")
    await bronze.store.put("raw/events/read.me", b"x")
    plan = await bronze.plan(RAW)
    assert [key for key, _ in plan.ignored] == ["raw/events/read.me"]
    assert is_empty(plan)
    assert [key for key, _ in (await bronze.plan(FULL)).ignored] == ["raw/events/read.me"]


async def test_a_file_that_was_emptied_counts_as_vanished() -> None:
    bronze = await loaded(a="09", b="09")
    await bronze.store.put(raw(9, "a"), b"")
    plan = await bronze.plan(RAW)
    assert (is_empty(plan), plan.ignored) == (True, ((raw(9, "a"), "it is empty"),))
    with pytest.raises(RefusedRunError, match=r"1 file \(.*a\.jsonl\.gz\)"):
        await bronze.plan(FULL)


@pytest.mark.parametrize(
    "request_",
    [
        Request(sources=(Source.RAW,), full=True, scope=Scope(first=date(2026, 4, 9))),
        Request(sources=(Source.RAW,), forget_vanished=True),
        Request(sources=(Source.RAW,), scope=Scope(first=date(2026, 4, 9), last=date(2026, 4, 8))),
    ],
)
async def test_a_request_that_contradicts_itself_is_refused(request_: Request) -> None:
    with pytest.raises(RefusedRunError):
        check(request_)
    with pytest.raises(RefusedRunError):
        await Bronze().plan(request_)


days = st.lists(st.sampled_from([f"2026-04-{n:02}" for n in range(1, 6)]), unique=True, max_size=3).map(
    lambda found: tuple(sorted(found))
)
known = st.dictionaries(st.sampled_from([raw(1, name) for name in "abcdef"]), days)


@given(known, st.sets(st.sampled_from("abcdef"), max_size=3))
def test_what_is_made_anew_is_read_from_every_file_that_has_rows_of_it(
    before: dict[str, tuple[str, ...]], replaced: set[str]
) -> None:
    bookmarks = {key: Bookmark(file=file(key), days=days) for key, days in before.items()}
    files = {key: file(key, "new" if key[-10] in replaced else "e") for key in before}
    sight = Sight(files=tuple(files.values()), bookmarks=bookmarks, all_files=files)
    plan = plan_run(RAW, sight, run=1, attempt="a", started=0.0)
    assert plan is not None
    old = {day for key in before if files[key].etag == "new" for day in before[key]}
    assert plan.rebuild == tuple(sorted(old))
    for key, touched in before.items():
        shared = tuple(day for day in touched if day in old)
        expected = [None] if files[key].etag == "new" else [shared] if shared else []
        assert [each.only_days for each in plan.read if each.file.key == key] == expected
