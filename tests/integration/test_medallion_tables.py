"""What the medallion registers, asked through the local Athena: tables whose locations roll, views, MSCK, pruning."""

import asyncio
import gzip
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from headrace.aws.session import AwsSession
from headrace.catalog.athena import AthenaCatalog, AthenaClient
from headrace.catalog.ddl import EventsTable
from headrace.catalog.glue import GlueTables
from headrace.clock import SystemClock
from headrace.events.arrow import EVENT_SCHEMA
from jobs.medallion import places
from jobs.medallion.model import GoldTable, SilverDay, SilverFile, Tables
from jobs.medallion.register import Lakehouse, register
from jobs.medallion.tables import DAILY_USER_ACTIVITY, GOLD, RAW_EVENTS, SILVER_EVENTS
from tests.integration.athena_lake import Lake, client

ZERO_HOUR = datetime(2026, 4, 9, tzinfo=UTC).timestamp()
DAYS = ("2026-04-08", "2026-04-09")


class House(Lake):
    """A database and a bucket into which a run after the other is published."""

    def __init__(self, endpoint: str, ministack_url: str, runner: asyncio.Runner, aws: AwsSession) -> None:
        super().__init__(endpoint, ministack_url)
        self.glue = client("glue", ministack_url)
        self.tables = Tables()
        self.runner = runner
        self.client = AthenaClient(
            runner.run(aws.client("athena")),
            clock=SystemClock(),
            workgroup="headrace",
            output=f"s3://{self.bucket}/athena_output/",
        )
        self.catalog = GlueTables(runner.run(aws.client("glue")), self.client, self.database)

    def put_day(self, run: int, day: str, hours: list[float]) -> None:
        """A day of silver as a run publishes it: an event at each of these hours of the day."""
        start = datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()
        self.write(places.silver_folder(day, run) + "00000.parquet", events([start + hour * 3600 for hour in hours]))
        file = SilverFile(key="", size=1, rows=len(hours), first=0, last=0)
        others = tuple(other for other in self.tables.days if other.day != day)
        days = sorted((*others, SilverDay(day=day, files=(file,))), key=lambda one: one.day)
        self._published(days=tuple(days), runs={day: run})

    def put_gold(self, run: int, rows: int) -> None:
        """A table of gold as a run publishes it: so many rows, and in each the run's number."""
        schema = DAILY_USER_ACTIVITY.arrow
        columns = [
            pa.array([run] * rows).cast(field.type) if field.name == "total_events" else pa.nulls(rows, field.type)
            for field in schema
        ]
        name = DAILY_USER_ACTIVITY.name
        self.write(places.gold_folder(name, run) + f"{name}.parquet", pa.table(columns, schema=schema))
        self._published(gold=(GoldTable(name=name, key="", size=1, rows=rows),), runs={name: run})

    def put_hour(self, hour: int, minutes: list[int]) -> None:
        """Streamed events of one hour of 2026-04-09, registered."""
        moments = [ZERO_HOUR + hour * 3600 + minute * 60 for minute in minutes]
        self.write(f"events/year=2026/month=04/day=09/hour={hour:02}/a.parquet", events(moments))

    async def roll(self, mark: float | None = None, raw: tuple[str, ...] = ()) -> None:
        house = Lakehouse(bucket=self.bucket, database=self.database, events="events")
        await register(self.catalog, house, self.tables, mark=mark, raw=raw)

    def register(self, mark: float | None = None, raw: tuple[str, ...] = ()) -> None:
        self.runner.run(self.roll(mark, raw))

    def scanned(self, sql: str) -> int:
        execution = self.run(sql)
        assert execution["Status"]["State"] == "SUCCEEDED", execution["Status"]
        return int(execution["Statistics"]["DataScannedInBytes"])

    def item(self, table: str) -> dict[str, Any]:
        return dict(self.glue.get_table(DatabaseName=self.database, Name=table)["Table"])

    def _published(self, runs: dict[str, int], **changes: Any) -> None:
        self.tables = Tables(
            days=changes.get("days", self.tables.days),
            gold=changes.get("gold", self.tables.gold),
            runs={**self.tables.runs, **runs},
        )


