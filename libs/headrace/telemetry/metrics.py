"""Every metric of Headrace, declared here and nowhere else.

A service makes one `Metrics` at start and hands it on; nothing is global, so tests can have as many as they like.
"""

from pathlib import Path

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import generate_latest, write_to_textfile

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
_HTTP_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 5)
_ROWS = (1, 10, 100, 1_000, 10_000, 50_000, 100_000, 200_000)
_BYTES = tuple(4**n for n in range(5, 15))


class Metrics:
    """The metrics of one process, all named `headrace_…`."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # else every counter has a second series
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)

        # Producing
        self.records_polled = self._counter("records_polled", "Events received from upstream")
        self.records_accepted = self._counter("records_accepted", "Events that passed validation", "extra_columns")
        self.records_rejected = self._counter("records_rejected", "Events that did not, by reason", "reason")
        self.records_put = self._counter("records_put", "Records acknowledged by the stream")
        self.upstream_requests = self._counter("upstream_requests", "Pages asked of the web traffic API", "result")
        self.spooled_pages = self._gauge(
            "spooled_pages", "Pages or requests in kinesis_failures/ that wait for the stream"
        )
        self.poll_cursor_age = self._gauge("poll_cursor_age_seconds", "Since the poller's cursor last moved")

        # Consuming
        self.records_received = self._counter("records_received", "Records read from the stream", "shard")
        self.rows_committed = self._counter("rows_committed", "Rows in committed objects", "shard")
        self.records_dead_lettered = self._counter("records_dead_lettered", "Records that became no row", "reason")
        self.records_deduplicated = self._counter("records_deduplicated", "Repeats within the window", "shard")
        self.records_foreign = self._counter(
            "records_foreign", "Parts of aggregates that belong to another shard, and were put there again", "shard"
        )
        self.consumer_lag = self._gauge("consumer_lag_seconds", "Behind the tip of the shard", "shard")
        self.complete_through = self._gauge(
            "complete_through_timestamp_seconds", "All that arrived before it is committed", "shard"
        )
        self.event_to_visible = self._histogram("event_to_visible_seconds", "From arrival to commit", _SECONDS)
        self.batch_rows = self._histogram("batch_rows", "Rows per micro-batch", _ROWS)
        self.batch_stage_seconds = self._histogram(
            "batch_stage_seconds", "Time per stage of a micro-batch", _SECONDS, "stage"
        )
        self.object_bytes = self._histogram("object_bytes", "Size of written objects", _BYTES)
        self.buffer_bytes = self._gauge("buffer_bytes", "Payload bytes held in memory", "shard")
        self.intent_pending = self._gauge(
            "intent_pending_seconds", "Since a batch was decided that is not committed; 0 without one", "shard"
        )
        self.object_conflict = self._counter("object_conflict", "Keys that held other bytes than were decided")
        self.shards_halted = self._gauge("shards_halted", "Shards that wait for somebody to look")
        self.leases_held = self._gauge("leases_held", "Shards this worker owns")
        self.lease_lost = self._counter("lease_lost", "Leases lost, by cause", "cause")
        self.lease_handoff_seconds = self._histogram(
            "lease_handoff_seconds", "From another worker's claim to the release: deliver what is gathered", _SECONDS
        )
        self.data_gaps = self._counter("data_gaps", "Shards taken whose unread records the stream has dropped", "shard")
        self.shard_hash_range_holes = self._gauge(
            "shard_hash_range_holes", "Ranges of hash keys that no unfinished row answers for, in two looks"
        )
        self.cas_conflicts = self._counter("cas_conflicts", "Conditional writes refused", "op")

        # Catalogue
        self.partitions_registered = self._counter("partitions_registered", "Partitions added to the table")
        self.ddl_seconds = self._histogram("ddl_seconds", "Time of a DDL statement", _SECONDS)
        self.notifications = self._counter("notifications", "Bucket notifications handled, by result", "result")
        self.catalog_failures = self._counter("catalog_failures", "Calls to the catalogue that failed, by kind", "kind")
        self.messages_postponed = self._counter("messages_postponed", "Notifications to be received again later")
        self.messages_given_up = self._counter("messages_given_up", "Notifications left to the dead-letter queue")
        self.sweeps = self._counter("sweeps", "Comparisons of bucket and catalogue, by result", "result")
        self.partitions_swept = self._counter("partitions_swept", "Partitions registered that only a sweep found")

        # Proving
        self.reconciliation_mismatch = self._counter(
            "reconciliation_mismatch", "Comparisons of a reconciliation that did not agree", "check"
        )

        # Jobs: nobody scrapes a job, it writes these into a file when it ends
        self.job_runs = self._counter("job_runs", "Runs of a job, by result", "job", "result")
        self.job_seconds = self._gauge("job_seconds", "How long the last run of a job took", "job")
        self.files_processed = self._counter("files_processed", "Files a job read, by result", "job", "result")

        # Around
        self.alerts = self._counter("alerts", "Digests for a topic, by result", "result")
        self.aws_requests = self._counter("aws_requests", "AWS calls", "service", "op", "code")
        self.aws_retries = self._counter("aws_retries", "AWS calls made again after a failure", "service", "op")
        self.event_loop_lag = self._gauge("event_loop_lag_seconds", "How late the loop runs a timer")
        self.http_seconds = self._histogram(
            "http_request_duration_seconds", "Requests served", _HTTP_SECONDS, "route", "method", "status"
        )

    def forget_shard(self, shard: str) -> None:
        """Drop what only says how a shard is doing: it has ended, or is another worker's to tell of.

        What stays are `data_gaps`, which somebody has yet to see.
        """
        for metric in (
            self.records_received,
            self.rows_committed,
            self.records_deduplicated,
            self.records_foreign,
            self.consumer_lag,
            self.complete_through,
            self.buffer_bytes,
            self.intent_pending,
        ):
            metric.remove(shard)

    def render(self) -> bytes:
        """The Prometheus text exposition of all metrics."""
        return generate_latest(self.registry)

    def write(self, path: Path, *names: str) -> None:
        """Write some samples into a file, whole or not at all: for jobs, which nobody scrapes."""
        write_to_textfile(str(path), self.registry.restricted_registry(names))

    def _counter(self, name: str, about: str, *labels: str) -> Counter:
        return Counter(f"headrace_{name}", about, labels, registry=self.registry)

    def _gauge(self, name: str, about: str, *labels: str) -> Gauge:
        return Gauge(f"headrace_{name}", about, labels, registry=self.registry)

    def _histogram(self, name: str, about: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"headrace_{name}", about, labels, buckets=buckets, registry=self.registry)
