"""Environment → typed settings. The only place where a name, a default or a limit of the contract is written.

`load()` checks everything at once and raises one `ConfigError` that lists each problem; secrets are never shown.
"""

import os
import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AliasChoices, BeforeValidator, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from headrace.errors import ConfigError

_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


def parse_seconds(value: Any) -> Any:
    """`90`, `"90"`, `"90s"`, `"10m"`, `"1h"`, `"2d"` → seconds. Anything else goes on to pydantic's own message."""
    if isinstance(value, str) and (match := re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd]?)", value.strip().lower())):
        return float(match[1]) * _UNITS[match[2]]
    return value


def parse_bytes(value: Any) -> Any:
    """`1048576`, `"64MiB"`, `"64m"` → bytes (powers of 1024)."""
    if isinstance(value, str) and (match := re.fullmatch(r"(\d+)\s*([kmg]?)(?:i?b)?", value.strip().lower())):
        return int(match[1]) * _SIZES[match[2]]
    return value


def parse_list(value: Any) -> Any:
    """Comma-separated text → list of its non-empty parts."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


Seconds = Annotated[float, BeforeValidator(parse_seconds), Field(ge=0)]
Size = Annotated[int, BeforeValidator(parse_bytes), Field(gt=0)]
Words = Annotated[list[str], NoDecode, BeforeValidator(parse_list)]
Secrets = Annotated[list[SecretStr], NoDecode, BeforeValidator(parse_list)]
Identifier = Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]{0,127}$")]
"""What Athena takes as a database or table name without quoting."""
Port = Annotated[int, Field(ge=0, le=65535)]

METRICS_PORTS = {"api_consumer": 9101, "transformer": 9102, "partitioner": 9103}
"""`HEADRACE_METRICS_PORT` by service; the others serve their metrics on their own port."""

PARTITION_QUEUE_RECEIVES = 5
"""A bucket notification received so often in vain moves to the dead-letter queue."""


_STARTS = frozenset({"TRIM_HORIZON", "LATEST"})


def _is_past(value: str) -> bool:
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return False
    return moment.tzinfo is not None and moment <= datetime.now(UTC)


def _env(*names: str, default: Any, about: str) -> Any:
    return Field(default, validation_alias=AliasChoices(*names), description=about)


class Settings(BaseSettings):
    """All settings of all services; each reads what concerns it. `headrace doctor` prints them."""

    model_config = SettingsConfigDict(extra="ignore", populate_by_name=True, frozen=True, env_ignore_empty=True)

    # Places
    region: str = _env("REGION", "AWS_REGION", "AWS_DEFAULT_REGION", default="us-east-1", about="AWS region")
    stream: str = _env("HEADRACE_STREAM", default="", about="kinesis://NAME or kafka://HOST:PORT/TOPIC")
    kinesis_stream_name: str = _env(
        "KINESIS_STREAM_NAME", default="headrace-events", about="Used without a HEADRACE_STREAM"
    )
    bucket: str = _env("S3_BUCKET", default="headrace-data", about="Bucket of events and everything else")
    database: Identifier = _env("ATHENA_DATABASE", default="headrace", about="Glue database")
    table: Identifier = _env("ATHENA_TABLE", default="events", about="Table of streamed events")
    workgroup: str = _env("HEADRACE_WORKGROUP", default="headrace", about="Athena workgroup")
    athena_output: str = _env("ATHENA_OUTPUT", default="", about="Default s3://$S3_BUCKET/athena_output/")
    control_table: str = _env("HEADRACE_CONTROL_TABLE", default="headrace-control", about="Leases and checkpoints")
    counters_table: str = _env("HEADRACE_COUNTERS_TABLE", default="headrace-counters", about="Page and product counts")
    state_table: str = _env("HEADRACE_STATE_TABLE", default="headrace-state", about="Cursors of pollers, marks of jobs")
    partition_queue: str = _env(
        "HEADRACE_PARTITION_QUEUE", default="headrace-partitions", about="SQS queue of bucket notifications"
    )
    ddl_concurrency: Annotated[int, Field(ge=1, le=20)] = _env(
        "HEADRACE_DDL_CONCURRENCY", default=4, about="DDL statements at once; Athena allows 20 for all of an account"
    )
    sweep_seconds: Annotated[Seconds, Field(gt=0)] = _env(
        "HEADRACE_SWEEP_SECONDS", default=3600.0, about="Between two comparisons of bucket and registered partitions"
    )

    # Upstream
    api_url: str = _env("API_URL", default="", about="Web traffic API to poll")
    poll_interval: Seconds = _env("POLL_INTERVAL", default=1.0, about="Wait after an empty page")
    page_limit: int = _env("HEADRACE_PAGE_LIMIT", default=1000, about="Events asked for per page")
    source_files: Words = _env("HEADRACE_SOURCE_FILES", default=[], about="Files to read once, instead of an API_URL")
    page_bytes: Size = _env("HEADRACE_PAGE_BYTES", default=16 << 20, about="Largest page, on the wire and unpacked")
    upstream_timeout: Annotated[Seconds, Field(gt=0, le=60)] = _env(
        "HEADRACE_UPSTREAM_TIMEOUT", default=30.0, about="Longest time for a whole page"
    )
    allow_private_upstream: bool = _env(
        "HEADRACE_ALLOW_PRIVATE_UPSTREAM",
        default=False,
        about="Poll private and local addresses too, also over http://; set by `headrace up`",
    )
    allow_http_upstream: bool = _env(
        "HEADRACE_ALLOW_HTTP_UPSTREAM", default=False, about="Poll http:// URLs of public addresses"
    )
    spool_after: Seconds = _env(
        "HEADRACE_SPOOL_AFTER",
        default=30.0,
        about="Stream down for so long: pages go to kinesis_failures/ until it is back",
    )
    aggregate: bool = _env(
        "HEADRACE_AGGREGATE",
        default=False,
        about="Put many events into one stream record, as the Kinesis Producer Library does (api_consumer)",
    )
    raw_archive: bool = _env(
        "HEADRACE_RAW_ARCHIVE",
        default=False,
        about="Keep accepted events as they came, addresses included, in raw/events/",
    )
    mapping: str = _env("HEADRACE_MAPPING", default="", about="TOML file: how foreign events become ours")
    s3_batch_size: int = _env("S3_BATCH_SIZE", default=100, about="Rejected or archived events per object")
    s3_batch_seconds: Seconds = _env("S3_BATCH_SECONDS", default=10.0, about="Longest wait before they are written")

    # Notifications
    failed_records_sns_arn: str = _env(
        "FAILED_RECORDS_SNS_ARN", default="", about="Topic for digests of events that the poller rejects or spools"
    )
    sns_topic_arn: str = _env("SNS_TOPIC_ARN", default="", about="Topic for digests of the transformer's dead letters")

    # Delivery
    application: str = _env(
        "HEADRACE_APPLICATION", default="headrace", about="KCL's application name: part of every lineage"
    )
    start_position: str = _env(
        "HEADRACE_START_POSITION",
        default="TRIM_HORIZON",
        about="Without a checkpoint: TRIM_HORIZON, LATEST or a time like 2026-04-09T08:00:00Z",
    )
    batch_rows: int = _env("HEADRACE_BATCH_ROWS", default=100_000, about="Rows per micro-batch")
    batch_bytes: Size = _env("HEADRACE_BATCH_BYTES", default=64 << 20, about="Payload bytes per micro-batch")
    batch_partitions: int = _env("HEADRACE_BATCH_PARTITIONS", default=100, about="Hour partitions per micro-batch")
    buffer_bytes: Size = _env(
        "HEADRACE_BUFFER_BYTES",
        default=96 << 20,
        about="Bytes of records a transformer holds before it stops fetching",
    )
    batch_age: Seconds = _env("HEADRACE_BATCH_AGE", default=60.0, about="Longest wait of a record in a micro-batch")
    failover_seconds: Seconds = _env(
        "HEADRACE_FAILOVER", default=10.0, about="A lease unchanged for so long has expired"
    )
    dedup_window: Seconds = _env(
        "HEADRACE_DEDUP_WINDOW", default=600.0, about="How long an event id is remembered per shard, by time of arrival"
    )
    trip_after: Annotated[int, Field(ge=0)] = _env(
        "HEADRACE_TRIP_AFTER",
        default=10_000,
        about="Records in a row that may be dead letters before their shard stops; 0: any number",
    )
    shutdown_seconds: Seconds = _env("HEADRACE_SHUTDOWN", default=100.0, about="From SIGTERM to the end")

    # Events
    event_types: Literal["open", "strict"] = _env(
        "HEADRACE_EVENT_TYPES", default="open", about="strict: only the known types"
    )
    max_future: Seconds = _env("HEADRACE_MAX_FUTURE", default=3600.0, about="Events further ahead are dead letters")
    max_age: Seconds | None = _env(
        "HEADRACE_MAX_AGE", default=None, about="Older events are dead letters; unset: any age"
    )
    geoip_db: str = _env(
        "HEADRACE_GEOIP_DB", default="", about="MaxMind-format database; sets country where it is missing"
    )
    anonymous_key: SecretStr = _env(
        "HEADRACE_ANONYMOUS_KEY", default=SecretStr("headrace"), about="Key of the hash behind anon- users"
    )

    # Medallion
    medallion_grace: Seconds = _env(
        "HEADRACE_MEDALLION_GRACE", default=3600.0, about="From a run to the end of the files that it replaced"
    )
    medallion_lock: Annotated[Seconds, Field(ge=3)] = _env(
        "HEADRACE_MEDALLION_LOCK", default=60.0, about="The lock of a run that was killed ends after so long"
    )
    medallion_memory: Size = _env(
        "HEADRACE_MEDALLION_MEMORY", default=1 << 30, about="Bytes for DuckDB; batches of rows come on top"
    )
    medallion_threads: Annotated[int, Field(ge=1)] = _env(
        "HEADRACE_MEDALLION_THREADS", default=2, about="Groups of files that are read at once; each takes memory"
    )
    medallion_scratch: str = _env(
        "HEADRACE_MEDALLION_SCRATCH", default="", about="Folder for files of a run; default: the system's temporary one"
    )

    # Serving
    stats_port: Port = _env("HEADRACE_STATS_PORT", default=8080, about="Stats API")
    metrics_port: Port | None = _env("HEADRACE_METRICS_PORT", default=None, about="/metrics /livez /readyz")
    host: str = _env("HEADRACE_HOST", default="127.0.0.1", about="Address to listen on (0.0.0.0 in containers)")
    api_keys: Secrets = _env(
        "HEADRACE_API_KEYS", default=[], about="Keys that may read, plain or sha256:HEX; empty: anyone"
    )
    write_keys: Words = _env("HEADRACE_WRITE_KEYS", default=[], about="Public keys that may collect; empty: anyone")
    cors_origins: Words = _env(
        "HEADRACE_CORS_ORIGINS", default=[], about="Origins a browser may call from; empty: none"
    )
    collect_rate: Annotated[float, Field(ge=0)] = _env(
        "HEADRACE_COLLECT_RATE", default=100.0, about="Events a second one client may send to one stats API; 0: any"
    )
    collect_burst: Annotated[int, Field(ge=1)] = _env(
        "HEADRACE_COLLECT_BURST", default=1000, about="Events one client may send at once after a silence"
    )
    trusted_proxies: Annotated[int, Field(ge=0)] = _env(
        "HEADRACE_TRUSTED_PROXIES", default=0, about="Our own proxies in front, each adding to X-Forwarded-For"
    )

    # Telemetry
    cloudwatch_namespace: str = _env(
        "HEADRACE_CLOUDWATCH_NAMESPACE",
        default="",
        about="Metrics go into the log each minute for CloudWatch, under this namespace; empty: they do not",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = _env(
        "HEADRACE_LOG_LEVEL", default="INFO", about="Least level logged"
    )
    log_format: Literal["auto", "json", "console"] = _env(
        "HEADRACE_LOG_FORMAT", default="auto", about="auto: console on a terminal"
    )

    @field_validator("stream")
    @classmethod
    def _stream_url(cls, value: str) -> str:
        if value and (urlsplit(value).scheme not in {"kinesis", "kafka"} or not urlsplit(value).netloc):
            raise ValueError("must look like kinesis://NAME or kafka://HOST:PORT/TOPIC")
        return value

    @field_validator("start_position")
    @classmethod
    def _start(cls, value: str) -> str:
        if value not in _STARTS and not _is_past(value):
            raise ValueError("must be TRIM_HORIZON, LATEST or a time of the past with its zone: 2026-04-09T08:00:00Z")
        return value

    @model_validator(mode="after")
    def _one_source(self) -> "Settings":
        if self.api_url and self.source_files:
            raise ValueError("API_URL and HEADRACE_SOURCE_FILES exclude each other")
        if len({os.path.realpath(path) for path in self.source_files}) < len(self.source_files):
            raise ValueError("HEADRACE_SOURCE_FILES names a file twice: two readers would share one cursor")
        return self

    @property
    def stream_url(self) -> str:
        """`HEADRACE_STREAM`, or the Kinesis stream named by `KINESIS_STREAM_NAME`."""
        return self.stream or f"kinesis://{self.kinesis_stream_name}"

    @property
    def stream_name(self) -> str:
        """The stream's name without its scheme."""
        return urlsplit(self.stream_url).netloc

    @property
    def start_checkpoint(self) -> str:
        """KCL's word for `HEADRACE_START_POSITION`; that of a time is AT_TIMESTAMP."""
        return self.start_position if self.start_position in _STARTS else "AT_TIMESTAMP"

    @property
    def start_time(self) -> float | None:
        """The time in `HEADRACE_START_POSITION` (seconds since 1970 UTC); None when it is a word."""
        in_words = self.start_position in _STARTS
        return None if in_words else datetime.fromisoformat(self.start_position).timestamp()

    @property
    def partition_dead_letters(self) -> str:
        """The queue of notifications that could not be handled."""
        return f"{self.partition_queue}-dead-letters"

    @property
    def athena_output_url(self) -> str:
        """Where query results go: an s3:// URL that ends in a slash."""
        return (self.athena_output or f"s3://{self.bucket}/athena_output").rstrip("/") + "/"


def load(**overrides: Any) -> Settings:
    """Settings from the environment; `overrides` win. Raises `ConfigError` naming every wrong variable."""
    try:
        return Settings(**overrides)
    except ValidationError as error:
        raise ConfigError(
            [_problem(detail) for detail in error.errors(include_url=False, include_input=False)]
        ) from None


def _problem(detail: Any) -> str:
    name = str(detail["loc"][0]) if detail["loc"] else "settings"
    field = Settings.model_fields.get(name)
    if field is not None and isinstance(field.validation_alias, AliasChoices):
        name = str(field.validation_alias.choices[0])
    return f"{name}: {detail['msg'].removeprefix('Value error, ')}"