def events(moments: list[float]) -> pa.Table:
    """An event at each moment (seconds since 1970 UTC); its id says which."""
    rows = {
        "event_id": pa.array([f"e{moment:.0f}" for moment in moments]),
        "event_time": pa.array([int(moment * 1_000_000) for moment in moments], pa.int64()).cast(pa.timestamp("us")),
    }
    columns = [rows.get(field.name, pa.nulls(len(moments), field.type)) for field in EVENT_SCHEMA]
    return pa.table(columns, schema=EVENT_SCHEMA)


@pytest.fixture
def house(athena_environment: str, aws_environment: str) -> Iterator[House]:
    session = AwsSession("us-east-1")
    with asyncio.Runner() as runner:
        runner.run(session.__aenter__())
        yield House(athena_environment, aws_environment, runner, session)
        runner.run(session.__aexit__(None, None, None))


def test_days_are_where_their_runs_put_them(house: House) -> None:
    house.put_day(1, DAYS[0], [1, 2])
    house.put_day(1, DAYS[1], [3])
    house.register()
    house.put_day(2, DAYS[1], [3, 4, 5])
    assert house.rows("SELECT count(*) FROM silver_events") == [["3"]]
    house.register()
    counted = "SELECT event_date, count(*) FROM silver_events GROUP BY 1 ORDER BY 1"
    assert house.rows(counted) == [[DAYS[0], "2"], [DAYS[1], "3"]]
    assert house.rows("SHOW PARTITIONS silver_events") == [[f"event_date={day}"] for day in DAYS]
    one = f"SELECT event_id FROM silver_events WHERE event_date = DATE '{DAYS[0]}'"
    assert len(house.rows(one)) == 2
    assert house.scanned(one) < house.scanned("SELECT event_id FROM silver_events")


def test_repair_finds_the_days_of_a_fresh_table_and_leaves_registered_ones_alone(house: House) -> None:
    for day in DAYS:
        house.put_day(1, day, [1, 2])
    house.register()
    house.rows("DROP TABLE silver_events")
    house.tables = Tables()
    house.register()
    assert house.rows("SELECT count(*) FROM silver_events") == [["0"]]
    assert house.rows("MSCK REPAIR TABLE silver_events")[1:] == [
        [f"Repair: Added partition to metastore silver_events:event_date={day}"] for day in DAYS
    ]
    assert house.rows("SELECT count(*), count(DISTINCT event_id) FROM silver_events") == [["4", "4"]]
    for day in DAYS:
        house.put_day(2, day, [1, 2, 3])
    house.register()
    assert house.rows("MSCK REPAIR TABLE silver_events") == []
    assert house.rows("SELECT count(*), count(DISTINCT event_id) FROM silver_events") == [["6", "6"]]


def test_what_is_not_decided_is_found_by_no_repair(house: House) -> None:
    house.put_day(1, DAYS[0], [1])
    house.register()
    work = places.work_silver(2, "abcd", DAYS[1], 0)
    house.write(work, events([ZERO_HOUR]))
    assert house.rows("MSCK REPAIR TABLE silver_events") == []
    assert house.rows("SELECT count(*) FROM silver_events") == [["1"]]


def test_every_row_is_in_all_events_once_however_far_the_mark_is(house: House) -> None:
    house.put_day(1, DAYS[0], [23.5])
    house.put_day(1, DAYS[1], [0.5, 1.5])
    for hour in (0, 1, 2):
        house.put_hour(hour, [30])
    house.register()
    assert len(house.rows("SELECT event_id FROM all_events")) == 3  # silver alone
    house.register(mark=ZERO_HOUR + 3600)
    house.rows("MSCK REPAIR TABLE events")
    everything = "SELECT event_id, event_date FROM all_events ORDER BY event_time"
    found = house.rows(everything)
    assert found == [[f"e{ZERO_HOUR + hour * 3600:.0f}", DAYS[hour >= 0]] for hour in (-0.5, 0.5, 1.5, 2.5)]
    house.put_day(2, DAYS[1], [0.5, 1.5, 2.5])
    house.register(mark=ZERO_HOUR + 3600)  # silver has rolled, the mark has not
    assert house.rows(everything) == found
    house.register(mark=ZERO_HOUR + 3 * 3600)
    assert house.rows(everything) == found


