"""Keys in the bucket. The only place that knows how a path is spelt, in both directions."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import NamedTuple
from urllib.parse import quote, unquote

EVENTS = "events"
RAW_EVENTS = "raw/events"
INTENTS = "_intents"


class Quarantine(StrEnum):
    """Prefixes of what did not become a row, by who put it there."""

    EXTRA_COLUMNS = "extra_columns"
    FAILED = "failed_records"
    KINESIS_FAILURES = "kinesis_failures"
    FAILED_TRANSFORMATION = "failed_transformation_records"


@dataclass(frozen=True, slots=True, order=True)
class HourPartition:
    """One hour of `events`, in UTC. Values are zero-padded strings, as the table has them."""

    year: str
    month: str
    day: str
    hour: str

    @property
    def path(self) -> str:
        """`year=2026/month=04/day=09/hour=00`."""
        return f"year={self.year}/month={self.month}/day={self.day}/hour={self.hour}"

    @property
    def values(self) -> tuple[str, str, str, str]:
        """The values in the order of the table's partition keys."""
        return (self.year, self.month, self.day, self.hour)

    @classmethod
    def of_hour(cls, hours: int) -> "HourPartition":
        """The partition of the `hours`-th hour since 1970 UTC. Raises `ValueError` outside the years 1 to 9999."""
        try:
            moment = datetime.fromtimestamp(hours * 3600, UTC)
        except (OverflowError, OSError, ValueError) as error:
            raise ValueError(f"hour {hours} is outside the calendar") from error
        return cls(f"{moment.year:04}", f"{moment.month:02}", f"{moment.day:02}", f"{moment.hour:02}")


_EVENT_KEY = re.compile(
    r"events/year=(?P<year>\d{4})/month=(?P<month>0[1-9]|1[0-2])/day=(?P<day>0[1-9]|[12]\d|3[01])/hour=(?P<hour>[01]\d|2[0-3])/[^/]+",
    re.ASCII,
)

_EVENT_NAME = re.compile(r"(?P<lineage>[^-]+)-(?P<shard>.+)-(?P<batch>\d{10,})-(?P<n>\d+)\.parquet", re.ASCII)


def event_object(partition: HourPartition, lineage: str, shard_id: str, batch_no: int, n: int) -> str:
    """`events/year=…/hour=…/{lineage}-{shard}-{batch_no}-{n}.parquet`."""
    return f"{EVENTS}/{partition.path}/{lineage}-{shard_id}-{batch_no:010}-{n}.parquet"


class EventObject(NamedTuple):
    """What the name of an object below `events/` says."""

    lineage: str
    shard_id: str
    batch_no: int
    n: int


def named_by(key: str) -> EventObject | None:
    """The reverse of `event_object`, or None when it did not make this key."""
    match = _EVENT_NAME.fullmatch(key.rpartition("/")[2])
    if match is None or partition_of(key) is None:
        return None
    return EventObject(match["lineage"], match["shard"], int(match["batch"]), int(match["n"]))


def partition_of(key: str) -> HourPartition | None:
    """The partition an object of `events` belongs to, or None when its key is not one of those that we write."""
    match = _EVENT_KEY.fullmatch(key)
    if match is None:
        return None
    year, month, day, hour = match.group("year", "month", "day", "hour")
    try:
        date(int(year), int(month), int(day))
    except ValueError:  # 31 February
        return None
    return HourPartition(year, month, day, hour)


def manifest_prefix(lineage: str, shard_id: str) -> str:
    """What the keys of all manifests of a shard start with."""
    return f"{INTENTS}/{lineage}/{shard_id}/"


def manifest_object(lineage: str, shard_id: str, batch_no: int, epoch: int) -> str:
    """`_intents/{lineage}/{shard}/{batch_no}-{epoch}.json`: in order of key they are in order of batch."""
    return f"{manifest_prefix(lineage, shard_id)}{batch_no:010}-{epoch}.json"


_MANIFEST_KEY = re.compile(r"_intents/[^/]+/[^/]+/(?P<batch_no>\d{10,})-(?P<epoch>\d+)\.json", re.ASCII)


def numbers_of_manifest(key: str) -> tuple[int, int] | None:
    """Batch number and epoch in a manifest's key; None when it is not one of those that we write."""
    match = _MANIFEST_KEY.fullmatch(key)
    return (int(match["batch_no"]), int(match["epoch"])) if match else None


def quarantine_object(prefix: Quarantine, at: float, name: str) -> str:
    """`failed_records/year=/month=/day=/{name}.jsonl.gz`, by the day of `at` (seconds since 1970 UTC)."""
    return f"{quarantine_folder(prefix, datetime.fromtimestamp(at, UTC))}{quote(name, safe='._-')}.jsonl.gz"


def quarantine_folder(prefix: Quarantine, day: date) -> str:
    """`failed_records/year=/month=/day=/`: in order of key the folders of a prefix are in order of day."""
    return f"{prefix}/year={day.year:04}/month={day.month:02}/day={day.day:02}/"


def put_back_mark(key: str) -> str:
    """The key beside a quarantine object's that says: its events are in the stream. A mark's own is itself."""
    return f"{key.removesuffix('.jsonl.gz').removesuffix('.done')}.done"


def raw_object(at: float, name: str) -> str:
    """`raw/events/year=/month=/day=/hour=/minute=/{name}.jsonl.gz`, by the minute of `at` (seconds since 1970 UTC)."""
    moment = datetime.fromtimestamp(at, UTC)
    folder = f"year={moment:%Y}/month={moment:%m}/day={moment:%d}/hour={moment:%H}/minute={moment:%M}"
    return f"{RAW_EVENTS}/{folder}/{quote(name, safe='._-')}.jsonl.gz"


def from_notification(key: str) -> str:
    """A key as bucket notifications spell it (form-encoded: + is a space) → as it is."""
    return unquote(key.replace("+", " "))
