"""How DuckDB reads JSON lines: one row per line that is not blank, in order, texts and pieces of JSON."""

from collections.abc import Collection

from headrace.events.schema import SCHEMA_VERSION
from headrace.settings import Settings
from headrace.sql import loader
from jobs.medallion.dialect import load, to_duckdb

TEXTS = (
    "event_id", "session_id", "user_id", "event_type", "page_url", "referrer_url", "product_id", "category", "currency",
    "device_type", "browser", "os", "user_agent", "country", "region", "city", "source", "ip",
)  # fmt: skip
"""Columns whose JSON is a text."""
PIECES = (
    "timestamp", "quantity", "price", "revenue", "rating", "is_bot", "properties", "ingest_time", "schema_version",
)  # fmt: skip
"""Columns that are read as they are spelt: "5" is no 5."""
PLACE = ("country", "region", "city")

MAX_OBJECT_BYTES = 2 << 20
"""Of a line in DuckDB, and about that of its buffers: by default those are 32 MiB, beyond any cache and new for each
file. A longer line makes them larger for its sake."""
_OPTIONS = (
    "format = 'newline_delimited', compression = 'none', ignore_errors = true, "
    f"maximum_object_size = {MAX_OBJECT_BYTES}"
)

COUNT_QUERY = f"""
SELECT count(*) FROM read_json($path, {_OPTIONS},
    columns = {{'event_id': 'VARCHAR', 'session_id': 'VARCHAR'}})
"""  # noqa: S608 - nobody else's names
"""How many rows a file has. Parameter: `path`."""

_EVER = 10**18 - 1
"""µs, some 30,000 years."""


def silver_raw(settings: Settings) -> str:
    """`silver_raw.sql` with the rules that the settings name; in Athena's dialect, as it is."""
    values = {
        "strict": int(settings.event_types == "strict"),
        "max_future": _micros(settings.max_future),
        "max_age": _EVER if settings.max_age is None else _micros(settings.max_age),
        "schema_version": SCHEMA_VERSION,
    }
    query = loader.parse("silver_raw", load("silver_raw"))
    return query.render({name: str(value) for name, value in values.items()})


def raw_query(settings: Settings, quoted: Collection[str] = ()) -> str:
    """What turns a file into columns, see `silver_raw.sql`. Parameters: `path`, and `arrived` in µs since 1970 UTC.

    A line that is no object, no UTF-8 or no JSON is a row of NULLs. Of `TEXTS`, those that are `quoted` are texts for
    sure in a row that is not doubtful; that costs a little time. The others may also be 5, true or [1] as text.
    """
    columns = {name: "JSON" if name in quoted else "VARCHAR" for name in TEXTS} | dict.fromkeys(PIECES, "JSON")
    columns["geo"] = f"STRUCT({', '.join(f'{name} VARCHAR' for name in PLACE)})"
    listed = ", ".join(f"\"{name}\": '{kind}'" for name, kind in columns.items())
    read = f"""read_json($path, {_OPTIONS},
        columns = {{{listed}}})"""
    offered = [f'{_MILLISECONDS if name == "timestamp" else _spelt(name)} AS "{name}"' for name in PIECES]
    offered += [f"replace({name}::VARCHAR, '\"', '') AS {name}" for name in quoted]
    misfits = ["(geo IS NOT NULL AND " + " AND ".join(f"geo.{name} IS NULL" for name in PLACE) + ")"]  # such as a text
    misfits += [
        f"coalesce({name}::VARCHAR NOT LIKE '\"%' OR contains({name}::VARCHAR, '\\'), false)" for name in quoted
    ]
    row = f"* REPLACE ({', '.join(offered)}), {' OR '.join(misfits)} AS misfit, $arrived::BIGINT AS arrived"
    return f"WITH raw_events AS (SELECT {row} FROM {read})\n{to_duckdb(silver_raw(settings))}"  # noqa: S608 - nobody else's names


def _spelt(name: str) -> str:
    return f'"{name}"::VARCHAR'  # left as JSON, each cast would parse it again


_ISO = '"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{3})?Z?"'
_MILLISECONDS = f"""
    CASE WHEN {_spelt("timestamp")} < '#' AND regexp_full_match({_spelt("timestamp")}, '{_ISO}') THEN coalesce(
        nullif(greatest(epoch_ms(try_cast(trim({_spelt("timestamp")}, '"Z') AS TIMESTAMP)), 99999999999), 99999999999)
        ::VARCHAR, {_spelt("timestamp")})
    ELSE {_spelt("timestamp")} END
"""
"""A time in the usual form of ISO 8601 as milliseconds, but not those before March 1973, which would be seconds."""


def _micros(seconds: float) -> int:
    return min(int(seconds * 1e6), _EVER)