def test_what_silver_has_beyond_the_mark_is_there_beside_what_only_was_streamed(house: House) -> None:
    house.put_day(1, DAYS[1], [0.5, 1.5, 2.25])  # the last one raw, never streamed
    for hour in (0, 1, 2):
        house.put_hour(hour, [30])
    house.register(mark=ZERO_HOUR + 3600)
    house.rows("MSCK REPAIR TABLE events")
    found = house.rows("SELECT event_id FROM all_events ORDER BY event_time")
    assert found == [[f"e{ZERO_HOUR + hour * 3600:.0f}"] for hour in (0.5, 1.5, 2.25, 2.5)]


def test_the_view_reads_only_what_its_question_is_about(house: House) -> None:
    for day in DAYS:
        house.put_day(1, day, [hour / 10 for hour in range(240)])
    for hour in range(6):
        house.put_hour(hour, list(range(60)))
    house.register(mark=ZERO_HOUR + 4 * 3600)
    house.rows("MSCK REPAIR TABLE events")
    silver = house.scanned("SELECT event_id, event_time FROM silver_events") / 2
    streamed = house.scanned("SELECT event_id, event_time FROM events") / 6
    question = "SELECT event_id, event_time FROM all_events"
    known = house.scanned(f"SELECT event_id, event_time FROM silver_events WHERE event_date = DATE '{DAYS[1]}'")
    assert house.scanned(question) == pytest.approx(2 * silver + 2 * streamed + known, rel=0.05)
    first = f"{question} WHERE event_date = DATE '{DAYS[0]}'"
    assert house.scanned(first) == pytest.approx(silver + 2 * streamed + known, rel=0.05)
    house.register(mark=ZERO_HOUR + 86400)
    assert house.scanned(first) == pytest.approx(silver, rel=0.05)


def test_bronze_is_asked_as_it_came(house: House) -> None:
    folder = "raw/events/year=2026/month=04/day=09/hour=10/minute="
    lines = [
        {"event_id": "a", "timestamp": 1775728800000, "price": 2.5, "geo": {"city": "Ulm"}},
        {"event_type": "click"},
    ]
    body = "".join(json.dumps(line) + "\n" for line in lines).encode() + b'{"cut'
    keys = [f"{folder}{minute}/x y.jsonl.gz" for minute in ("00", "01")]
    for key in keys:
        house.put(key, gzip.compress(body))
    house.register(raw=(keys[0],))
    asked = 'SELECT event_id, "timestamp", price, geo.city, event_type, minute FROM raw_events ORDER BY 1, 5'
    rows = [
        ["a", "1775728800000", "2.5", "Ulm", None, "00"],
        [None, None, None, None, "click", "00"],
        [None] * 5 + ["00"],
    ]
    assert house.rows(asked) == rows
    assert house.rows("MSCK REPAIR TABLE raw_events")[1:] == [
        ["Repair: Added partition to metastore raw_events:year=2026/month=04/day=09/hour=10/minute=01"]
    ]
    assert house.rows("SELECT count(*) FROM raw_events") == [["6"]]
    assert house.rows("SELECT count(*) FROM raw_events WHERE concat(hour, minute) > '1000'") == [["3"]]


def test_locations_can_be_set_by_statements_too(house: House) -> None:
    house.put_day(1, DAYS[0], [1])
    house.put_gold(1, 3)
    house.register()
    house.put_day(2, DAYS[0], [1, 2])
    house.put_gold(2, 4)
    lake = f"s3://{house.bucket}"
    day, gold = places.silver_folder(DAYS[0], 2), places.gold_folder("daily_user_activity", 2)
    house.rows(f"ALTER TABLE silver_events PARTITION (event_date = '{DAYS[0]}') SET LOCATION '{lake}/{day}'")
    house.rows(f"ALTER TABLE daily_user_activity SET LOCATION '{lake}/{gold}'")
    assert house.rows("SELECT count(*) FROM silver_events") == [["2"]]
    assert house.rows("SELECT total_events FROM daily_user_activity") == [["2"]] * 4
    house.register()  # has nothing to do


