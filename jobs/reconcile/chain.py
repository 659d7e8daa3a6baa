"""The manifests that count: those that lead back from a shard's row, each naming the one before it.

The folder may also hold some that were never decided, of workers that lost their lease in that moment.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise

import msgspec

from headrace.clock import hour_of
from headrace.delivery.manifest import Manifest, decode, manifest_key
from headrace.delivery.manifests import ManifestReader
from headrace.errors import HaltedError, NotFoundError
from headrace.lake.layout import EVENTS, Quarantine
from jobs.reconcile.audit import Audit, Check

AHEAD = 64
"""Manifests fetched at once."""


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
            manifest = decode(key, await reader.body(key))
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
