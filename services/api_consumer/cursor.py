"""How far a source has been taken, and what came out of it: one document, moved by compare-and-set.

`cursor:{source_id}` = `{"cursor": …, "exhausted": false, "totals": {"polled": …, "accepted": …, …}}`. Position and
totals move in one write, so that the totals count every page once.
"""

from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from headrace.errors import ConflictError
from headrace.state.ports import StateStore

PREFIX = "cursor:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Counts of a source since its first page: polled = accepted + rejected, extra_columns ⊂ accepted."""

    polled: int = 0
    accepted: int = 0
    extra_columns: int = 0
    rejected: int = 0
    put: int = 0

    def plus(self, other: "Totals") -> "Totals":
        """The sum, field by field."""
        names = [field.name for field in fields(self)]
        return Totals(**{name: getattr(self, name) + getattr(other, name) for name in names})


class Cursor:
    """A source's document, as this process last wrote it."""

    def __init__(self, state: StateStore, source_id: str) -> None:
        self._state = state
        self._key = PREFIX + source_id
        self._version = 0
        self.position: Any = None
        """What the source makes of it; None is the start."""
        self.exhausted = False
        self.totals = Totals()

    @classmethod
    async def load(cls, state: StateStore, source_id: str) -> Self:
        """The cursor as stored. A source that is met for the first time gets its document at once."""
        cursor = cls(state, source_id)
        if (document := await state.get(cursor._key)) is None:
            await cursor._write(None, cursor.totals, exhausted=False)
        else:
            cursor._version = document.version
            cursor.position = document.value["cursor"]
            cursor.exhausted = document.value["exhausted"]
            cursor.totals = Totals(**document.value["totals"])
        return cursor

    async def advance(self, position: Any, totals: Totals, *, exhausted: bool) -> None:
        """Move to a position, adding `totals`. Raises `ConflictError` when another poller moved it meanwhile."""
        await self._write(position, self.totals.plus(totals), exhausted=exhausted)

    async def _write(self, position: Any, totals: Totals, *, exhausted: bool) -> None:
        value = {"cursor": position, "exhausted": exhausted, "totals": asdict(totals)}
        try:
            self._version = await self._state.put(self._key, value, expected=self._version)
        except ConflictError as error:
            raise ConflictError(
                f"another poller works on the same source ({self._key}); this one stops. {error}"
            ) from error
        self.position, self.totals, self.exhausted = position, totals, exhausted