RUNS = 12


class Reader:
    """Asks a question over and over until told to stop, and once more."""

    def __init__(self, house: House, sql: str) -> None:
        self.house = house
        self.sql = sql
        self.answered = threading.Event()
        self.stop = threading.Event()

    def answers(self) -> list[list[list[str | None]]]:
        found = []
        while not self.stop.is_set():
            found.append(self.house.rows(self.sql))
            self.answered.set()
        return [*found, self.house.rows(self.sql)]

    async def next_answer(self) -> None:
        self.answered.clear()
        assert await asyncio.to_thread(self.answered.wait, 30)


@pytest.mark.parametrize(
    ("put", "sql"),
    [
        (lambda house, run: house.put_gold(run, run), "SELECT total_events FROM daily_user_activity"),
        (
            lambda house, run: house.put_day(run, DAYS[0], [0.5 * n for n in range(run)]),
            (
                "SELECT a.n FROM (SELECT count(*) AS n FROM silver_events) a, "
                "(SELECT 1 AS one FROM silver_events WHERE event_date > DATE '2000-01-01') b"
            ),
        ),
    ],
    ids=["gold", "silver"],
)
def test_a_reader_sees_the_old_run_or_the_new_one_and_never_half(
    house: House, put: Callable[[House, int], None], sql: str
) -> None:
    """Run n has n rows, and each says n; for silver the question reads the table twice."""
    put(house, 1)
    house.register()
    reader = Reader(house, sql)

    async def roll() -> None:
        for run in range(2, RUNS + 1):
            put(house, run)
            await house.roll()
            await reader.next_answer()

    with ThreadPoolExecutor(1) as threads:
        answers = threads.submit(reader.answers)
        try:
            house.runner.run(roll())
        finally:
            reader.stop.set()
    seen = [(len(rows), {row[0] for row in rows}) for rows in answers.result(30)]
    assert all(values == {str(count)} for count, values in seen), seen
    assert [count for count, _ in seen] == sorted(count for count, _ in seen)
    assert seen[-1][0] == RUNS
    assert len({count for count, _ in seen}) > 2


def test_tables_are_described_as_athenas_own_ddl_describes_them(house: House) -> None:
    streamed = EventsTable(database=house.database, name="events", bucket=house.bucket)
    house.runner.run(AthenaCatalog(house.client, streamed).ensure_table())
    by_ddl = house.item("events")
    house.rows("DROP TABLE events")
    house.register(mark=0.0)
    by_glue = house.item("events")
    for item in (by_ddl, by_glue):
        item["PartitionKeys"] = [(key["Name"], key["Type"]) for key in item["PartitionKeys"]]
    for told in ("Columns", "Location", "InputFormat", "OutputFormat"):
        assert by_glue["StorageDescriptor"][told] == by_ddl["StorageDescriptor"][told]
    serde = by_ddl["StorageDescriptor"]["SerdeInfo"]["SerializationLibrary"]
    told_by_athena = {"serialization.format": "1"}  # on AWS
    assert by_glue["StorageDescriptor"]["SerdeInfo"] == {"SerializationLibrary": serde, "Parameters": told_by_athena}
    for told in ("PartitionKeys", "TableType", "Parameters"):
        assert by_glue[told] == by_ddl[told]


def test_a_registered_table_can_be_created_anew_from_what_show_create_says(house: House) -> None:
    house.tables = Tables(
        gold=tuple(GoldTable(name=table.name, key="", size=0, rows=0) for table in GOLD),
        runs={table.name: 1 for table in GOLD},
    )
    house.register()
    for table in (*GOLD, SILVER_EVENTS, RAW_EVENTS):
        statement = "\n".join(line or "" for (line,) in house.rows(f"SHOW CREATE TABLE {table.name}"))
        house.rows(f"DROP TABLE {table.name}")
        house.rows(statement)
        names = [column.name for column in (*table.columns, *table.partition_keys)]
        assert [row[0] for row in house.rows(f"SHOW COLUMNS IN {table.name}")] == names
        assert house.rows(f"SELECT count(*) FROM {table.name}") == [["0"]]
