"""An object store in a dict: for tests, and for what needs no durability."""

import hashlib
from collections.abc import AsyncIterator, Mapping

from headrace.errors import NotFoundError
from headrace.lake.ports import ObjectInfo


class MemoryStore:
    """`ObjectStore` in memory."""

    def __init__(self) -> None:
        self._objects: dict[str, bytes] = {}

    async def put(self, key: str, body: bytes, *, metadata: Mapping[str, str] | None = None) -> None:  # noqa: ARG002 - the port has no way to read it back
        """Write an object, replacing one of the same key."""
        self._objects[key] = bytes(body)

    async def get(self, key: str) -> bytes:
        """An object's bytes. Raises `NotFoundError`."""
        try:
            return self._objects[key]
        except KeyError:
            raise NotFoundError(f"no object {key!r}") from None

    async def head(self, key: str) -> ObjectInfo | None:
        """What is known of an object, or None."""
        return self._info(key) if key in self._objects else None

    async def list(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        """All objects below `prefix` at the time of the call, in order of key."""
        for key in sorted(key for key in self._objects if key.startswith(prefix)):
            yield self._info(key)

    async def prefixes(self, prefix: str) -> AsyncIterator[str]:
        """The folders directly below `prefix`, each with its closing slash, in order."""
        rests = (key.removeprefix(prefix) for key in self._objects if key.startswith(prefix))
        for folder in sorted({rest[: rest.index("/") + 1] for rest in rests if "/" in rest}):
            yield prefix + folder

    def _info(self, key: str) -> ObjectInfo:
        body = self._objects[key]
        return ObjectInfo(key=key, size=len(body), etag=hashlib.md5(body, usedforsecurity=False).hexdigest())
