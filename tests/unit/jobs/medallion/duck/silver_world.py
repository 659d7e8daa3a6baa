"""A bucket in a folder, events with copies, runs one after the other, and what silver must be, in plain Python."""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from headrace.events.arrow import EVENT_SCHEMA
from headrace.settings import Settings
from jobs.medallion.duck.engine import DuckEngine
from jobs.medallion.duck.silver import Sizes
from jobs.medallion.model import Plan, SilverDay, SilverReport, Source, SourceFile, Tables, ToRead

NOON = datetime(2026, 4, 9, 12)  # noqa: DTZ001 - a landed timestamp is UTC without saying so
SMALL = Sizes(file_bytes=12_000, chunk_rows=60, late_rows=20, lines_up_to=0)
Row = dict[str, Any]


def event(number: int, at: datetime = NOON, **columns: Any) -> Row:
    """A row with what every event has."""
    nothing: Row = dict.fromkeys(EVENT_SCHEMA.names)
    return nothing | {"event_id": f"e-{number}", "event_type": "page_view", "event_time": at} | columns


def table(rows: Sequence[Row]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=EVENT_SCHEMA)


def random_events(draw: random.Random, count: int) -> list[Row]:
    """Over three days, many at one moment; a third of them are copies of others, the same or with other contents."""
    rows: list[Row] = []
    for number in range(count):
        if rows and draw.random() < 0.33:
            rows.append(changed(draw, draw.choice(rows)))
            continue
        at = NOON + timedelta(minutes=draw.randrange(3 * 24 * 60))
        rows.append(event(number, at, product_id=draw.choice([None, "p-1"]), ingest_time=draw.choice([None, at])))
    return rows


def changed(draw: random.Random, row: Row) -> Row:
    """A copy of an event of that day, in a way by chance."""
    other: list[Row] = [
        {},
        {"price": Decimal("1.5000")},
        {"quantity": 3, "is_bot": True},
        {"properties": [("b", "2"), ("a", "1")]},
        {"properties": [("a", "1"), ("b", "3")]},
        {"ingest_time": row["event_time"] + timedelta(seconds=draw.randrange(5))},
        {"event_time": row["event_time"].replace(hour=draw.randrange(24))},
        {"rating": 1.5, "user_id": "u-1"},
    ]
    return row | draw.choice(other)


def rank(row: Row) -> list[tuple[bool, Any]]:
    """Of copies the least stays."""
    times = ["ingest_time", "event_time"]
    names = [*times, *(name for name in EVENT_SCHEMA.names if name not in times)]
    plain = row | {"properties": sorted(row["properties"]) if row["properties"] else row["properties"]}
    return [(plain[name] is None, plain[name]) for name in names]


def distinct(rows: Iterable[Row]) -> list[Row]:
    """The oracle: each event of a day once."""
    best: dict[tuple[str, str], Row] = {}
    for row in rows:
        key = (row["event_time"].date().isoformat(), row["event_id"])
        if key not in best or rank(row) < rank(best[key]):
            best[key] = row
    return list(best.values())


def canonical(rows: Iterable[Row]) -> list[Row]:
    """Rows in an order of their own, maps in one way."""
    plain = [row | {"properties": sorted(row["properties"]) if row["properties"] else None} for row in rows]
    return sorted(plain, key=lambda row: (row["event_time"], row["event_id"]))


@dataclass(slots=True)
class World:
    """A bucket, and what was published in it."""

    root: Path
    sizes: Sizes = SMALL
    tables: Tables = field(default_factory=Tables)
    runs: int = 0
    landed: list[SourceFile] = field(default_factory=list)

    def land(self, rows: Sequence[Row]) -> SourceFile:
        """One more file of the source `events`."""
        key = f"events/{len(self.landed):04}.parquet"
        path = self.path(key)
        pq.write_table(table(rows), path)
        return self.know(Source.EVENTS, key)

    def drop(self, key: str, body: bytes) -> SourceFile:
        """A file of the source `raw`."""
        self.path(key).write_bytes(body)
        return self.know(Source.RAW, key)

    def know(self, source: Source, key: str) -> SourceFile:
        file = SourceFile(source=source, key=key, etag="", size=self.path(key).stat().st_size)
        self.landed.append(file)
        return file

    def path(self, key: str) -> Path:
        path = self.root / "lake" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def engine(self, settings: Settings, **options: Any) -> DuckEngine:
        """With a scratch folder of its own, so that only the bucket is between runs."""
        scratch = self.root / f"scratch-{self.runs}"
        return DuckEngine(
            fs.SubTreeFileSystem(str(self.root), fs.LocalFileSystem()), "lake", scratch, settings,
            **{"sizes": self.sizes} | options,
        )  # fmt: skip

    def plan(self, read: Sequence[ToRead | SourceFile], **more: Any) -> Plan:
        self.runs += 1
        asked = tuple(one if isinstance(one, ToRead) else ToRead(file=one) for one in read)
        given = {"full": False, "run": self.runs, "attempt": "a", "started": 1.0, "sources": tuple(Source)}
        return Plan(**given | more, read=asked)

    def silver(self, settings: Settings, read: Sequence[ToRead | SourceFile], **more: Any) -> SilverReport:
        """Run the step, and publish what it made where it is."""
        plan = self.plan(read, **more)
        report = self.engine(settings).silver(plan, self.tables, lambda rows: None)
        days = {day.day: day for day in self.tables.days if not plan.full}
        days |= {day.day: day for day in report.days}
        self.tables = Tables(days=tuple(days[day] for day in sorted(days) if days[day].files))
        return report

    def rows(self) -> list[Row]:
        """All of silver."""
        return [row for day in self.tables.days for row in self.rows_of(day)]

    def rows_of(self, day: SilverDay) -> list[Row]:
        """One day; its files are what they say they are, and sorted."""
        found: list[Row] = []
        for file in day.files:
            rows = self.table_of(file.key).to_pylist()
            times = [row["event_time"] for row in rows]
            assert times == sorted(times)
            assert {at.date().isoformat() for at in times} == {day.day}
            assert (file.first, file.last) == (micros(times[0]), micros(times[-1]))
            assert (file.rows, file.size) == (len(rows), self.path(file.key).stat().st_size)
            found.extend(rows)
        return found

    def table_of(self, key: str) -> pa.Table:
        return pq.ParquetFile(self.path(key)).read().cast(EVENT_SCHEMA)


def micros(at: datetime) -> int:
    return round(at.replace(tzinfo=UTC).timestamp() * 1_000_000)
