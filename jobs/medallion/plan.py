"""What a run has to read: what is listed × what was read × what was asked for. Pure, but for `plan_next`."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from headrace.errors import StopError
from headrace.lake.ports import ObjectStore
from headrace.state.ports import StateStore
from headrace.telemetry.log import get_logger
from jobs.medallion.bookmarks import Bookmarks
from jobs.medallion.listing import EVERYTHING, Scope, list_source
from jobs.medallion.model import Plan, Source, SourceFile, ToRead
from jobs.medallion.pages import Bookmark, DamagedBookmarksError

NAMED = 3
"""Most keys that a message names; of the rest it says how many they are."""


class RefusedRunError(StopError):
    """What was asked for would do harm, or cannot be done. Nothing was changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What somebody wants of a run."""

    sources: tuple[Source, ...]
    scope: Scope = EVERYTHING
    full: bool = False
    """Make everything anew, from all sources that were ever loaded."""
    forget_vanished: bool = False
    """With `full`: give up the rows of files that are gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What is known of bronze."""

    files: tuple[SourceFile, ...]
    """Of what was asked for: at least those that are not as their bookmarks say."""
    bookmarks: Mapping[str, Bookmark]
    """By key, at least of `files`."""
    ignored: tuple[tuple[str, str], ...] = ()
    """Keys of what was asked for that are no files, and why."""
    all_files: Mapping[str, SourceFile] | None = None
    """By key, every file of every source that is asked for or was ever loaded; then `bookmarks` are all, too.
    None: it was not looked."""
    loaded: tuple[Source, ...] = ()
    """With `all_files`: the sources that files were loaded from."""


def check(request: Request) -> None:
    """Raise `RefusedRunError` when a request contradicts itself."""
    if request.full and not request.scope.is_everything:
        raise RefusedRunError("--full makes all days anew: it goes with neither --from nor --to")
    if request.forget_vanished and not request.full:
        raise RefusedRunError("--forget-vanished goes with --full only: else what was read from vanished files is kept")
    first, last = request.scope.first, request.scope.last
    if first is not None and last is not None and first > last:
        raise RefusedRunError(f"--from {first} is after --to {last}")


def plan_run(request: Request, sight: Sight, *, run: int, attempt: str, started: float) -> Plan | None:
    """The plan, or None when it takes a sight with all files: to make everything anew, or days of a replaced file.

    New files are read whole. Of a replaced file, the days of its old version are made anew from all files with rows
    of them. Vanished files stay in silver until `full`. Raises `RefusedRunError`, which names the files in the way.
    """
    if request.full:
        return (
            None if sight.all_files is None else _plan_full(request, sight, run=run, attempt=attempt, started=started)
        )
    read = {file.key: ToRead(file=file) for file in sight.files if _is_changed(file, sight.bookmarks)}
    days = _old_days(read, sight.bookmarks)
    if days:
        if sight.all_files is None:
            return None
        read, days = _with_others(read, days, sight.bookmarks, sight.all_files)
    return Plan(
        run=run,
        attempt=attempt,
        started=started,
        sources=request.sources,
        full=False,
        read=tuple([read[key] for key in sorted(read)]),
        rebuild=tuple(sorted(days)),
        ignored=sight.ignored,
    )


def is_empty(plan: Plan) -> bool:
    """Whether there is nothing to do: the tables are what the sources make."""
    return not (plan.read or plan.rebuild or plan.full)


async def plan_next(
    store: ObjectStore, state: StateStore, request: Request, *, run: int, attempt: str, started: float
) -> Plan:
    """Look, as closely as it takes, and plan. Raises `RefusedRunError` and what the stores raise."""
    check(request)
    bookmarks = Bookmarks(state)
    sight = Sight(files=(), bookmarks={}) if request.full else await _look(store, bookmarks, request)
    plan = plan_run(request, sight, run=run, attempt=attempt, started=started)
    if plan is None:
        sight = await _look_at_all(store, bookmarks, request)
        plan = plan_run(request, sight, run=run, attempt=attempt, started=started)
    assert plan is not None, "there is no more to see than everything"
    return plan


async def _look(store: ObjectStore, bookmarks: Bookmarks, request: Request) -> Sight:
    files: list[SourceFile] = []
    known: dict[str, Bookmark] = {}
    ignored: list[tuple[str, str]] = []
    for source in request.sources:
        listing = await list_source(store, source, request.scope)
        difference = await bookmarks.difference(listing)
        files += difference.files
        known |= difference.bookmarks
        ignored += listing.ignored
    return Sight(files=tuple(files), bookmarks=known, ignored=tuple(ignored))


async def _look_at_all(store: ObjectStore, bookmarks: Bookmarks, request: Request) -> Sight:
    loaded = await bookmarks.sources()
    listings = [await list_source(store, source) for source in Source if source in {*loaded, *request.sources}]
    wanted = {*request.sources, *(loaded if request.full else ())}
    covers = request.scope.covers
    try:
        known = await bookmarks.all()
    except DamagedBookmarksError as error:
        if not request.forget_vanished:
            raise
        get_logger().warning("medallion.bookmarks_given_up", error=str(error))
        known = {}
    asked = [listing for listing in listings if listing.source in wanted]
    return Sight(
        files=tuple([file for listing in asked for file in listing.files if covers(file.key)]),
        bookmarks=known,
        ignored=tuple([(key, reason) for listing in asked for key, reason in listing.ignored if covers(key)]),
        all_files={file.key: file for listing in listings for file in listing.files},
        loaded=loaded,
    )


def _plan_full(request: Request, sight: Sight, *, run: int, attempt: str, started: float) -> Plan:
    all_files = sight.all_files or {}
    vanished = sorted(sight.bookmarks.keys() - all_files.keys())
    if vanished and not request.forget_vanished:
        raise RefusedRunError(
            f"--full would lose the rows of {_named(vanished)} no longer among the sources."
            " To lose them, add --forget-vanished."
        )
    return Plan(
        run=run,
        attempt=attempt,
        started=started,
        sources=tuple([source for source in Source if source in {*sight.loaded, *request.sources}]),
        full=True,
        read=tuple([ToRead(file=all_files[key]) for key in sorted(all_files)]),
        ignored=sight.ignored,
        forgotten=len(vanished),
    )


def _with_others(
    read: dict[str, ToRead], days: set[str], bookmarks: Mapping[str, Bookmark], all_files: Mapping[str, SourceFile]
) -> tuple[dict[str, ToRead], set[str]]:
    """Add the files that other rows of `days` came from. One that was replaced brings the days of its old version."""
    while True:
        others = {
            key: touched
            for key, bookmark in bookmarks.items()
            if key not in read and (touched := days.intersection(bookmark.days))
        }
        if gone := sorted(others.keys() - all_files.keys()):
            culprits = sorted(key for key in read if key in bookmarks and days.intersection(bookmarks[key].days))
            raise RefusedRunError(
                f"Replaced: {_named(culprits)}. Its days have rows of {_named(gone)} no longer among the sources, too."
                " Put back what is missing, or lose its rows with --full --forget-vanished."
            )
        replaced = {key: ToRead(file=all_files[key]) for key in others if _is_changed(all_files[key], bookmarks)}
        if not replaced:
            parts = {key: ToRead(file=all_files[key], only_days=tuple(sorted(others[key]))) for key in others}
            return {**read, **parts}, days
        read |= replaced
        days |= _old_days(replaced, bookmarks)


def _is_changed(file: SourceFile, bookmarks: Mapping[str, Bookmark]) -> bool:
    bookmark = bookmarks.get(file.key)
    return bookmark is None or bookmark.file != file


def _old_days(keys: Iterable[str], bookmarks: Mapping[str, Bookmark]) -> set[str]:
    return {day for key in keys if key in bookmarks for day in bookmarks[key].days}


def _named(keys: Sequence[str]) -> str:
    """`1 file (a)`, `5 files (a, b, c and 2 more)`."""
    more = f" and {len(keys) - NAMED} more" if len(keys) > NAMED else ""
    return f"{len(keys)} file{'s' if len(keys) > 1 else ''} ({', '.join(keys[:NAMED])}{more})"
