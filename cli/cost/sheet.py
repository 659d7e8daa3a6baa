"""The formulas: first what happens, then what it costs. Each may use the names of inputs and of the steps above it."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Part(StrEnum):
    """What money is spent on, in the order of the flow."""

    TAKE_IN = "take in"
    LAND = "land"
    COUNT = "count"
    SERVE = "serve"
    ASK = "ask"
    WATCH = "watch"
    SECURE = "secure"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A quantity, and how it follows from others."""

    name: str
    formula: str
    about: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of the bill: `formula` comes to dollars a month."""

    part: Part
    item: str
    formula: str


def _step(name: str, formula: str, about: str) -> Step:
    return Step(name=name, formula=formula, about=about)


def _line(part: Part, item: str, formula: str) -> Line:
    return Line(part=part, item=item, formula=formula)


STEPS: Sequence[Step] = (
    _step("seconds", "hours * 3600", "seconds of a month"),
    _step("events", "rate * seconds", "events of a month"),
    # The poller
    _step(
        "pages",
        "max(rate / page_events, min(rate, 1 / page_seconds))",
        "pages a second: the next one is asked for at once, full or not",
    ),
    _step(
        "cursor_writes",
        "pages * ceil(cursor_bytes / write_bytes)",
        "write units a second: the document moves with each page",
    ),
    _step(
        "poller_tasks",
        "max(1, ceil(rate * poller_us / 1e6 / cpu_use / task_vcpu))",
        "as tasks of that size: it is one, larger",
    ),
    # The stream
    _step(
        "shards",
        "max(least_shards, ceil(max((1 - aggregated) * rate / shard_records,"
        " rate * record_bytes / shard_bytes) / shard_use))",
        "shards: by records or by bytes, whichever needs more",
    ),
    _step(
        "stream_bytes",
        "(1 - aggregated) * record_bytes"
        " + aggregated * min(aggregate_bytes, max(1, rate / pages / shards) * record_bytes)",
        "bytes of a record of the stream: an event, or those of a page that go to one shard",
    ),
    _step("records", "events * record_bytes / stream_bytes", "records of a month"),
    _step("put_units", "records * ceil(stream_bytes / put_unit_bytes)", "PUT payload units: at least one a record"),
    _step("stream_gb", "records * ceil(stream_bytes / 1024) / 1e6", "GB as on demand counts them"),
    # Batches
    _step("batches", "max(shards / batch_age, rate / batch_rows)", "batches a second, of all shards"),
    _step("batch_events", "rate / batches", "events in a batch"),
    _step("month_batches", "batches * seconds", "batches of a month"),
    _step("hour_turns", "1 + batch_age / 3600", "objects of a batch: two when an hour ends in it"),
    _step(
        "lease_writes",
        "ceil(lease_bytes / write_bytes) * (shards * renewals / failover + 2 * batches)",
        "write units a second: renewals, and each batch decided and committed",
    ),
    # Counting: items of a batch, which as a rule begins within one minute and ends within the next
    _step("batch_counted", "batch_events * counted", "events of a batch that count"),
    _step(
        "batch_products",
        "products * (1 - (1 - 1 / products) ** batch_counted)",
        "different products in a batch; as many pages",
    ),
    _step("batch_minutes", "1 + batch_age / 60", "minutes that a batch touches"),
    _step(
        "minute_products",
        "products * (1 - (1 - 1 / products) ** (batch_counted / batch_minutes))",
        "different products in each of them",
    ),
    _step(
        "batch_items",
        "2 * (minute_products * batch_minutes + 2 * batch_products)",
        "counter items of a batch: products and pages, by minute, by day and for all time",
    ),
    _step(
        "item_units",
        "2 * (minute_products * batch_minutes + batch_products * (1 + ceil(day_item_bytes / write_bytes)))",
        "write units that they would take outside a transaction",
    ),
    _step(
        "list_units",
        "(batch_minutes + 3) * ceil(top_list_bytes / write_bytes)",
        "write units of the top lists: by minute, hour, day and for all time",
    ),
    _step(
        "counter_writes",
        "batches * (item_units * transaction_units + list_units)",
        "write units a second of counting",
    ),
    _step(
        "counters_gb",
        "2 * products * shards * (32 * day_item_bytes + 1500 * item_bytes) / 1e9",
        "GB of counts: 31 days and all time; minutes, which DynamoDB removes about a day after they expired",
    ),
    # The transformers
    _step(
        "transformer_cpu",
        "(rate * transformer_us + batches * batch_items * counter_us) / 1e6 + transformer_idle / 100",
        "seconds of CPU a second, of all transformers",
    ),
    _step(
        "gathered_bytes",
        "rate * record_bytes * shards / batches / 2",
        "bytes that wait in memory: of each shard half a batch, on average",
    ),
    _step(
        "transformer_tasks",
        "max(1, ceil(transformer_cpu / cpu_use / task_vcpu), ceil(gathered_bytes / buffer_bytes))",
        "transformers: by CPU or by memory, whichever needs more",
    ),
    _step(
        "lease_reads",
        "transformer_tasks * looks / failover * ceil(shards * lease_bytes / read_bytes)",
        "read units a second: every transformer looks at all rows",
    ),
    # The rest
    _step("tasks", "poller_tasks + transformer_tasks + 1 + stats_tasks", "tasks, the partitioner's included"),
    _step("task_hour", "task_vcpu * vcpu_hour + task_gb * memory_gb_hour", "dollars an hour of a task"),
    _step(
        "endpoint_traffic_gb",
        "2 * 4 / 3 * events * record_bytes / 1e9",
        "GB to the stream and from it, as base64: what would go through an interface endpoint",
    ),
    _step("landed_gb", "rate * 86400 * events_days * object_bytes / 1e9", "GB of `events/`"),
    _step("manifest_gb", "rate * 86400 * manifest_days * manifest_bytes / 1e9", "GB of manifests"),
    _step(
        "messages",
        "seconds / receive_seconds + 2 * month_batches * hour_turns",
        "SQS requests: a poll every few seconds; each message received and deleted",
    ),
    _step("day_gb", "rate * 86400 * object_bytes / 1e9", "GB of Parquet of one day"),
    _step(
        "job_hours", "hours * (3600 * rate / medallion_rate + job_seconds) / 3600", "hours that the medallion job runs"
    ),
    _step(
        "log_gb_written",
        "(month_batches * batch_log_bytes + tasks * seconds / 60 * metric_line_bytes) / 1e9",
        "GB of logs: lines of batches, and each task's metrics by the minute",
    ),
)

LINES: Sequence[Line] = (
    _line(Part.TAKE_IN, "Kinesis: shards", "(1 - stream_on_demand) * shards * hours * shard_hour"),
    _line(
        Part.TAKE_IN,
        "Kinesis: kept for more than a day",
        "(1 - stream_on_demand) * min(1, max(0, retention_hours - 24)) * shards * hours * kept_shard_hour",
    ),
    _line(Part.TAKE_IN, "Kinesis: PUT payload units", "(1 - stream_on_demand) * put_units / 1e6 * million_put_units"),
    _line(
        Part.TAKE_IN,
        "Kinesis on demand",
        "stream_on_demand * (hours * stream_hour + stream_gb * (stream_gb_in + stream_gb_out)"
        " + stream_gb / hours * max(0, retention_hours - 24) * stream_gb_month)",
    ),
    _line(Part.TAKE_IN, "Fargate: api_consumer", "poller_tasks * hours * task_hour"),
    _line(Part.TAKE_IN, "DynamoDB: cursor", "cursor_writes * seconds / 1e6 * million_writes"),
    _line(Part.LAND, "Fargate: transformer", "transformer_tasks * hours * task_hour"),
    _line(Part.LAND, "Fargate: partitioner", "hours * task_hour"),
    _line(
        Part.LAND,
        "DynamoDB: leases",
        "(lease_writes * million_writes + lease_reads * million_reads) * seconds / 1e6",
    ),
    _line(Part.LAND, "S3: requests", "month_batches * hour_turns * batch_puts / 1000 * thousand_puts"),
    _line(Part.LAND, "S3: events stored", "landed_gb * bucket_gb_month"),
    _line(Part.LAND, "S3: manifests stored", "manifest_gb * bucket_gb_month"),
    _line(Part.LAND, "SQS", "messages / 1e6 * million_messages"),
    _line(Part.LAND, "Glue catalogue", "hours * hour_statements / 1e6 * million_catalog_requests"),
    _line(
        Part.COUNT,
        "DynamoDB: counts on demand",
        "(1 - counters_provisioned) * counter_writes * seconds / 1e6 * million_writes",
    ),
    _line(
        Part.COUNT,
        "DynamoDB: counts provisioned",
        "counters_provisioned * counter_writes / table_use * hours * write_unit_hour",
    ),
    _line(Part.COUNT, "DynamoDB: counts stored", "counters_gb * (table_gb_month + backup_gb_month)"),
    _line(Part.SERVE, "Fargate: stats_api", "stats_tasks * hours * task_hour"),
    _line(Part.SERVE, "Load balancer", "hours * (balancer_hour + capacity_units * capacity_unit_hour)"),
    _line(Part.SERVE, "DynamoDB: questions", "questions * question_reads * seconds / 1e6 * million_reads"),
    _line(Part.ASK, "Athena: scanned", "queries_a_day * hours / 24 * day_gb * query_share / 1000 * tb_scanned"),
    _line(
        Part.ASK,
        "Fargate: medallion job",
        "job_hours * (job_vcpu * vcpu_hour + job_gb * memory_gb_hour)",
    ),
    _line(
        Part.ASK,
        "S3: requests",
        "(2 * queries_a_day * hours / 24 * batches * 86400 + month_batches) * hour_turns / 1000 * thousand_gets",
    ),
    _line(Part.WATCH, "CloudWatch: logs", "log_gb_written * (log_gb + log_days / 30 * log_gb_month)"),
    _line(Part.WATCH, "CloudWatch: metrics", "metrics * metric_month"),
    _line(Part.WATCH, "CloudWatch: alarms", "alarms * alarm_month + dashboards * dashboard_month"),
    _line(Part.SECURE, "KMS", "key_month + key_requests * seconds / 60 / 1e4 * ten_thousand_key_requests"),
    _line(Part.SECURE, "Secrets", "secrets * secret_month"),
    _line(Part.SECURE, "Public addresses", "addresses * tasks * hours * address_hour"),
    _line(
        Part.SECURE,
        "Interface endpoints",
        "endpoints * hours * endpoint_hour + min(1, endpoints) * endpoint_traffic_gb * endpoint_gb",
    ),
)
