"""Keys in the bucket. The only place that knows how a path is spelt, in both directions."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from urllib.parse import quote, unquote

EVENTS = "events"
RAW_EVENTS = "raw/events"


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


def event_object(partition: HourPartition, lineage: str, shard_id: str, batch_no: int, n: int) -> str:
    """`events/year=…/hour=…/{lineage}-{shard}-{batch_no}-{n}.parquet`."""
    return f"{EVENTS}/{partition.path}/{lineage}-{shard_id}-{batch_no:010}-{n}.parquet"


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


def quarantine_object(prefix: Quarantine, at: float, name: str) -> str:
    """`failed_records/year=/month=/day=/{name}.jsonl.gz`, by the day of `at` (seconds since 1970 UTC)."""
    day = datetime.fromtimestamp(at, UTC)
    return f"{prefix}/year={day:%Y}/month={day:%m}/day={day:%d}/{quote(name, safe='._-')}.jsonl.gz"


def raw_object(at: float, name: str) -> str:
    """`raw/events/year=/month=/day=/hour=/minute=/{name}.jsonl.gz`, by the minute of `at` (seconds since 1970 UTC)."""
    moment = datetime.fromtimestamp(at, UTC)
    folder = f"year={moment:%Y}/month={moment:%m}/day={moment:%d}/hour={moment:%H}/minute={moment:%M}"
    return f"{RAW_EVENTS}/{folder}/{quote(name, safe='._-')}.jsonl.gz"


def from_notification(key: str) -> str:
    """A key as bucket notifications spell it (form-encoded: + is a space) → as it is."""
    return unquote(key.replace("+", " "))
