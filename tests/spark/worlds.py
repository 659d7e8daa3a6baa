"""Bronze with all that may be wrong with it, and the tables that an engine makes of it."""

import asyncio
import gzip
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from headrace.clock import SystemClock
from headrace.events.arrow import EVENT_SCHEMA
from headrace.quarantine import from_jsonl_gz
from jobs.medallion.model import Plan, SilverReport, Source, SourceFile, Tables, ToRead
from jobs.medallion.ports import Engine
from jobs.simulate.bulk.places import Folder
from jobs.simulate.bulk.plan import Flaws
from jobs.simulate.bulk.plan import Plan as BulkPlan
from jobs.simulate.bulk.run import run

MIDNIGHT = datetime(2026, 4, 9, tzinfo=UTC)
MINUTE = "raw/events/year=2026/month=04/day=08/hour=23/minute=59"
STRANGE = f"{MINUTE}/späte Einkäufe = 100% [neu] *.jsonl.gz"
HIDDEN = f"{MINUTE}/_hidden.jsonl.gz"
EVENTS = "events/year=2026/month=04/day=08/hour=23"
LANDED = f"{EVENTS}/a-shard-0000000001-0.parquet"

_START = '{"event_id":"%s","session_id":"s","event_type":"purchase","timestamp":1775692740000'
ENDINGS = (
    "}", ',"price":1.5,"quantity":2}', ',"price":0.00005,"quantity":3}', ',"price":1e2}', ',"price":"7.25"}',
    ',"price":12345678901234.5678}', ',"price":1e15}', ',"price":99999999999999,"quantity":100}', ',"quantity":"5"}',
    ',"quantity":5.0}', ',"quantity":9223372036854775808}', ',"price":-0.0,"revenue":-3}', ',"revenue":"many"}',
    ',"rating":4.5}', ',"rating":1e400}', ',"rating":0.1}', ',"is_bot":true}', ',"is_bot":"true"}', ',"is_bot":1}',
    ',"user_id":5}', ',"city":true}', ',"geo":{"country":"DE","city":"Köln"},"country":"FR"}', ',"geo":"DE"}',
    ',"geo":{"country":5}}', ',"geo":null}', ',"properties":{"b":"1","a":"2"}}', ',"properties":{"b":1}}',
    ',"properties":{}}', ',"properties":"{}"}', ',"ip":"2001:db8:1:2::3"}', ',"ip":"203.0.113.9:80"}',
    ',"ip":"nowhere"}', ',"user_agent":"curl/8"}', ',"unknown":[1,{"a":2}]}', ',"schema_version":2}',
    ',"schema_version":-1}', ',"ingest_time":1775692741000}', ',"ingest_time":"2026-04-08T23:59:01Z"}',
    ',"city":"\\ud83d\\ude00 \\u0041"}', ',"city":"\\ud800"}', '} {"a":1}', "}]", ",", "",
    ',"source":"2026"}', ',"source":"true"}', ',"source":"[x"}', ',"category":""}',
    ',"page_url":"' + "x" * 30_000 + '"}',
)  # fmt: skip
"""Ends of lines, good and bad. Not among them is what DuckDB's reader passes over and docs/medallion.md names."""


