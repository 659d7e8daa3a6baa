"""What Headrace asks of an object store."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectInfo:
    """An object without its bytes."""

    key: str
    size: int
    etag: str


class ObjectStore(Protocol):
    """One bucket. An object appears whole or not at all."""

    async def put(self, key: str, body: bytes, *, metadata: Mapping[str, str] | None = None) -> None:
        """Write an object, replacing one of the same key. Retries inside; safe to repeat."""
        ...

    async def get(self, key: str) -> bytes:
        """An object's bytes. Raises `NotFoundError`."""
        ...

    async def head(self, key: str) -> ObjectInfo | None:
        """What is known of an object, or None."""
        ...

    def list(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        """All objects below `prefix`, in order of key."""
        ...

    def prefixes(self, prefix: str) -> AsyncIterator[str]:
        """The folders directly below `prefix`, each with its closing slash, in order."""
        ...
