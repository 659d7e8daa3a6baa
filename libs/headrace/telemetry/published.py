"""Which metrics CloudWatch gets, and how the series of a process become one number of each.

CloudWatch takes money for every series, so shards, reasons and results are put together here, and only what an alarm or
the dashboard of deploy/ecs asks for is in the table.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class How(StrEnum):
    """From the series of a metric to one number."""

    RISE = "rise"
    """Counters: by how much they have risen in all since the line before. The statistic to ask for is Sum."""
    MOST = "most"
    """Gauges: the largest. Ask for Maximum."""
    PERCENT = "percent"
    """Counters: a rise in percent of another's; nothing when that is none. Ask for Average."""
    AGE = "age"
    """Gauges that are moments: seconds since the earliest of them. Ask for Maximum."""
    STILL = "still"
    """Gauges: seconds since the one that has stood still for longest last moved, as the lines saw it. Maximum."""
    QUANTILE = "quantile"
    """Histograms: a quantile of what was observed since the line before; nothing when that is nothing. Maximum."""


class Unit(StrEnum):
    """CloudWatch's own words."""

    COUNT = "Count"
    SECONDS = "Seconds"
    PERCENT = "Percent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """One metric of CloudWatch."""

    source: str
    """A sample's name, as `/metrics` has it; of a histogram its `_bucket`."""
    how: How = How.RISE
    name: str = ""
    """In CloudWatch, if not that of the source."""
    unit: Unit = Unit.COUNT
    where: Mapping[str, str] | None = None
    """Only series whose labels begin like this."""
    of: "Published | None" = None
    """What a PERCENT is of."""
    share: float = 0.99
    """Of a QUANTILE."""

    @property
    def called(self) -> str:
        """The name in CloudWatch."""
        return self.name or self.source


def _gauge(source: str, unit: Unit = Unit.COUNT) -> Published:
    return Published(source=source, how=How.MOST, unit=unit)


def _percent(name: str, part: Published, of: Published) -> Published:
    return Published(source=part.source, where=part.where, name=name, how=How.PERCENT, unit=Unit.PERCENT, of=of)


ALIVE = _gauge("headrace_event_loop_lag_seconds", Unit.SECONDS)
"""Every service has it in every line, so that silence can be told from zero."""

_SPOOLED = _gauge("headrace_spooled_pages")
_POLLED = Published(source="headrace_records_polled_total")
_REJECTED = Published(source="headrace_records_rejected_total")
_RECEIVED = Published(source="headrace_records_received_total")
_DEAD = Published(source="headrace_records_dead_lettered_total")
_COMPLETE = "headrace_complete_through_timestamp_seconds"
_HTTP = "headrace_http_request_duration_seconds"
_API = {"route": "/v1"}
"""Not what health checks ask."""
_REQUESTS = Published(source=f"{_HTTP}_count", name="headrace_http_requests_total", where=_API)
_FAILURES = Published(source=f"{_HTTP}_count", name="headrace_http_failures_total", where={**_API, "status": "5"})

PUBLISHED: Mapping[str, tuple[Published, ...]] = {
    "api_consumer": (
        ALIVE,
        _POLLED,
        _REJECTED,
        _percent("headrace_records_rejected_percent", _REJECTED, _POLLED),
        Published(source="headrace_records_put_total"),
        _gauge("headrace_poll_cursor_age_seconds", Unit.SECONDS),
        _SPOOLED,
    ),
    "transformer": (
        ALIVE,
        _RECEIVED,
        Published(source="headrace_rows_committed_total"),
        _DEAD,
        _percent("headrace_records_dead_lettered_percent", _DEAD, _RECEIVED),
        Published(source="headrace_records_deduplicated_total"),
        _gauge("headrace_consumer_lag_seconds", Unit.SECONDS),
        Published(source=_COMPLETE, how=How.AGE, name="headrace_complete_through_age_seconds", unit=Unit.SECONDS),
        Published(source=_COMPLETE, how=How.STILL, name="headrace_complete_through_still_seconds", unit=Unit.SECONDS),
        Published(
            source="headrace_event_to_visible_seconds_bucket",
            how=How.QUANTILE,
            name="headrace_event_to_visible_seconds_p99",
            unit=Unit.SECONDS,
        ),
        _gauge("headrace_intent_pending_seconds", Unit.SECONDS),
        _gauge("headrace_shards_halted"),
        _gauge("headrace_shard_hash_range_holes"),
        Published(source="headrace_lease_lost_total"),
        Published(source="headrace_object_conflict_total"),
        Published(source="headrace_data_gaps_total"),
    ),
    "partitioner": (
        ALIVE,
        Published(source="headrace_partitions_registered_total"),
        Published(source="headrace_catalog_failures_total"),
    ),
    "stats_api": (
        ALIVE,
        _REQUESTS,
        _FAILURES,
        _percent("headrace_http_failures_percent", _FAILURES, _REQUESTS),
        Published(
            source=f"{_HTTP}_bucket",
            how=How.QUANTILE,
            name="headrace_http_request_duration_seconds_p95",
            unit=Unit.SECONDS,
            where=_API,
            share=0.95,
        ),
        _SPOOLED,
    ),
    "medallion": (
        Published(source="headrace_job_runs_total", name="headrace_job_failures_total", where={"result": "failed"}),
        _gauge("headrace_job_seconds", Unit.SECONDS),
    ),
    "reconcile": (Published(source="headrace_reconciliation_mismatch_total"),),
}
"""By service or job."""