@dataclass
class World:
    """A bucket that is a folder, and what an engine has made in it so far."""

    root: Path
    engine: Engine
    tables: Tables = field(default_factory=Tables)
    number: int = 0
    seen: int = 0
    reports: list[SilverReport] = field(default_factory=list)

    def step(self, read: Sequence[ToRead], *, rebuild: Sequence[str] = (), full: bool = False) -> SilverReport:
        """A run: both steps, published where they are."""
        self.number += 1
        plan = Plan(
            run=self.number,
            attempt="a",
            started=MIDNIGHT.timestamp(),
            sources=tuple(Source),
            full=full,
            read=tuple(read),
            rebuild=tuple(rebuild),
        )
        silver = self.engine.silver(plan, self.tables, self._count)
        gold = self.engine.gold(plan, silver, self.tables, lambda _: None)
        days = {} if full else {day.day: day for day in self.tables.days}
        days |= {day.day: day for day in silver.days}
        self.tables = Tables(days=tuple(days[day] for day in sorted(days) if days[day].files), gold=gold.tables)
        self.reports.append(silver)
        return silver

    def _count(self, rows: int) -> None:
        self.seen += rows

    def silver(self) -> pa.Table:
        """All rows, by day and id."""
        days = [pa.array([], pa.string())]
        rows = [EVENT_SCHEMA.empty_table()]
        for day in self.tables.days:
            for file in day.files:
                made = pq.read_table(self.root / file.key, partitioning=None)
                assert made.schema.equals(EVENT_SCHEMA)
                times = made["event_time"].cast(pa.int64()).to_pylist()
                assert times == sorted(times)
                assert (made.num_rows, times[0], times[-1]) == (file.rows, file.first, file.last)
                assert (self.root / file.key).stat().st_size == file.size
                rows.append(made)
                days.append(pa.array([day.day] * made.num_rows))
        table = pa.concat_tables(rows).append_column("event_date", pa.chunked_array(days))
        return table.sort_by([("event_date", "ascending"), ("event_id", "ascending")]).combine_chunks()

    def gold(self) -> dict[str, pa.Table]:
        """All tables as they are."""
        made = {table.name: pq.read_table(self.root / table.key, partitioning=None) for table in self.tables.gold}
        assert {name: rows.num_rows for name, rows in made.items()} == {it.name: it.rows for it in self.tables.gold}
        return made

    def letters(self) -> list[tuple[str, str, str, str]]:
        """Position, reason, detail and payload of all dead letters."""
        keys = [key for report in self.reports for key in report.dead_letters]
        found = [letter for key in keys for letter in from_jsonl_gz((self.root / key).read_bytes())]
        return sorted((it.position, it.reason, it.detail, it.payload) for it in found)


def make_bronze(root: Path) -> None:
    """Two days of raw events with every flaw, and files of the transformer's."""
    flaws = Flaws(bad_lines=0.01, duplicates=0.02, late=0.05)
    plan = BulkPlan(seed=3, events=20_000, end=MIDNIGHT.replace(minute=10), minutes=20, files_per_minute=1, flaws=flaws)
    asyncio.run(run(plan, Folder(root), clock=SystemClock(), on_events=lambda _: None))
    lines = [_START % f"x{number}" + ending for number, ending in enumerate(ENDINGS)]
    text = "\n\n".join([*lines, *lines[:3], '{"session_id":"s","event_type":"page_view","timestamp":"2026-04-08"}'])
    odd = [b"\xef\xbb\xbf{}", b'{"a":"\xff"}', b"\0", b"null", b"[]", b" \t\r"]
    _put(root, STRANGE, gzip.compress(text.encode() + b"\n" + b"\r\n".join(odd)))
    _put(root, HIDDEN, gzip.compress((_START % "h" + "}\n").encode()))
    _put(root, f"{MINUTE}/cut.jsonl.gz", gzip.compress((lines[1] + "\n").encode() * 500)[:-9])
    flipped = bytearray(gzip.compress((lines[1] + "\n").encode() * 500))
    flipped[-8] ^= 1
    _put(root, f"{MINUTE}/checksum.jsonl.gz", bytes(flipped))
    _put(root, f"{MINUTE}/empty.jsonl.gz", b"")
    _put(root, f"{MINUTE}/blank.jsonl.gz", gzip.compress(b"\n \n"))
    _put(root, f"{MINUTE}/plain.jsonl.gz", lines[1].encode())
    make_landed(root, ["landed", "landed", "other"])
    _put(root, f"{EVENTS}/b-shard-0000000001-0.parquet", b"PAR1PAR1")


def _put(root: Path, key: str, body: bytes) -> None:
    (root / key).parent.mkdir(parents=True, exist_ok=True)
    (root / key).write_bytes(body)


def make_landed(root: Path, ids: Sequence[str]) -> None:
    """A file of the transformer's, of a time with fewer columns."""
    at = MIDNIGHT.replace(tzinfo=None)
    given = [
        {"event_id": one, "session_id": "s", "user_id": "u", "event_type": "page_view", "event_time": at} for one in ids
    ]
    rows = pa.Table.from_pylist(given, EVENT_SCHEMA).drop_columns(["rating", "properties"])
    (root / LANDED).parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(rows, root / LANDED)


def files_in(root: Path) -> list[SourceFile]:
    """All of bronze, by key."""
    paths = [*(root / "raw").rglob("*.gz"), *(root / "events").rglob("*.parquet")]
    keys = sorted(str(path.relative_to(root)) for path in paths)
    return [
        SourceFile(
            source=Source.RAW if key.startswith("raw/") else Source.EVENTS,
            key=key,
            etag="",
            size=(root / key).stat().st_size,
        )
        for key in keys
    ]


def copy_of(bronze: Path, root: Path) -> Path:
    """The same files elsewhere."""
    shutil.copytree(bronze, root)
    return root
