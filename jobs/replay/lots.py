"""What there is to replay: the lines of a quarantine object that were turned away for one reason are a lot."""

import base64
import hashlib
import re
import zlib
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec

from headrace.errors import HaltedError
from headrace.events.parse import Reason
from headrace.lake.layout import Quarantine, quarantine_folder
from headrace.lake.ports import ObjectStore
from headrace.leases.model import TRIM_HORIZON, Lease, LeaseKey, lease_key
from headrace.quarantine import REPLAY, Envelope, envelope, from_jsonl_gz
from headrace.stream.ports import Record, ShardId

PREFIXES = (Quarantine.FAILED, Quarantine.FAILED_TRANSFORMATION)
"""Where dead letters are, by poller and transformer."""

REASONS = tuple(reason for reason in Reason if reason is not Reason.EXTRA_COLUMNS)

LOOK_BACK = timedelta(days=1)
"""An object lies in the folder of the day its first record arrived, and was seen later: within a stream's retention,
which is a day unless it was raised."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which dead letters are meant."""

    reasons: frozenset[str]
    start: float
    """Seconds since 1970 UTC; a lot belongs to the moment at which its first line was seen."""
    end: float
    """The first moment that is not meant any more."""
    round: int = 1
    """1: what the services turned away; n + 1: what failed again in the n-th round."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lot:
    """Lines of one object that are alike in reason, stage and source: a shard, by the protocol of the stream's."""

    key: str
    round: int
    reason: str
    stage: str
    source: str | None
    records: Sequence[Record]
    """Their payloads in the order of the object, as a stream would have them. Sequence numbers are those of the lines,
    from 1, and they arrived when they were turned away."""

    @property
    def shard_id(self) -> ShardId:
        """The same whenever the object is read. The round in it tells what becomes of its dead letters."""
        identity = "\n".join((self.key, self.reason, self.stage, self.source or ""))
        return ShardId(f"r{self.round}-{hashlib.sha256(identity.encode()).hexdigest()[:16]}")

    @property
    def lease_key(self) -> LeaseKey:
        """Of its row in the control table."""
        return lease_key(REPLAY, self.shard_id)

    def after(self, checkpoint: str) -> Sequence[Record]:
        """The records behind a checkpoint."""
        done = 0 if checkpoint == TRIM_HORIZON else int(checkpoint)
        return [record for record in self.records if int(record.sequence_number) > done]

    def letter(self, record: Record, _lease: Lease, reason: str, detail: str, _now: float) -> Envelope:
        """The dead letter of a line that failed again: what it was, still, but for the reason and the way back.

        It was seen when its first letter was, so that the same span of time means the same events in every round.
        """
        return envelope(
            record.data,
            reason=reason,
            detail=detail,
            stage=self.stage,
            position=f"{self.key}:{record.sequence_number}",
            seen_at=record.approximate_arrival_timestamp,
            source=self.source,
        )


def round_of(key: str, lineage: str) -> int:
    """In which round the lines of an object can be replayed; `lineage` is that of replays."""
    made = re.search(rf"/{lineage}-r(\d+)-[0-9a-f]{{16}}-\d+\.jsonl\.gz$", key, re.ASCII)
    return 1 if made is None else int(made[1]) + 1


async def find_objects(store: ObjectStore, selection: Selection, lineage: str) -> list[str]:
    """Keys of the objects that can hold what is meant, in order."""
    first = (datetime.fromtimestamp(selection.start, UTC) - LOOK_BACK).date()
    end = (datetime.fromtimestamp(selection.end, UTC) + timedelta(days=1)).date()
    return [
        key
        for prefix in PREFIXES
        async for key in _between(store, quarantine_folder(prefix, first), quarantine_folder(prefix, end), prefix)
        if round_of(key, lineage) == selection.round
    ]


async def _between(store: ObjectStore, first: str, end: str, prefix: Quarantine) -> AsyncIterator[str]:
    async for each in store.list(f"{prefix}/", after=first):
        if each.key >= end:
            return
        yield each.key


async def read_lots(store: ObjectStore, key: str, selection: Selection) -> list[Lot]:
    """The lots of an object that are meant. Raises `HaltedError` when it is no object of dead letters."""
    body = await store.get(key)
    alike: dict[tuple[str, str, str | None], list[Record]] = defaultdict(list)
    try:
        for number, line in enumerate(from_jsonl_gz(body), start=1):
            alike[line.reason, line.stage, line.source].append(_record(number, line))
    except (OSError, EOFError, zlib.error, msgspec.DecodeError, ValueError) as error:
        raise HaltedError(f"{key} is no object of dead letters: {error}") from error
    return [
        Lot(key=key, round=selection.round, reason=reason, stage=stage, source=source, records=records)
        for (reason, stage, source), records in alike.items()
        if reason in selection.reasons and selection.start <= records[0].approximate_arrival_timestamp < selection.end
    ]


def _record(number: int, line: Envelope) -> Record:
    return Record(
        data=base64.b64decode(line.payload, validate=True),
        sequence_number=str(number),
        partition_key="",
        approximate_arrival_timestamp=line.seen_at,
    )
