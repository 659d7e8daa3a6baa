"""What was read: a bookmark per source file, in few documents of the state table.

- `medallion:files:{source}` names the months of which there are bookmarks, by path; `-` is for paths without one.
- `medallion:files:{source}:{month}` is that month's index: its pages, with a digest of each one's files.
- `medallion:files:{source}:{month}:{number}` is a page: key, ETag, size and days of up to 500 files.

A listing whose files of a page have that page's digest needs no look at the page. Every document has the number of the
run that made it, and none is replaced by that of an older run.
"""

import contextlib
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from headrace.concurrency import for_each
from headrace.errors import ConflictError, StopError
from headrace.state.codec import encode
from headrace.state.ports import StateStore
from jobs.medallion.listing import Listing
from jobs.medallion.model import FileReport, Plan, Source, SourceFile
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

T = TypeVar("T")

PREFIX = "medallion:files:"
"""Of the keys of all documents with bookmarks."""

AT_ONCE = 16
"""Documents read or written at once."""

NO_MONTH = "-"

WAY_OUT = "--full --forget-vanished reads all files that there are, and needs no bookmarks"

_MONTH = re.compile(r"(?:raw/)?events/year=(\d{4})/month=(\d{2})/", re.ASCII)

Documents = dict[str, dict[str, Any]]
"""Whole values of documents, by key. Each has the number of the run that made it: `{"run": 7, …}`."""


class SilverReportError(StopError):
    """What the silver step says of the files does not fit the plan: nothing may be decided on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Where a listing and the bookmarks may differ. What else was listed is bookmarked as it was listed."""

    files: tuple[SourceFile, ...]
    """In order of key."""
    bookmarks: Mapping[str, Bookmark]
    """By key: those of `files` that have one, and some more."""


class Bookmarks:
    """The bookmarks as the last run left them. Of use only while no decided run waits to be applied."""

    def __init__(self, state: StateStore) -> None:
        self._state = state

    async def sources(self) -> tuple[Source, ...]:
        """The sources that files were loaded from."""
        return tuple([source for source in Source if await self._months(source)])

    async def difference(self, listing: Listing) -> Difference:
        """Compare. Reads the index of every month that was listed, and the pages whose files do not look the same."""
        files: list[SourceFile] = []
        bookmarks: dict[str, Bookmark] = {}

        async def compare(item: tuple[str, list[SourceFile]]) -> None:
            month, listed = item
            entries = await self._index(listing.source, month)
            if not entries:
                files.extend(listed)
            looked_at = []
            for entry, share in shares(entries, [file.key for file in listed]):
                if digest_of(listed[share]) != entry.digest:
                    files.extend(listed[share])
                    looked_at.append(entry)
            for page in (await self._pages(listing.source, month, looked_at)).values():
                bookmarks.update((bookmark.file.key, bookmark) for bookmark in page)

        await for_each(by_month(listing.files, lambda file: file.key).items(), compare, limit=AT_ONCE)
        return Difference(files=tuple(sorted(files, key=lambda file: file.key)), bookmarks=bookmarks)

    async def all(self) -> dict[str, Bookmark]:
        """Every bookmark of every source, by key. Reads every document."""
        found: dict[str, Bookmark] = {}
        for source in Source:
            for month in await self._months(source):
                pages = await self._pages(source, month, await self._index(source, month))
                found.update((bookmark.file.key, bookmark) for page in pages.values() for bookmark in page)
        return found

    async def after(self, plan: Plan, reports: Sequence[FileReport]) -> Documents:
        """The documents that a run changes, as they are once it is applied.

        Raises `ConflictError` when a later run has been applied, `RequestError` when a document becomes too large,
        and what `learnt_from` raises.
        """
        learnt: dict[Source, list[Bookmark]] = defaultdict(list)
        for bookmark in learnt_from(plan, reports):
            learnt[bookmark.file.source].append(bookmark)
        documents: Documents = {}
        for source in Source if plan.full else learnt:
            documents |= await self._after(plan, source, learnt[source])
        for key, value in documents.items():
            encode(key, value)  # refused now, not once the run is decided
        return documents

    async def _after(self, plan: Plan, source: Source, learnt: list[Bookmark]) -> Documents:
        documents: Documents = {}
        known = await self._months(source, before=plan.run)
        months = by_month(learnt, lambda bookmark: bookmark.file.key)
        for month, bookmarks in months.items():
            entries: Sequence[PageEntry] = () if plan.full else await self._index(source, month, before=plan.run)
            touched = [entry for entry, _ in shares(entries, [bookmark.file.key for bookmark in bookmarks])]
            entries, pages = update(entries, await self._pages(source, month, touched), bookmarks)
            for number, page in pages.items():
                documents[page_key(source, month, number)] = encode_page(page, plan.run)
            documents[index_key(source, month)] = encode_index(entries, plan.run)
        if plan.full:
            forgotten = set(known) - set(months)
            documents |= {index_key(source, month): encode_index((), plan.run) for month in forgotten}
            known = ()
        if plan.full or not set(months) <= set(known):
            documents[root_key(source)] = encode_root({*known, *months}, plan.run)
        return documents

    async def _months(self, source: Source, *, before: int | None = None) -> tuple[str, ...]:
        return await self._read(root_key(source), decode_root, before=before)

    async def _index(self, source: Source, month: str, *, before: int | None = None) -> tuple[PageEntry, ...]:
        return await self._read(index_key(source, month), decode_index, before=before)

    async def _pages(self, source: Source, month: str, entries: Sequence[PageEntry]) -> dict[int, tuple[Bookmark, ...]]:
        pages: dict[int, tuple[Bookmark, ...]] = {}

        async def read(entry: PageEntry) -> None:
            key = page_key(source, month, entry.number)
            page = await self._read(key, lambda document: decode_page(document, source))
            if digest_of([bookmark.file for bookmark in page]) != entry.digest:
                raise DamagedBookmarksError(f"document {key} is not what the index beside it says; {WAY_OUT}")
            pages[entry.number] = page

        await for_each(entries, read, limit=AT_ONCE)
        return pages

    async def _read(
        self, key: str, decode: Callable[[dict[str, Any]], tuple[T, ...]], *, before: int | None = None
    ) -> tuple[T, ...]:
        """A document's content, none when it is not there. Of a run below `before`, else `ConflictError`."""
        found = await self._state.get(key)
        if found is None:
            return ()
        if before is not None and found.value["run"] >= before:
            raise ConflictError(f"document {key} is of run {found.value['run']}: run {before} comes too late")
        try:
            return decode(found.value)
        except DamagedBookmarksError as error:
            raise DamagedBookmarksError(f"document {key} is {error}; {WAY_OUT}") from error


