"""Pages of bookmarks, and the indexes that name them, as documents and as values. Nothing here does I/O.

The pages of a month divide its keys: each holds those from its start on, up to the next one's start, and the first
starts with the empty key. A page that grows past its limits is divided evenly; its neighbours stay as they are.
"""

import base64
import binascii
import functools
import hashlib
import itertools
import zlib
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from typing import Any, TypeVar

import msgspec

from headrace.errors import StopError
from headrace.state.codec import MAX_BYTES
from jobs.medallion.model import Source, SourceFile

PAGE_FILES = 500
"""Most bookmarks of a page: about 30 KB. 100,000 files take some 200 pages."""

UNPACKED_BYTES = MAX_BYTES * 2 // 3
"""Most bytes of a page before it is packed: as text it then fits in a document even if nothing of it shrinks."""

T = TypeVar("T")

Document = dict[str, Any]


class DamagedBookmarksError(StopError):
    """Bookmarks that cannot be read, or that are not what their index says."""


class Bookmark(msgspec.Struct, frozen=True, kw_only=True):
    """A file as it was last read."""

    file: SourceFile
    days: tuple[str, ...]
    """Days of its rows, ascending."""
    unreadable: bool = False
    """Whether it could not be read at all: not tried again under the same ETag."""


class PageEntry(msgspec.Struct, frozen=True, array_like=True):
    """What an index says of a page."""

    start: str
    number: int
    """Its name; pages that are neighbours need not have numbers that are."""
    digest: str
    """Of the files in it, see `digest_of`."""
    files: int


class _Columns(msgspec.Struct, frozen=True):
    """The bookmarks of a page. `days`: per file first day and count of each run of days in a row; None: unreadable."""

    keys: list[str]
    etags: list[str]
    sizes: list[int]
    days: list[tuple[int, ...] | None]


def digest_of(files: Iterable[SourceFile]) -> str:
    """Changes when any key, ETag or size does. Of files in order of key."""
    text = msgspec.json.encode([(file.key, file.etag, file.size) for file in files])
    return hashlib.blake2b(text, digest_size=16).hexdigest()


def encode_page(bookmarks: Sequence[Bookmark], run: int) -> Document:
    """Bookmarks in order of key → the document of their page."""
    return {"run": run, "files": _pack(_columns(bookmarks))}


def decode_page(document: Document, source: Source) -> tuple[Bookmark, ...]:
    """The reverse of `encode_page`. Raises `DamagedBookmarksError`."""
    columns = _unpack(document.get("files"), _Columns)
    bookmarks = []
    try:
        for key, etag, size, runs in zip(columns.keys, columns.etags, columns.sizes, columns.days, strict=True):
            file = SourceFile(source=source, key=key, etag=etag, size=size)
            days = () if runs is None else _days_of_runs(runs)
            bookmarks.append(Bookmark(file=file, days=days, unreadable=runs is None))
    except (ValueError, OverflowError) as error:
        raise DamagedBookmarksError(f"no page of bookmarks: {error}") from error
    return tuple(bookmarks)


def encode_index(entries: Sequence[PageEntry], run: int) -> Document:
    """The pages of a month, in order of key → the document of its index."""
    return {"run": run, "pages": _pack(entries)}


def decode_index(document: Document) -> tuple[PageEntry, ...]:
    """The reverse of `encode_index`. Raises `DamagedBookmarksError`."""
    return _unpack(document.get("pages"), tuple[PageEntry, ...])


def encode_root(months: Iterable[str], run: int) -> Document:
    """The months of a source of which there are bookmarks → the document that names them."""
    return {"run": run, "months": sorted(months)}


def decode_root(document: Document) -> tuple[str, ...]:
    """The reverse of `encode_root`. Raises `DamagedBookmarksError`."""
    try:
        return msgspec.convert(document.get("months"), tuple[str, ...])
    except msgspec.ValidationError as error:
        raise DamagedBookmarksError(f"no list of months: {error}") from error


