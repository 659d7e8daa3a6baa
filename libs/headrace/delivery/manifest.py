"""The manifest: all that a decided batch does, written down before the decision, for whoever has to finish it.

It is complete: a worker that has never seen the records, of an older or newer version, can apply it. Fields that are
not known are passed over, so new ones may be added; `version` grows when an old worker must not touch a batch.
"""

import hashlib
from collections.abc import Mapping

import msgspec

from headrace.counters.ports import CountKey, Counts
from headrace.delivery.plan import BatchPlan
from headrace.delivery.window import to_bytes
from headrace.errors import HaltedError
from headrace.lake.layout import manifest_object
from headrace.lake.ports import StagedObject
from headrace.leases.model import Intent, Lease, Ledger
from headrace.stream.ports import ShardId

VERSION = 1


class ManifestObject(msgspec.Struct, frozen=True, kw_only=True):
    """An object of the batch, staged."""

    key: str
    upload_id: str
    etags: tuple[str, ...]
    sha256: str
    size: int
    rows: int
    """Rows of Parquet, or lines of a dead-letter object."""

    @property
    def staged(self) -> StagedObject:
        """What the store wants to complete it."""
        return StagedObject(
            key=self.key, upload_id=self.upload_id, etags=self.etags, sha256=self.sha256, size=self.size
        )


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """One batch of one shard."""

    version: int = VERSION
    lineage: str
    shard: str
    batch_no: int
    epoch: int
    start: str
    """Checkpoint before the batch."""
    end: str
    """Checkpoint after it."""
    previous: str
    """Key of the manifest of the batch before; empty for the first."""
    planned_at: float
    """The one clock reading of the batch, in seconds since 1970 UTC."""
    first_arrival: float
    last_arrival: float
    """Of its records, in seconds since 1970 UTC."""
    objects: tuple[ManifestObject, ...]
    deltas: tuple[tuple[CountKey, Counts], ...]
    """What the batch adds to the counters."""
    event_ids: bytes
    """Hashes of the rows' event ids, eight bytes each (`delivery.window`)."""
    ledger: Ledger
    """Of this batch."""
    totals: Ledger
    """Of the shard, this batch included."""
    reasons: dict[str, int]
    """Dead letters by reason."""
    dead_letter_key: str
    """The object that holds them; empty without any."""
    reset: bool = False
    """No records: somebody moved the checkpoint (`delivery.reset`). What came before is not remembered as repeats."""


class Remembered(msgspec.Struct, frozen=True, kw_only=True):
    """What the de-duplication window needs of a manifest; the rest is not even decoded."""

    previous: str
    last_arrival: float
    event_ids: bytes
    reset: bool = False


def manifest_of(plan: BatchPlan, staged: Mapping[str, StagedObject], lease: Lease, *, lineage: str) -> Manifest:
    """The manifest of a plan whose objects are all staged (by key)."""
    return Manifest(
        lineage=lineage,
        shard=lease.shard_id,
        batch_no=plan.batch_no,
        epoch=lease.epoch,
        start=lease.checkpoint,
        end=plan.checkpoint,
        previous=lease.manifest,
        planned_at=plan.planned_at,
        first_arrival=plan.first_arrival,
        last_arrival=plan.last_arrival,
        objects=tuple(_object(staged[planned.key], planned.rows) for planned in plan.objects),
        deltas=tuple(plan.deltas.items()),
        event_ids=to_bytes(plan.event_ids),
        ledger=plan.ledger,
        totals=lease.ledger.plus(plan.ledger),
        reasons=dict(plan.reasons),
        dead_letter_key=plan.dead_letter_key,
    )


def manifest_key(manifest: Manifest) -> str:
    """Where it is kept."""
    return manifest_object(manifest.lineage, ShardId(manifest.shard), manifest.batch_no, manifest.epoch)


def intent_of(manifest: Manifest, body: bytes) -> Intent:
    """What the control row says of a manifest with these bytes."""
    return Intent(batch_no=manifest.batch_no, manifest=manifest_key(manifest), sha256=hashlib.sha256(body).hexdigest())


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Manifest)
_remembered = msgspec.json.Decoder(Remembered)


class _Version(msgspec.Struct, frozen=True):
    version: int


def encode(manifest: Manifest) -> bytes:
    """A manifest → JSON. Equal manifests make equal bytes."""
    return _encoder.encode(manifest)


def decode(key: str, body: bytes) -> Manifest:
    """JSON → manifest. Raises `HaltedError` when it is not one, or one that only a newer version may touch."""
    try:
        version = msgspec.json.decode(body, type=_Version).version
        if version > VERSION:
            raise HaltedError(f"{key} has format {version}; this version of Headrace knows {VERSION}: update it")
        return _decoder.decode(body)
    except msgspec.DecodeError as error:
        raise HaltedError(f"{key} is no manifest: {error}") from error


def decode_ids(key: str, body: bytes) -> Remembered:
    """JSON → what the window needs. Raises `HaltedError` when it is no manifest."""
    try:
        return _remembered.decode(body)
    except msgspec.DecodeError as error:
        raise HaltedError(f"{key} is no manifest: {error}") from error


def _object(staged: StagedObject, rows: int) -> ManifestObject:
    return ManifestObject(
        key=staged.key,
        upload_id=staged.upload_id,
        etags=staged.etags,
        sha256=staged.sha256,
        size=staged.size,
        rows=rows,
    )
