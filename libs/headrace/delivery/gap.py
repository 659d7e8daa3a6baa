"""Whether the stream has forgotten what a shard's checkpoint still waits for."""

from dataclasses import dataclass

from headrace.clock import Clock
from headrace.leases.model import AT_TIMESTAMP, LATEST, SHARD_END, TRIM_HORIZON, Lease
from headrace.stream.ports import StreamInfo
from headrace.telemetry.log import get_logger
from headrace.telemetry.metrics import Metrics

_NO_PLACE = frozenset({TRIM_HORIZON, LATEST, AT_TIMESTAMP, SHARD_END})
"""Checkpoints that promise nothing of what came before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """What arrived between these moments (seconds since 1970 UTC) was never read, and the stream has it no more."""

    since: float
    """0 when nothing of the shard was ever read."""
    until: float


def data_gap(lease: Lease, retention_seconds: float, now: float, *, gone: bool = False) -> Gap | None:
    """Judge a lease as it was taken, before the first read; `now` is the wall clock.

    All that arrived until `complete_through` is committed, and at `caught_up_at` nothing else was there. What came
    later is unread, and of that the stream keeps `retention_seconds`. So an idle shard whose checkpoint was trimmed has
    no gap as long as somebody looked at it lately. Whether anything arrived while nobody looked cannot be known: that
    counts as a gap. A row without either time (KCL wrote it) says nothing, and none is claimed.

    Of a shard that is `gone` before it was read to its end even that much is certain: what was wanted of it, and was
    not read, is lost. Its last records are older than the retention, so the times mean the same.
    """
    if lease.ended or (lease.checkpoint in _NO_PLACE and not gone):
        return None
    known = max(lease.complete_through, lease.caught_up_at or 0.0)
    kept_from = now - retention_seconds
    if known >= kept_from or (known == 0 and (not gone or lease.checkpoint == LATEST)):
        return None
    return Gap(since=known, until=kept_from)


def tell_gap(lease: Lease, stream: StreamInfo, *, clock: Clock, metrics: Metrics, gone: bool = False) -> Gap | None:
    """`data_gap` told to the log and counted: the stream is read on, and nothing brings this back."""
    gap = data_gap(lease, stream.retention_seconds, clock.now(), gone=gone)
    if gap is not None:
        metrics.data_gaps.labels(lease.shard_id).inc()
        get_logger().error(
            "shard.data_gap",
            shard=lease.shard_id,
            epoch=lease.epoch,
            checkpoint=lease.checkpoint,
            since=gap.since,
            until=gap.until,
            gone=gone,
        )
    return gap
