"""What Headrace asks of the place where small documents live."""

from typing import Any, Protocol

import msgspec


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """A JSON document of at most 300 KB and the version it was read at."""

    value: dict[str, Any]
    version: int
    """1 for the first; 0 stands for no document."""


class StateStore(Protocol):
    """Documents by key, changed by compare-and-set only."""

    async def get(self, key: str) -> Document | None:
        """A document, read consistently."""
        ...

    async def put(self, key: str, value: dict[str, Any], *, expected: int) -> int:
        """Write if the version is still `expected` (0: not there). Returns the new version.

        Raises `ConflictError` when it is not. A write whose answer was lost and which is there counts as made.
        """
        ...

    async def list(self, prefix: str) -> dict[str, Document]:
        """All documents whose key starts with `prefix`."""
        ...
