"""Gold on DuckDB: each table from `headrace/sql/medallion/{table}.sql` over silver.

A table whose rows are each of one day is made for the days that changed; the rows of the others come from the object
before. The other tables count distinct users over all time, which no sum of days can tell: they read their four or so
columns of all days anew. A count per day and product, kept beside, would spare `product_funnel` its reading, but not
`product_popularity`, which reads the same columns and costs three times as much: it was left out.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from functools import cache
from itertools import accumulate

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from headrace.errors import StopError, UnavailableError
from headrace.events.arrow import EVENT_SCHEMA
from jobs.medallion import dialect, places
from jobs.medallion.duck.files import Files, reaching
from jobs.medallion.model import GoldReport, GoldTable, Plan, SilverDay, SilverReport, Tables
from jobs.medallion.ports import OnRows
from jobs.medallion.tables import GOLD, TableDefinition

ROWS_AT_ONCE = 32_000_000
"""Days are taken together up to so many rows: few queries for many small days, and memory for one large one."""

COPIED_BYTES = 4 << 30
"""Of days that changed, so much is copied to scratch at most: all queries read them, DuckDB reads copies twice as fast
as Arrow hands it columns of the bucket, and the silver step has copied some already."""
_COPIES_AT_ONCE = 4

_DAY = "event_date"
_CODED = pa.dictionary(pa.int32(), pa.string())
_SCHEMA = pa.schema([
    *(pa.field(name, _CODED) for name in ("event_type", "product_id", "category", "user_id")),
    *(EVENT_SCHEMA.field(name) for name in ("event_time", "session_id", "revenue", "quantity")),
])  # fmt: skip
"""What the queries read, `event_date` apart; each reads just those columns that it names."""
_VIEW = "silver_events"
_PUBLISHED = "silver_published"


def make_gold(
    connection: duckdb.DuckDBPyConnection, plan: Plan, silver: SilverReport, before: Tables, files: Files,
    check: Callable[[], None], on_rows: OnRows,
) -> GoldReport:  # fmt: skip
    """Make all tables of gold from the days of `before` as changed by `silver`, in the work area.

    `check` is called before each query and ends the step by what it raises; `on_rows` hears after each how many rows
    of silver it read.

    The same rows of silver make the same rows of gold in the same order, whatever was there before. Where no day
    changed, the tables stay what and where they are.
    """
    began = time.perf_counter()
    days = _days_after(plan, silver, before)
    changed = [day for day in silver.days if day.files]
    _copy(files, changed)
    old = {} if plan.full else {table.name: table for table in before.gold}
    maker = _Maker(connection=connection, files=files, check=check, on_rows=on_rows)
    made = []
    for table in GOLD:
        was = old.get(table.name)
        if was is not None and not silver.days:
            made.append(was)
            continue
        kept = None if was is None else _rows_of_other_days(files, was, table, silver.days)
        rows = maker.make(table, days) if kept is None else maker.make(table, changed, kept)
        made.append(_write(files, places.work_gold(plan.run, plan.attempt, table.name), table, rows))
    return GoldReport(tables=tuple(made), seconds=time.perf_counter() - began)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Maker:
    """Where the queries run."""

    connection: duckdb.DuckDBPyConnection
    files: Files
    check: Callable[[], None]
    on_rows: OnRows

    def make(self, table: TableDefinition, days: Sequence[SilverDay], kept: pa.Table | None = None) -> pa.Table:
        """The table's rows of those days, with the rows that are kept of others, in its order."""
        portions = _portions(days) if _is_daily(table) else [days]
        made = [self._query(table, some) for some in portions]
        rows = pa.concat_tables([table.arrow.empty_table() if kept is None else kept, *made])
        return rows.sort_by([(name, "ascending") for name in table.sorted_by]).combine_chunks()

    def _query(self, table: TableDefinition, days: Sequence[SilverDay]) -> pa.Table:
        self.check()
        self._show(days)
        try:
            rows = self.connection.sql(_text(table.name)).to_arrow_table()
        except duckdb.InvalidInputException as error:
            kind = UnavailableError if "IOError" in str(error) else StopError
            raise kind(f"silver cannot be read for {table.name}: {error}") from error
        finally:
            self.connection.execute(f"DROP VIEW {_VIEW}")
            self.connection.unregister(_PUBLISHED)
        self.on_rows(sum(file.rows for day in days for file in day.files))
        return rows.select(table.arrow.names).cast(table.arrow)

    def _show(self, days: Sequence[SilverDay]) -> None:
        """Have the view of silver show these days: DuckDB reads copies in scratch, Arrow what is in the bucket."""
        silver = [file for day in days for file in day.files]
        here = [str(path) for file in silver if (path := self.files.place(file.key)).exists()]
        there = [file.key for file in silver if not self.files.place(file.key).exists()]
        self.connection.register(_PUBLISHED, self.files.dataset(there, _SCHEMA))
        columns = ", ".join(_SCHEMA.names)
        sources = [f"SELECT {columns} FROM {_PUBLISHED}"]  # noqa: S608
        if here:
            paths = ", ".join("'" + path.replace("'", "''") + "'" for path in here)
            sources.append(f"SELECT {columns} FROM read_parquet([{paths}], hive_partitioning = false)")  # noqa: S608
        rows = " UNION ALL ".join(sources)
        # One value costs a group nothing; one a row is as dear as any other column of it.
        date = f"DATE '{days[0].day}'" if len(days) == 1 else "CAST(event_time AS DATE)"
        self.connection.execute(f"CREATE OR REPLACE TEMP VIEW {_VIEW} AS SELECT *, {date} AS {_DAY} FROM ({rows})")  # noqa: S608