def learnt_from(plan: Plan, reports: Sequence[FileReport]) -> list[Bookmark]:
    """The bookmarks of the files that a run read, in order of key.

    A file that was read for some of its days only keeps the bookmark that it has. Raises `SilverReportError` when the
    reports are not those of the plan's files, or when such a file could not be read: its rows would be lost.
    """
    by_key = {report.file.key: report for report in reports}
    if {each.file.key: each.file for each in plan.read} != {key: report.file for key, report in by_key.items()}:
        raise SilverReportError("the files that were reported are not those that were to be read")
    learnt = []
    for each in plan.read:
        report = by_key[each.file.key]
        if each.only_days is None:
            learnt.append(Bookmark(file=each.file, days=report.days, unreadable=report.error is not None))
        elif report.error is not None:
            raise SilverReportError(f"{each.file.key} was read before and cannot be read now: {report.error}")
    return sorted(learnt, key=lambda bookmark: bookmark.file.key)


async def write_documents(state: StateStore, documents: Documents) -> None:
    """Bring documents to the values that a run gave them. Safe to repeat, by any process at any time.

    A document that this run or a later one has written already stays as it is.
    """

    async def write(item: tuple[str, dict[str, Any]]) -> None:
        key, value = item
        while True:
            found = await state.get(key)
            if found is not None and found.value["run"] >= value["run"]:
                return
            with contextlib.suppress(ConflictError):  # somebody applies the same run; or a later one, and is ahead
                await state.put(key, value, expected=found.version if found is not None else 0)
                return

    await for_each(documents.items(), write, limit=AT_ONCE)


def root_key(source: Source) -> str:
    """Key of the document that names the months of a source."""
    return f"{PREFIX}{source}"


def index_key(source: Source, month: str) -> str:
    """Key of a month's index."""
    return f"{PREFIX}{source}:{month}"


def page_key(source: Source, month: str, number: int) -> str:
    """Key of a page."""
    return f"{PREFIX}{source}:{month}:{number:05}"


def by_month(items: Iterable[T], key_of: Callable[[T], str]) -> dict[str, list[T]]:
    """Files by the month that their path says, each in the order given."""
    months: dict[str, list[T]] = defaultdict(list)
    for item in items:
        match = _MONTH.match(key_of(item))
        months[f"{match[1]}-{match[2]}" if match else NO_MONTH].append(item)
    return months
