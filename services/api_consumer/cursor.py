"""How far a source has been taken, and what came out of it: one document, moved by compare-and-set.

`cursor:{source_id}` = `{"cursor": …, "exhausted": false, "totals": …, "hours": …}` (`headrace.state.sources`), and
while they apply `"spool": {"since": …, "written": …, "drained": …}` and `"pinned_at": …`. All of it moves in one
write, so that totals and hours count every page once.
"""

from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

from headrace.clock import hour_of
from headrace.errors import ConflictError
from headrace.state.ports import StateStore
from headrace.state.sources import PREFIX, Hours, Totals, add_to_hour, hours_of, hours_to_document, totals_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Spool:
    """The pages that wait for the stream: number `drained` up to, not including, number `written`."""

    since: float
    """When the stream was given up, in seconds since 1970 UTC: part of every key, so that no two outages share one."""
    written: int = 0
    drained: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _State:
    position: Any = None
    exhausted: bool = False
    totals: Totals = field(default_factory=Totals)
    hours: Hours = field(default_factory=dict)
    spool: Spool | None = None
    pinned_at: float | None = None

    @property
    def spooled_pages(self) -> int:
        return 0 if self.spool is None else self.spool.written - self.spool.drained

    def with_counts(self, added: Totals, now: float) -> "_State":
        """So many more, noted at `now` (seconds since 1970 UTC)."""
        return replace(self, totals=self.totals.plus(added), hours=add_to_hour(self.hours, hour_of(now), added))

    def to_document(self) -> dict[str, Any]:
        document: dict[str, Any] = {
            "cursor": self.position,
            "exhausted": self.exhausted and not self.spooled_pages,
            "totals": asdict(self.totals),
            "hours": hours_to_document(self.hours),
        }
        if self.spool is not None:
            document["spool"] = asdict(self.spool)
        if self.pinned_at is not None:
            document["pinned_at"] = self.pinned_at
        return document

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> "_State":
        return cls(
            position=document["cursor"],
            exhausted=document["exhausted"],
            totals=totals_of(document),
            hours=hours_of(document),
            spool=Spool(**document["spool"]) if "spool" in document else None,
            pinned_at=document.get("pinned_at"),
        )


class Cursor:
    """A source's document, as this process last wrote it.

    Every write raises `ConflictError` when another poller wrote meanwhile, and changes nothing then.
    """

    def __init__(self, state: StateStore, source_id: str) -> None:
        self.source_id = source_id
        self._store = state
        self._key = PREFIX + source_id
        self._version = 0
        self._state = _State()

    @property
    def position(self) -> Any:
        """What the source makes of it; None is the start."""
        return self._state.position

    @property
    def exhausted(self) -> bool:
        """Whether the source was read to its end. The document says so only once the spool is empty, too."""
        return self._state.exhausted

    @property
    def totals(self) -> Totals:
        """What came of the pages up to the position."""
        return self._state.totals

    @property
    def spool(self) -> Spool | None:
        """What waits for the stream; None while it answers."""
        return self._state.spool

    @property
    def spooled(self) -> int:
        """Pages that wait for the stream."""
        return self._state.spooled_pages

    @classmethod
    async def load(cls, state: StateStore, source_id: str) -> Self:
        """The cursor as stored. A source that is met for the first time gets its document at once."""
        cursor = cls(state, source_id)
        if (document := await state.get(cursor._key)) is None:
            await cursor._write(cursor._state)
        else:
            cursor._version = document.version
            cursor._state = _State.from_document(document.value)
        return cursor

    async def advance(
        self, position: Any, totals: Totals, *, exhausted: bool, now: float, spooled_pages: int = 0
    ) -> None:
        """Move to a position, adding `totals`, behind `spooled_pages` more in the spool. The pinned moment is let go.

        `now`, here and below, is in seconds since 1970 UTC.
        """
        spool = self.spool
        if spool is not None:
            spool = replace(spool, written=spool.written + spooled_pages)
        moved = replace(self._state, position=position, exhausted=exhausted, spool=spool, pinned_at=None)
        await self._write(moved.with_counts(totals, now))

    async def pin(self, now: float) -> float:
        """The moment that names this position's objects: the first one that was given, even before a crash."""
        if self._state.pinned_at is None:
            await self._write(replace(self._state, pinned_at=now))
        return self._state.pinned_at or now

    async def open_spool(self, now: float) -> None:
        """From now on pages go to the spool. Says so first, so that a repeat spools under the same keys."""
        await self._write(replace(self._state, spool=Spool(since=now)))

    async def drained(self, events: int, *, now: float) -> None:
        """The oldest page of the spool, of so many events, is in the stream. Behind the last the spool is closed."""
        assert self.spool is not None
        spool = replace(self.spool, drained=self.spool.drained + 1) if self.spooled > 1 else None
        moved = Totals(put=events, spooled=-events)
        await self._write(replace(self._state, spool=spool).with_counts(moved, now))

    async def _write(self, state: _State) -> None:
        try:
            self._version = await self._store.put(self._key, state.to_document(), expected=self._version)
        except ConflictError as error:
            raise ConflictError(
                f"another poller works on the same source ({self._key}); this one stops. {error}"
            ) from error
        self._state = state
