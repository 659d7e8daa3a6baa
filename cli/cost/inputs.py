"""What the formulas start from: list prices, what `make bench` measured, what the code fixes, and what is assumed."""

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from headrace.errors import ConfigError
from headrace.leases.keeper import LOOKS_PER_FAILOVER, RENEWALS_PER_FAILOVER
from headrace.settings import Settings
from headrace.stream.aggregate import MAX_AGGREGATE_BYTES
from headrace.telemetry.published import PUBLISHED
from services.partitioner.queue import WAIT_SECONDS

RESULTS = Path(__file__).parents[2] / "bench" / "results.json"


class Kind(StrEnum):
    """Where an input comes from."""

    PRICE = "price"
    MEASURED = "measured"
    RULE = "rule"
    CODE = "code"
    ASSUMED = "assumed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """A number with a name. `row` is its line in bench/results.json when it is measured; `value` is None then."""

    name: str
    kind: Kind
    value: float | None = None
    about: str
    row: str = ""


def _price(name: str, value: float, about: str) -> Input:
    return Input(name=name, kind=Kind.PRICE, value=value, about=about)


def _measured(name: str, row: str, about: str) -> Input:
    return Input(name=name, kind=Kind.MEASURED, row=row, about=about)


def _rule(name: str, value: float, about: str) -> Input:
    return Input(name=name, kind=Kind.RULE, value=value, about=about)


def _code(name: str, value: float, about: str) -> Input:
    return Input(name=name, kind=Kind.CODE, value=value, about=about)


def _assumed(name: str, value: float, about: str) -> Input:
    return Input(name=name, kind=Kind.ASSUMED, value=value, about=about)


def _default(setting: str) -> float:
    return float(Settings.model_fields[setting].default)


PRICES: Sequence[Input] = (
    _price("shard_hour", 0.015, "Kinesis, provisioned: a shard for an hour"),
    _price("kept_shard_hour", 0.02, "Kinesis, provisioned: keeping a shard's records for more than a day, for an hour"),
    _price("million_put_units", 0.014, "Kinesis, provisioned: a million PUT payload units of 25 KiB"),
    _price("stream_hour", 0.04, "Kinesis, on demand: the stream for an hour"),
    _price("stream_gb_in", 0.08, "Kinesis, on demand: a GB written, each record rounded up to 1 KB"),
    _price("stream_gb_out", 0.04, "Kinesis, on demand: a GB read"),
    _price("stream_gb_month", 0.10, "Kinesis, on demand: keeping a GB for more than a day, for a month"),
    _price("vcpu_hour", 0.04048, "Fargate, Linux on x86: a vCPU for an hour"),
    _price("memory_gb_hour", 0.004445, "Fargate, Linux on x86: a GB of memory for an hour"),
    _price("million_writes", 0.625, "DynamoDB, on demand: a million write request units of 1 KB"),
    _price("million_reads", 0.125, "DynamoDB, on demand: a million read request units of 4 KB"),
    _price("write_unit_hour", 0.00065, "DynamoDB, provisioned: a write each second, for an hour"),
    _price("table_gb_month", 0.25, "DynamoDB: a GB stored for a month"),
    _price("backup_gb_month", 0.20, "DynamoDB: point-in-time recovery of a GB for a month"),
    _price("thousand_puts", 0.005, "S3 Standard: a thousand PUT, COPY, POST or LIST requests"),
    _price("thousand_gets", 0.0004, "S3 Standard: a thousand GET and other requests"),
    _price("bucket_gb_month", 0.023, "S3 Standard: a GB stored for a month"),
    _price("million_messages", 0.40, "SQS: a million requests"),
    _price("million_catalog_requests", 1.00, "Glue catalogue: a million requests"),
    _price("tb_scanned", 5.00, "Athena: a TB scanned; DDL is free"),
    _price("log_gb", 0.50, "CloudWatch Logs: a GB written"),
    _price("log_gb_month", 0.03, "CloudWatch Logs: a GB stored for a month"),
    _price("metric_month", 0.30, "CloudWatch: a metric for a month"),
    _price("alarm_month", 0.10, "CloudWatch: an alarm for a month"),
    _price("dashboard_month", 3.00, "CloudWatch: a dashboard for a month"),
    _price("balancer_hour", 0.0225, "Application Load Balancer: an hour"),
    _price("capacity_unit_hour", 0.008, "Application Load Balancer: a capacity unit for an hour"),
    _price("address_hour", 0.005, "A public IPv4 address for an hour"),
    _price("endpoint_hour", 0.01, "An interface endpoint in one zone for an hour"),
    _price("endpoint_gb", 0.01, "A GB through an interface endpoint"),
    _price("key_month", 1.00, "KMS: a key for a month"),
    _price("ten_thousand_key_requests", 0.03, "KMS: ten thousand requests"),
    _price("secret_month", 0.40, "Secrets Manager: a secret for a month"),
)
"""US dollars without tax: AWS's public list for us-east-1 (Northern Virginia), the pricing page of each service, as of
November 2026."""

MEASURED: Sequence[Input] = (
    _measured("poller_us", "cost_poller_cpu", "CPU of the poller's process per event, in µs"),
    _measured(
        "transformer_us", "cost_transformer_cpu", "CPU of the transformer's process per event without counting, in µs"
    ),
    _measured("counter_us", "cost_counter_cpu", "CPU of the transformer per counter item, in µs"),
    _measured("record_bytes", "cost_record_bytes", "an event on the stream with its partition key, in bytes"),
    _measured("object_bytes", "cost_object_bytes", "an event in Parquet, in bytes"),
    _measured("manifest_bytes", "cost_manifest_bytes", "an event's part of a manifest, in bytes"),
    _measured("counted", "cost_counted", "share of events that count: views, cart additions, purchases"),
    _measured("item_bytes", "cost_counter_item_bytes", "a counter item, in bytes"),
    _measured("day_item_bytes", "cost_counter_day_bytes", "the largest counter item of a day, at its end, in bytes"),
    _measured("top_list_bytes", "cost_top_list_bytes", "a top list, in bytes"),
    _measured("lease_bytes", "cost_lease_bytes", "a shard's row in the control table, in bytes"),
    _measured("cursor_bytes", "cost_cursor_bytes", "a source's document in the state table, in bytes"),
    _measured("transformer_idle", "cost_transformer_idle", "CPU of a transformer without events, in % of a core"),
    _measured(
        "batch_puts",
        "cost_batch_s3",
        "S3 PUT requests per batch: an upload begun, sent and completed, and the manifest",
    ),
    _measured("batch_log_bytes", "cost_batch_log", "log lines per batch, in bytes, of all services"),
    _measured("medallion_rate", "batch_rate", "events per second of the medallion job"),
)

RULES: Sequence[Input] = (
    _rule("shard_records", 1000, "records a second that a shard takes"),
    _rule("shard_bytes", 1 << 20, "bytes a second that a shard takes"),
    _rule("put_unit_bytes", 25 << 10, "bytes of a PUT payload unit, begun for each record"),
    _rule("write_bytes", 1 << 10, "bytes of a DynamoDB write unit, begun for each item"),
    _rule("read_bytes", 4 << 10, "bytes of a DynamoDB read unit"),
    _rule("transaction_units", 2, "write units in a transaction where there is one outside"),
)

FROM_CODE: Sequence[Input] = (
    _code("batch_age", _default("batch_age"), "seconds that a batch gathers (`HEADRACE_BATCH_AGE`)"),
    _code("batch_rows", _default("batch_rows"), "rows that end it sooner (`HEADRACE_BATCH_ROWS`)"),
    _code("buffer_bytes", _default("buffer_bytes"), "bytes that a transformer holds (`HEADRACE_BUFFER_BYTES`)"),
    _code("page_events", _default("page_limit"), "events of a full page (`HEADRACE_PAGE_LIMIT`)"),
    _code("failover", _default("failover_seconds"), "seconds after which a lease expires (`HEADRACE_FAILOVER`)"),
    _code("renewals", RENEWALS_PER_FAILOVER, "renewals of a lease in that time"),
    _code("looks", LOOKS_PER_FAILOVER, "looks at all leases in that time, by each transformer"),
    _code("aggregate_bytes", MAX_AGGREGATE_BYTES, "bytes of an aggregate (`HEADRACE_AGGREGATE`)"),
    _code("receive_seconds", WAIT_SECONDS, "seconds of a long poll of the partitioner"),
    _code("metrics", sum(map(len, PUBLISHED.values())), "metrics that the services hand to CloudWatch"),
)

ASSUMED: Sequence[Input] = (
    _assumed("hours", 730, "hours of a month"),
    _assumed("stream_on_demand", 0, "1: the stream is on demand, not provisioned"),
    _assumed("retention_hours", 168, "hours that the stream keeps records (the template's default)"),
    _assumed("aggregated", 0, "1: `HEADRACE_AGGREGATE=1`, many events in one record"),
    _assumed("least_shards", 2, "shards however little there is to do (the template's default)"),
    _assumed("shard_use", 0.7, "share of a shard's limits that the average may take"),
    _assumed("cpu_use", 0.6, "share of a task's CPU that the average may take"),
    _assumed("task_vcpu", 0.5, "vCPU of a task"),
    _assumed("task_gb", 1, "GB of memory of a task"),
    _assumed("stats_tasks", 2, "tasks of the stats API (the template's default)"),
    _assumed("page_seconds", 0.1, "seconds that a page takes at least, from its request to the moved cursor"),
    _assumed("products", 2000, "products that are looked at, all alike, each with a page of its own"),
    _assumed("counters_provisioned", 0, "1: the counters table has provisioned capacity, not on demand"),
    _assumed("table_use", 0.7, "share of provisioned capacity that the average may take"),
    _assumed("events_days", 90, "days that objects of `events/` are kept"),
    _assumed("manifest_days", 100, "days that manifests are kept (the template's default)"),
    _assumed("log_days", 30, "days that logs are kept (the template's default)"),
    _assumed("questions", 10, "questions a second that the stats API asks DynamoDB, what it has cached aside"),
    _assumed("question_reads", 6, "read units of one: four queries, of which half have more than 4 KB"),
    _assumed("capacity_units", 1, "capacity units of the load balancer"),
    _assumed("queries_a_day", 50, "queries in Athena, each over one day"),
    _assumed("query_share", 0.3, "share of the day's bytes that a query reads: some columns of all"),
    _assumed("job_seconds", 60, "seconds of a job's start and end"),
    _assumed("job_vcpu", 2, "vCPU of the medallion job, by the hour"),
    _assumed("job_gb", 4, "GB of its memory"),
    _assumed("hour_statements", 10, "catalogue requests an hour: partitions, and the hourly sweep"),
    _assumed("alarms", 22, "alarms of the template"),
    _assumed("dashboards", 1, "dashboards"),
    _assumed("metric_line_bytes", 1600, "a process's metrics of a minute as a log line, in bytes"),
    _assumed("addresses", 1, "1: tasks have a public address; 0: they are in private subnets"),
    _assumed("endpoints", 0, "interface endpoints that are there for Headrace alone, times zones"),
    _assumed("secrets", 3, "secrets of the template"),
    _assumed(
        "key_requests", 20, "KMS requests a minute: bucket keys, the stream's and the tables' data keys are cached"
    ),
)

INPUTS: Sequence[Input] = (*PRICES, *RULES, *MEASURED, *FROM_CODE, *ASSUMED)


def starting_values(results: Path = RESULTS, changes: Mapping[str, float] | None = None) -> dict[str, float]:
    """Each input's number; `changes` win. Raises `ConfigError` for what the file of results lacks."""
    changes = changes or {}
    rows = _rows(results)
    missing = [each.row for each in MEASURED if each.row not in rows and each.name not in changes]
    if missing:
        raise ConfigError([f"{results} has no row {row}: run make bench" for row in missing])
    given = {each.name: rows.get(each.row, 0.0) if each.value is None else float(each.value) for each in INPUTS}
    return {**given, **changes}


def read_changes(path: Path) -> dict[str, float]:
    """A TOML file of `name = number`. Raises `ConfigError`."""
    try:
        found = tomllib.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ConfigError([f"{path}: {error}"]) from None
    wrong = [name for name, value in found.items() if isinstance(value, bool) or not isinstance(value, int | float)]
    if wrong:
        raise ConfigError([f"{path}: {name} is no number" for name in wrong])
    return {name: float(value) for name, value in found.items()}


def _rows(path: Path) -> dict[str, float]:
    try:
        return {row["name"]: float(row["headrace"]) for row in json.loads(path.read_text())}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError([f"{path} holds no results of make bench: {error}"]) from None