def shares(entries: Sequence[PageEntry], keys: Sequence[str]) -> Iterator[tuple[PageEntry, slice]]:
    """Which of `keys`, in order, belong to which page: the pages that have any, in order."""
    starts = [bisect_left(keys, entry.start) for entry in entries]
    for entry, (start, end) in zip(entries, itertools.pairwise([*starts, len(keys)]), strict=True):
        if start < end:
            yield entry, slice(start, end)


def update(
    entries: Sequence[PageEntry], before: dict[int, tuple[Bookmark, ...]], learnt: Sequence[Bookmark]
) -> tuple[list[PageEntry], dict[int, Sequence[Bookmark]]]:
    """The pages of a month with bookmarks added or replaced → all pages, and by number those that changed.

    `learnt` is in order of key. `before` has the bookmarks of the pages to which the keys of `learnt` belong.
    """
    entries = entries or [PageEntry("", 0, "", 0)]
    numbers = itertools.count(len(entries))  # no page ever leaves an index
    changes = dict(shares(entries, [bookmark.file.key for bookmark in learnt]))
    after: list[PageEntry] = []
    changed: dict[int, Sequence[Bookmark]] = {}
    for entry in entries:
        if entry not in changes:
            after.append(entry)
            continue
        merged = {bookmark.file.key: bookmark for bookmark in (*before.get(entry.number, ()), *learnt[changes[entry]])}
        for n, part in enumerate(_divide([merged[key] for key in sorted(merged)])):
            files = [bookmark.file for bookmark in part]
            start, number = (files[0].key, next(numbers)) if n else (entry.start, entry.number)
            after.append(PageEntry(start, number, digest_of(files), len(files)))
            changed[number] = part
    return after, changed


def _divide(bookmarks: Sequence[Bookmark]) -> Iterator[Sequence[Bookmark]]:
    """Portions that fit in a page each, as few as that takes and of like size."""
    parts = -(-len(bookmarks) // PAGE_FILES)
    if parts == 1 and len(bookmarks) > 1 and len(msgspec.json.encode(_columns(bookmarks))) > UNPACKED_BYTES:
        parts = 2  # names or lists of days that are longer than most
    if parts <= 1:
        yield bookmarks
        return
    for n in range(parts):
        yield from _divide(bookmarks[len(bookmarks) * n // parts : len(bookmarks) * (n + 1) // parts])


def _columns(bookmarks: Sequence[Bookmark]) -> _Columns:
    return _Columns(
        keys=[bookmark.file.key for bookmark in bookmarks],
        etags=[bookmark.file.etag for bookmark in bookmarks],
        sizes=[bookmark.file.size for bookmark in bookmarks],
        days=[None if bookmark.unreadable else _runs_of_days(bookmark.days) for bookmark in bookmarks],
    )


def _runs_of_days(days: Sequence[str]) -> tuple[int, ...]:
    """Days, ascending → (first, count, first, count, …) of those in a row. Days count from 1 January of year 1."""
    runs: list[int] = []
    for day in days:
        number = date.fromisoformat(day).toordinal()
        if runs and runs[-2] + runs[-1] == number:
            runs[-1] += 1
        else:
            runs += (number, 1)
    return tuple(runs)


@functools.lru_cache(maxsize=4096)
def _days_of_runs(runs: tuple[int, ...]) -> tuple[str, ...]:
    """The reverse of `_runs_of_days`. Few lists of days occur, each in many files."""
    pairs = zip(runs[::2], runs[1::2], strict=True)
    return tuple([date.fromordinal(first + n).isoformat() for first, count in pairs for n in range(count)])


def _pack(value: object) -> str:
    return base64.b64encode(zlib.compress(msgspec.json.encode(value))).decode()


def _unpack(packed: Any, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(zlib.decompress(base64.b64decode(packed, validate=True)), type=kind)
    except (TypeError, binascii.Error, zlib.error, msgspec.DecodeError) as error:
        raise DamagedBookmarksError(f"nothing that was packed: {error}") from error