@cache
def _text(table: str) -> str:
    return dialect.to_duckdb(dialect.load(table))


def _days_after(plan: Plan, silver: SilverReport, before: Tables) -> list[SilverDay]:
    days = {} if plan.full else {day.day: day for day in before.days}
    days |= {day.day: day for day in silver.days}
    return [days[day] for day in sorted(days) if days[day].files]


def _copy(files: Files, days: Sequence[SilverDay]) -> None:
    sizes = accumulate(file.size for day in days for file in day.files)
    keys = [file.key for day in days for file in day.files]
    with ThreadPoolExecutor(_COPIES_AT_ONCE) as pool:
        deque(pool.map(files.local, [key for key, size in zip(keys, sizes, strict=True) if size <= COPIED_BYTES]), 0)


def _is_daily(table: TableDefinition) -> bool:
    """Whether each row is of one day."""
    return _DAY in table.arrow.names


def _rows_of_other_days(
    files: Files, was: GoldTable, table: TableDefinition, changed: Sequence[SilverDay]
) -> pa.Table | None:
    """Rows that still hold. None when all days must be read: rows are of all days, or the columns were others then."""
    if not _is_daily(table):
        return None
    with reaching(was.key):
        rows = files.parquet(was.key).read()
    if rows.schema != table.arrow:
        return None
    days = pa.array([date.fromisoformat(day.day) for day in changed], pa.date32())
    return rows.filter(pc.invert(pc.is_in(rows.column(_DAY), days)))


def _portions(days: Sequence[SilverDay]) -> Iterator[list[SilverDay]]:
    """Consecutive days together, no more rows than fit at once unless one day has them."""
    taken: list[SilverDay] = []
    rows = 0
    for day in days:
        more = sum(file.rows for file in day.files)
        if taken and rows + more > ROWS_AT_ONCE:
            yield taken
            taken, rows = [], 0
        taken.append(day)
        rows += more
    if taken:
        yield taken


def _write(files: Files, key: str, table: TableDefinition, rows: pa.Table) -> GoldTable:
    path = files.place(key)
    pq.write_table(rows, str(path), compression="zstd", store_schema=False)
    files.upload(key)
    return GoldTable(name=table.name, key=key, size=path.stat().st_size, rows=rows.num_rows)
