"""The lock: one run at a time, and which run is under way. One document, changed by compare-and-set.

FREE ──take──▶ HELD ──renew──▶ HELD ──release──▶ FREE
                └──its holder is killed: expires──▶ FREE

It saves work and nothing else. The wall clock says whether it has expired, so two may believe that they hold it; then
the number of the run decides whose counts.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime

import msgspec
from msgspec.structs import replace

from headrace.clock import Clock
from headrace.errors import AccessError, ConflictError, RetryableError
from headrace.state.ports import StateStore
from headrace.telemetry.log import get_logger
from jobs.medallion.steps import Step

KEY = "medallion:lock"
RENEWALS = 3
"""Within the time after which it expires."""
LOOKS = 10
"""At somebody else's lock, within that time."""

OnWait = Callable[[str], object]
"""Told once, in words, whom we wait for."""


class Underway(msgspec.Struct, frozen=True, kw_only=True):
    """The run that steps work on, one after the other, in one process or in several."""

    run: int
    attempt: str
    """Of its plan."""
    done: dict[Step, str] = {}
    """Steps that are done and the key of what each left to the next ones; empty for one that left nothing."""
    idle: bool = False
    """The plan found nothing to do."""


class LockRow(msgspec.Struct, frozen=True, kw_only=True):
    """The document."""

    holder: str | None = None
    since: float = 0.0
    until: float = 0.0
    """Both in seconds since 1970 UTC."""
    underway: Underway | None = None


class LockedError(ConflictError):
    """Another process holds the lock."""


class LockLostError(ConflictError):
    """The lock expired and is another's by now, or could not be renewed in time."""


class Lock:
    """The lock as one process sees it. `seconds`: so long after the last renewal it expires."""

    def __init__(self, state: StateStore, clock: Clock, *, holder: str, seconds: float) -> None:
        self._state = state
        self._clock = clock
        self._holder = holder
        self._seconds = seconds
        self._row = LockRow()
        self._version = 0
        self._one_write = asyncio.Lock()
        """Renewals and notes of this process take turns: each counts on the version that the one before left."""

    @property
    def underway(self) -> Underway | None:
        """What is under way, as of the last write."""
        return self._row.underway

    @contextlib.asynccontextmanager
    async def held(self, *, wait: bool = False, on_wait: OnWait = lambda _: None) -> AsyncIterator[None]:
        """Hold the lock while the block runs, and give it up at its end, however it ends.

        Raises `LockedError` when another holds it, unless told to wait; `LockLostError`, which ends the block, when it
        is lost on the way.
        """
        await self._take(wait=wait, on_wait=on_wait)
        try:
            async with asyncio.TaskGroup() as tasks:
                renewing = tasks.create_task(self._renew())
                yield
                renewing.cancel()
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None
        finally:
            await self._release()

    async def note(self, underway: Underway | None) -> None:
        """Write down what is under way. Raises `LockLostError`."""
        await self._write(lambda row: replace(row, underway=underway))

    async def _take(self, *, wait: bool, on_wait: OnWait) -> None:
        told = False
        while True:
            document = await self._state.get(KEY)
            row = LockRow() if document is None else msgspec.convert(document.value, LockRow)
            if row.holder is None or row.until <= self._clock.now():
                self._row, self._version = row, 0 if document is None else document.version
                with contextlib.suppress(LockLostError):  # another was faster: look who
                    await self._write(lambda row: replace(row, holder=self._holder, since=self._clock.now()))
                    return
            elif not wait:
                raise LockedError(f"{_told(row)}; --wait waits for it")
            else:
                if not told:
                    on_wait(_told(row))
                    told = True
                await self._clock.sleep(self._seconds / LOOKS)

    async def _renew(self) -> None:
        """Until cancelled. Raises `LockLostError`."""
        while True:
            await self._clock.sleep(self._seconds / RENEWALS)
            try:
                await self._write(lambda row: row)
            except (RetryableError, AccessError) as error:
                if self._clock.now() >= self._row.until:
                    raise LockLostError(f"the lock could not be renewed in time: {error}") from error
                get_logger().warning("medallion.renewal_failed", error=str(error))

    async def _release(self) -> None:
        try:
            await self._write(lambda row: replace(row, holder=None))
        except (RetryableError, AccessError, ConflictError) as error:
            get_logger().warning("medallion.release_failed", error=str(error), expires=_moment(self._row.until))

    async def _write(self, change: Callable[[LockRow], LockRow]) -> None:
        """Change the document, and by that renew the lock."""
        async with self._one_write:
            row = replace(change(self._row), until=self._clock.now() + self._seconds)
            try:
                self._version = await self._state.put(KEY, msgspec.to_builtins(row), expected=self._version)
            except ConflictError as error:
                raise LockLostError("another run has taken the lock: it had expired") from error
            self._row = row


def _told(row: LockRow) -> str:
    return (
        f"another medallion job is at work: {row.holder}, since {_moment(row.since)}; "
        f"if it has died, its lock ends at {_moment(row.until)}"
    )


def _moment(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
