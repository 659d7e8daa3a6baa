"""Which objects of the bucket are files of a source, and which day their path says."""

import re
from dataclasses import dataclass
from datetime import date

from headrace.lake.layout import EVENTS, RAW_EVENTS
from headrace.lake.ports import ObjectInfo, ObjectStore
from jobs.medallion.model import Source, SourceFile

ROOTS = {Source.RAW: f"{RAW_EVENTS}/", Source.EVENTS: f"{EVENTS}/"}
"""Below which prefix a source's files are."""

SUFFIXES = {Source.RAW: ".jsonl.gz", Source.EVENTS: ".parquet"}
"""What the names of a source's files end with."""

_DAY = re.compile(r"(?:raw/)?events/year=(\d{4})/month=(\d{2})/day=(\d{2})/", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Days, by path: both ends count, None is no bound. With a bound, files whose path names no day are outside."""

    first: date | None = None
    last: date | None = None

    @property
    def is_everything(self) -> bool:
        """Whether no file is outside."""
        return self.first is None and self.last is None

    def covers(self, key: str) -> bool:
        """Whether a file is inside."""
        if self.is_everything:
            return True
        day = day_of(key)
        return day is not None and (self.first or date.min) <= day <= (self.last or date.max)

    def span(self, root: str) -> tuple[str, str]:
        """Two keys: all files below `root` that are inside come after the first and before the second."""
        if self.is_everything:
            return root, _behind(root)
        first, last = self.first or date.min, self.last or date.max
        return _folder(root, first).removesuffix("/"), _behind(_folder(root, last))


EVERYTHING = Scope()


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The files of a source, as they were at one time."""

    source: Source
    scope: Scope
    files: tuple[SourceFile, ...]
    """Those inside the scope, in order of key."""
    ignored: tuple[tuple[str, str], ...]
    """Keys inside the scope that are no files of the source, and why."""


async def list_source(store: ObjectStore, source: Source, scope: Scope = EVERYTHING) -> Listing:
    """List what is inside the scope; of days outside it not even the keys are asked for."""
    root = ROOTS[source]
    after, before = scope.span(root)
    files: list[SourceFile] = []
    ignored: list[tuple[str, str]] = []
    everything = scope.is_everything
    async for info in store.list(root, after=after):
        if info.key >= before:
            break
        if not (everything or scope.covers(info.key)):
            continue
        if (reason := why_ignored(source, info)) is None:
            files.append(SourceFile(source=source, key=info.key, etag=info.etag, size=info.size))
        else:
            ignored.append((info.key, reason))
    return Listing(source=source, scope=scope, files=tuple(files), ignored=tuple(ignored))


def why_ignored(source: Source, info: ObjectInfo) -> str | None:
    """Why an object below a source's root is no file of it; None when it is one."""
    path = info.key.removeprefix(ROOTS[source])
    if info.key.endswith("/"):
        return "marks a folder"
    if path.startswith(("_", ".")) or "/_" in path or "/." in path:
        return "a part of its path begins with _ or a dot, which hides it from queries, too"
    if not path.endswith(SUFFIXES[source]):
        return f"its name does not end with {SUFFIXES[source]}"
    if info.size == 0:
        return "it is empty"
    return None


def day_of(key: str) -> date | None:
    """The day that a path says, UTC; None when it says none."""
    match = _DAY.match(key)
    if match is None:
        return None
    try:
        return date(int(match[1]), int(match[2]), int(match[3]))
    except ValueError:  # 31 February
        return None


def _folder(root: str, day: date) -> str:
    return f"{root}year={day.year:04}/month={day.month:02}/day={day.day:02}/"


def _behind(folder: str) -> str:
    """The least key that is greater than all keys below a folder."""
    return folder.removesuffix("/") + chr(ord("/") + 1)
