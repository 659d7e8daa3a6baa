"""The tables of the medallion: one list of columns each, behind DDL, Arrow schemas and documentation."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import pyarrow as pa

from headrace.events.arrow import ARROW_TYPES
from headrace.events.schema import COLUMNS as EVENT_COLUMNS
from headrace.lake.layout import RAW_EVENTS as RAW_FOLDER
from jobs.medallion import places

TEXT, LONG, INT, DOUBLE, BOOLEAN, DATE, TIME = "string", "bigint", "int", "double", "boolean", "date", "timestamp"
MONEY = "decimal(38,4)"
"""Sums of `decimal(18,4)`, as Athena types them."""

_ARROW: Mapping[str, pa.DataType] = {
    **{str(kind): arrow for kind, arrow in ARROW_TYPES.items()},
    DATE: pa.date32(),
    MONEY: pa.decimal128(38, 4),
}


class Storage(StrEnum):
    """What the objects of a table are."""

    PARQUET = "parquet"
    JSON_LINES = "json"
    """An object a line, gzipped or not; columns by key, in whatever order."""


class Column(NamedTuple):
    """One column or partition key."""

    name: str
    type: str
    """As Athena spells it in DDL."""
    about: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TableDefinition:
    """A table as the catalogue is told of it."""

    name: str
    about: str
    columns: tuple[Column, ...]
    partition_keys: tuple[Column, ...] = ()
    storage: Storage = Storage.PARQUET
    folder: str
    """Below which its objects are, in the bucket; no slash at the end."""
    sorted_by: tuple[str, ...] = ()
    """The order of the rows of each object, ascending, nulls last."""

    @property
    def arrow(self) -> pa.Schema:
        """Columns of its files, in order; partition keys are in their paths only. Raises `KeyError` for raw text."""
        return pa.schema([pa.field(column.name, _ARROW[column.type]) for column in self.columns])


def _gold(name: str, about: str, key: tuple[Column, ...], *measures: Column) -> TableDefinition:
    return TableDefinition(
        name=name, about=about, columns=(*key, *measures), folder=f"{places.GOLD}/{name}",
        sorted_by=tuple(column.name for column in key),
    )  # fmt: skip


_PRODUCT = Column("product_id", TEXT, "The product")
_CATEGORY = Column("category", TEXT, "The product's category; null when the event named none")
_VIEWS = Column("view_count", LONG, "Page views of the product")
_DAY = Column("event_date", DATE, "Day, UTC")
_REVENUE = Column("total_revenue", MONEY, "Revenue of purchases, all currencies added as they are; null for none")

PRODUCT_FUNNEL = _gold(
    "product_funnel",
    "What becomes of the views of each product in a category, over all days.",
    (_PRODUCT, _CATEGORY),
    _VIEWS,
    Column("add_to_cart_count", LONG, "Times it was put in a cart"),
    Column("purchase_count", LONG, "Purchases of it"),
    Column("view_to_cart_rate", DOUBLE, "add_to_cart_count / view_count; null without views"),
    Column("cart_to_purchase_rate", DOUBLE, "purchase_count / add_to_cart_count; null without any in carts"),
    Column("view_to_purchase_rate", DOUBLE, "purchase_count / view_count; null without views"),
)
HOURLY_REVENUE = _gold(
    "hourly_revenue",
    "Revenue of each hour that had purchases.",
    (_DAY, Column("event_hour", INT, "Hour of the day, 0 to 23, UTC")),
    _REVENUE,
    Column("purchase_count", LONG, "Purchases"),
    Column("avg_order_value", DOUBLE, "total_revenue / purchases that have a revenue; null for none"),
    Column("total_items_sold", LONG, "Sum of quantities; null for none, or beyond bigint"),
)
PRODUCT_POPULARITY = _gold(
    "product_popularity",
    "Views and viewers of each product in a category, over all days.",
    (_PRODUCT, _CATEGORY),
    _VIEWS,
    Column("unique_viewers", LONG, "Distinct users with such a view"),
)
CATEGORY_DAILY_PERFORMANCE = _gold(
    "category_daily_performance",
    "Each category day by day; events without category are a row of category null.",
    (_DAY, _CATEGORY),
    Column("total_events", LONG, "Events of any type"),
    Column("page_views", LONG, "Page views"),
    Column("add_to_carts", LONG, "Times something was put in a cart"),
    Column("purchases", LONG, "Purchases"),
    _REVENUE,
)
DAILY_USER_ACTIVITY = _gold(
    "daily_user_activity",
    "Users and sessions day by day.",
    (_DAY,),
    Column("unique_users", LONG, "Distinct users"),
    Column("unique_sessions", LONG, "Distinct sessions"),
    Column("total_events", LONG, "Events of any type"),
    Column("events_per_user", DOUBLE, "total_events / unique_users; null without users"),
    Column("sessions_per_user", DOUBLE, "unique_sessions / unique_users; null without users"),
)

GOLD = (PRODUCT_FUNNEL, HOURLY_REVENUE, PRODUCT_POPULARITY, CATEGORY_DAILY_PERFORMANCE, DAILY_USER_ACTIVITY)
"""The tables that reference queries ask."""

GOLD_RUNS = TableDefinition(
    name="gold_runs",
    about="Which run made each table as it is or was: a row for each table and run, newest first, the newest only.",
    columns=(
        Column("table_name", TEXT, "The table"),
        Column("run", LONG, "Number of the run"),
        Column("rows", LONG, "Rows of the table after it"),
        Column("bytes", LONG, "Bytes of the table's object"),
        Column("decided_at", TIME, "When the run became the one that counts, UTC"),
        Column("source_files", LONG, "Files of bronze that the run read"),
        Column("source_rows", LONG, "Rows it took from them"),
        Column("engine", TEXT, "duckdb or spark"),
        Column("full", BOOLEAN, "Whether all was made anew"),
    ),
    folder=f"{places.GOLD}/gold_runs",
)

SILVER_EVENTS = TableDefinition(
    name="silver_events",
    about="Events, typed, once each, by day; each file sorted by time.",
    columns=tuple(Column(column.name, str(column.kind), column.about) for column in EVENT_COLUMNS),
    partition_keys=(_DAY,),
    folder=places.SILVER,
)

_GIVEN_AS_OBJECTS = {"properties": "map<string,string>"}

RAW_EVENTS = TableDefinition(
    name="raw_events",
    about="Bronze as it came: JSON lines, nothing typed, checked or made unique.",
    columns=(
        *(
            Column(column.name, _GIVEN_AS_OBJECTS.get(column.name, TEXT), f"{column.about}; as it came")
            for column in EVENT_COLUMNS
        ),
        Column("timestamp", TEXT, "event_time under the name that it has on the stream"),
        Column("geo", "struct<country:string,region:string,city:string>", "Where, when it came nested"),
    ),
    partition_keys=tuple(Column(key, TEXT, "Of the path, UTC") for key in ("year", "month", "day", "hour", "minute")),
    storage=Storage.JSON_LINES,
    folder=RAW_FOLDER,
)
