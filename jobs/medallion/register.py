"""What is published becomes what tables show: partitions and locations in the catalogue, and the view's mark.

It compares and changes only what differs, so it may be repeated, after a crash or years later. The order matters:

1. The days of silver, so that all rows before the new mark are in it.
2. The tables of gold, each in one step.
3. The mark of `all_events`: from here on streamed events before it are looked for in silver only.

Before and after each step no event is in `all_events` from both sides, and none is missing that was there.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from headrace.catalog.tables import Format, Table, TableCatalog, TableColumn, Values, differs
from headrace.concurrency import for_each
from headrace.errors import ConflictError
from headrace.events.schema import COLUMNS, PARTITION_KEYS
from headrace.lake.layout import EVENTS
from jobs.medallion import places, views
from jobs.medallion.model import Tables
from jobs.medallion.tables import GOLD, GOLD_RUNS, RAW_EVENTS, SILVER_EVENTS, TableDefinition

ATTEMPTS = 5
"""How often a table is looked at anew because somebody else changed it."""
TABLES_AT_ONCE = 4

_DEFINITIONS: Mapping[str, TableDefinition] = {table.name: table for table in (*GOLD, GOLD_RUNS)}
_RUN = re.compile(r"/run=(\d+)/\Z")
_RAW_KEY = re.compile(
    RAW_EVENTS.folder + "".join(rf"/{key.name}=(\d+)" for key in RAW_EVENTS.partition_keys) + "/[^/]+"
)
_COMPRESSED = {"parquet.compression": "ZSTD"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Lakehouse:
    """Names that a registration needs: the bucket, the database in it, and the table of streamed events."""

    bucket: str
    database: str
    events: str

    def url(self, folder: str) -> str:
        """Of a folder in the bucket, with a slash at its end."""
        return f"s3://{self.bucket}/{folder.rstrip('/')}/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """What a registration changed."""

    tables: tuple[str, ...] = ()
    """Created, moved, or given other columns."""
    added: int = 0
    """Partitions of silver."""
    moved: int = 0
    dropped: int = 0


async def register(
    catalog: TableCatalog, house: Lakehouse, tables: Tables, *, mark: float | None, raw: Iterable[str] = ()
) -> Registered:
    """Bring the catalogue to what `tables` says is published.

    `mark` is that of `all_events` (seconds since 1970 UTC, None while streamed events were never loaded), `raw` the
    keys of files in bronze whose partitions shall be there. Raises `ConflictError` when the catalogue shows a later
    run than these tables know, `ConfigError` for a table that cannot become ours.
    """
    await catalog.put_database()
    changed = await _bronze(catalog, house, raw)
    # 1. Silver.
    silver = _table(SILVER_EVENTS, house)
    renewed = await _put(catalog, silver)
    added, moved, dropped = await _days(catalog, house, silver, tables, anew=bool(renewed))
    # 2. Gold.
    wanted = [
        _table(_DEFINITIONS[one.name], house, places.gold_folder(one.name, tables.runs[one.name]))
        for one in tables.gold
    ]
    done: list[str] = []

    async def gold(table: Table) -> None:
        done.extend(await _put(catalog, table))

    await for_each(wanted, gold, limit=TABLES_AT_ONCE)
    # 3. The mark.
    if mark is not None and await catalog.find(house.events) is None:
        changed += await _put(catalog, _streamed(house))
    await catalog.put_view(views.ALL_EVENTS, views.all_events(house.database, house.events, mark))
    return Registered(tables=(*changed, *renewed, *sorted(done)), added=added, moved=moved, dropped=dropped)


async def _bronze(catalog: TableCatalog, house: Lakehouse, keys: Iterable[str]) -> tuple[str, ...]:
    table = _table(RAW_EVENTS, house)
    changed = await _put(catalog, table)
    await catalog.add_partitions(table, raw_partitions(house, keys))
    return changed


def raw_partitions(house: Lakehouse, keys: Iterable[str]) -> dict[Values, str]:
    """The partitions of files of bronze; those outside such folders have none."""
    found = ((match.groups(), key.rpartition("/")[0]) for key in keys if (match := _RAW_KEY.fullmatch(key)))
    return {values: house.url(folder) for values, folder in found}


async def _days(
    catalog: TableCatalog, house: Lakehouse, silver: Table, tables: Tables, *, anew: bool
) -> tuple[int, int, int]:
    """Roll the days forward → how many were added, moved and dropped.

    `anew`: those that stay where they are, too, since each keeps a copy of the table's columns.
    """
    there = await catalog.partitions(silver.name)
    wanted: dict[Values, str] = {
        (one.day,): house.url(places.silver_folder(one.day, tables.runs[one.day])) for one in tables.days if one.files
    }
    latest = max(tables.runs.values(), default=0)
    for values, location in there.items():
        _refuse_older(f"{silver.name} of {values[0]}", location, _run_of(wanted.get(values, "")) or latest)
    added = {values: location for values, location in wanted.items() if values not in there}
    moved = {
        values: location
        for values, location in wanted.items()
        if values in there and (anew or there[values] != location)
    }
    dropped = there.keys() - wanted.keys()
    await catalog.add_partitions(silver, added)
    await catalog.move_partitions(silver, moved)
    await catalog.drop_partitions(silver.name, sorted(dropped))
    return len(added), len(moved), len(dropped)


async def _put(catalog: TableCatalog, table: Table) -> tuple[str, ...]:
    """Create or change a table if it is not as wanted → its name if so. Never takes it back to an earlier run."""
    for attempt in range(1, ATTEMPTS + 1):
        found = await catalog.find(table.name)
        if not differs(table, found):
            return ()
        if found is not None and found.table is not None:
            _refuse_older(table.name, found.table.location, _run_of(table.location) or 0)
        try:
            await catalog.put_table(table, found)
        except ConflictError:
            if attempt == ATTEMPTS:
                raise
        else:
            return (table.name,)
    raise AssertionError("the last attempt either returns or raises")


def _refuse_older(what: str, location: str, run: int) -> None:
    if (_run_of(location) or 0) > run:
        raise ConflictError(f"{what} is at {location} already, later than run {run} that is being registered")


def _run_of(location: str) -> int | None:
    """The run in whose folder something is; None for a folder that is no run's, as MSCK registers it."""
    found = _RUN.search(location)
    return int(found[1]) if found else None


def _table(definition: TableDefinition, house: Lakehouse, folder: str | None = None) -> Table:
    kind = Format(definition.storage)
    return Table(
        name=definition.name,
        columns=[TableColumn(*column) for column in definition.columns],
        keys=[TableColumn(*key) for key in definition.partition_keys],
        location=house.url(folder or definition.folder),
        format=kind,
        about=definition.about,
        parameters=_COMPRESSED if kind is Format.PARQUET else {},
    )


def _streamed(house: Lakehouse) -> Table:
    """The table of streamed events, as the partitioner makes it; for when it has not come to that yet."""
    return Table(
        name=house.events,
        columns=[TableColumn(column.name, str(column.kind), column.about) for column in COLUMNS],
        keys=[TableColumn(key, "string") for key in PARTITION_KEYS],
        location=house.url(EVENTS),
        parameters={"parquet.compression": "SNAPPY"},
    )
