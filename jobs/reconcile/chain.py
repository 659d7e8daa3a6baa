"""The manifests that count: those that lead back from a shard's row, each naming the one before it.

The folder may also hold some that were never decided, of workers that lost their lease in that moment.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise

import msgspec

from headrace.clock import hour_of
from headrace.concurrency import for_each
from headrace.delivery.manifest import Manifest, decode, manifest_key
from headrace.errors import HaltedError, NotFoundError
from headrace.lake.layout import EVENTS, Quarantine, batch_of_manifest, manifest_prefix
from headrace.lake.ports import ObjectStore
from jobs.reconcile.audit import Audit, Check

AHEAD = 64
"""Manifests fetched at once: the chain is only known one by one, the names in the folder all together."""
CONCURRENT_MANIFESTS = 16


class ManifestReader:
    """Reads the manifests of one shard, from newer to older ones."""

    def __init__(self, store: ObjectStore, lineage: str, shard: str) -> None:
        self._store = store
        self._prefix = manifest_prefix(lineage, shard)
        self._near: dict[str, bytes] = {}

    async def load(self, key: str) -> Manifest:
        """One manifest. Raises `NotFoundError`; `HaltedError` when it is none, or does not add up."""
        if key not in self._near:
            self._near = await self._up_to(batch_of_manifest(key))
        if (body := self._near.pop(key, None)) is None:
            raise NotFoundError(f"no object {key!r}")
        try:
            return decode(key, body)
        except AssertionError as error:  # what a worker must never write is what this job is there to find
            raise HaltedError(f"{key}: {error}") from error

    async def _up_to(self, batch_no: int) -> dict[str, bytes]:
        bodies: dict[str, bytes] = {}

        async def fetch(key: str) -> None:
            bodies[key] = await self._store.get(key)

        await for_each([key async for key in self._keys(batch_no)], fetch, limit=CONCURRENT_MANIFESTS)
        return bodies

    async def _keys(self, batch_no: int) -> AsyncIterator[str]:
        first = max(0, batch_no - AHEAD + 1)
        async for found in self._store.list(self._prefix, after=f"{self._prefix}{first:010}"):
            if batch_of_manifest(found.key) > batch_no:
                return
            yield found.key


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """The decided batches of a shard, newest first, without their counts and event ids."""

    manifests: Sequence[Manifest]
    broken: bool
    """Whether one that should come next could not be read: what lies before it cannot be added up."""


async def follow(reader: ManifestReader, newest: str, *, since: int, audit: Audit) -> Chain:
    """The chain from the manifest `newest` back to the first one planned before the hour `since`."""
    manifests: list[Manifest] = []
    key = newest
    while key:
        try:
            manifest = await reader.load(key)
        except NotFoundError:
            audit.compare(Check.MANIFEST, key, expected={"manifest": "there"}, found=None)
            return Chain(manifests=manifests, broken=True)
        except HaltedError as error:
            audit.unreadable(Check.MANIFEST, key, error)
            return Chain(manifests=manifests, broken=True)
        if manifests and manifest.batch_no >= manifests[-1].batch_no:
            why = HaltedError(f"batch {manifests[-1].batch_no} cannot come after it")
            audit.unreadable(Check.MANIFEST, key, why)
            return Chain(manifests=manifests, broken=True)
        manifests.append(slim(manifest))
        if hour_of(manifest.planned_at) < since:
            break
        key = manifest.previous
    return Chain(manifests=manifests, broken=False)


def slim(manifest: Manifest) -> Manifest:
    """The manifest without its bulk, so that thousands fit in memory."""
    return msgspec.structs.replace(manifest, deltas=(), event_ids=b"")


def check_manifests(manifests: Sequence[Manifest], audit: Audit) -> None:
    """Each manifest (newest first) by itself, and behind the one before it."""
    for manifest in manifests:
        rows = [each.rows for each in manifest.objects if each.key.startswith(f"{EVENTS}/")]
        letters = f"{Quarantine.FAILED_TRANSFORMATION}/"
        audit.compare(
            Check.MANIFEST,
            manifest_key(manifest),
            expected={
                "committed": manifest.ledger.committed,
                "dead_lettered": manifest.ledger.dead_lettered,
                "objects": manifest.ledger.objects,
            },
            found={
                "committed": sum(rows),
                "dead_lettered": sum(each.rows for each in manifest.objects if each.key.startswith(letters)),
                "objects": len(rows),
            },
        )
    for newer, older in pairwise(manifests):
        audit.compare(
            Check.MANIFEST,
            f"{manifest_key(newer)} after {manifest_key(older)}",
            expected={"start": older.end, **asdict(older.totals.plus(newer.ledger))},
            found={"start": newer.start, **asdict(newer.totals)},
        )
