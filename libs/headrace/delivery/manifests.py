"""Reading a shard's manifests from newer to older ones, each naming the one before it."""

from collections.abc import AsyncIterator

from headrace.concurrency import for_each
from headrace.errors import HaltedError, NotFoundError
from headrace.lake.layout import manifest_prefix, numbers_of_manifest
from headrace.lake.ports import ObjectStore

CONCURRENT_MANIFESTS = 16


class ManifestReader:
    """The chain is only known one by one, the names in the folder all together: so `ahead` are fetched at once."""

    def __init__(self, store: ObjectStore, lineage: str, shard: str, *, ahead: int) -> None:
        self._store = store
        self._prefix = manifest_prefix(lineage, shard)
        self._ahead = ahead
        self._near: dict[str, bytes] = {}

    async def body(self, key: str) -> bytes:
        """The bytes of one manifest. Raises `NotFoundError`; `HaltedError` when no manifest has such a key."""
        if (numbers := numbers_of_manifest(key)) is None:
            raise HaltedError(f"{key} is no manifest's key")
        if key not in self._near:
            self._near = await self._up_to(numbers[0])
        if (body := self._near.pop(key, None)) is None:
            raise NotFoundError(f"no object {key!r}")
        return body

    async def _up_to(self, batch_no: int) -> dict[str, bytes]:
        bodies: dict[str, bytes] = {}

        async def fetch(key: str) -> None:
            bodies[key] = await self._store.get(key)

        await for_each([key async for key in self._keys(batch_no)], fetch, limit=CONCURRENT_MANIFESTS)
        return bodies

    async def _keys(self, batch_no: int) -> AsyncIterator[str]:
        first = max(0, batch_no - self._ahead + 1)
        async for found in self._store.list(self._prefix, after=f"{self._prefix}{first:010}"):
            numbers = numbers_of_manifest(found.key)
            if numbers is not None and numbers[0] > batch_no:
                return
            if numbers is not None:  # anybody may lay something beside them
                yield found.key
