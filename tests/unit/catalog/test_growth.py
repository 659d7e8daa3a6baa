import pytest

from headrace.catalog.ddl import EventsTable, add_columns_sql, describe_sql, drop_partitions_sql
from headrace.catalog.growth import described_columns, missing_columns
from headrace.errors import ConfigError
from headrace.events.schema import COLUMNS, PARTITION_KEYS, Column, Kind
from headrace.lake.layout import HourPartition

TABLE = EventsTable(database="headrace", name="events", bucket="headrace-data")
KEYS = dict.fromkeys(PARTITION_KEYS, "string")
WHOLE = {**{column.name: str(column.kind) for column in COLUMNS}, **KEYS}
DESCRIBED = [
    "event_id            \tstring              \tGiven, or assigned once",
    "price               \tdecimal(18,4)       \tPer piece",
    "properties          \tmap<string,string>  \tAllowed",
    "a_name_that_is_longer_than_twenty\tbigint\t",
    "noted               \tint                 \ta comment",
    "on two lines",
    "year                \tstring              \t                    ",
    "                    \t                    \t                    ",
    "# Partition Information\t                    \t                    ",
    "# col_name          \tdata_type           \tcomment             ",
    "year                \tstring              \t                    ",
]


def test_a_description_is_read_as_athena_prints_it() -> None:
    assert described_columns(DESCRIBED) == {
        "event_id": "string",
        "price": "decimal(18,4)",
        "properties": "map<string,string>",
        "a_name_that_is_longer_than_twenty": "bigint",
        "noted": "int",
        "year": "string",
    }


def test_an_empty_description_has_no_columns() -> None:
    assert described_columns([]) == {}


def test_a_table_as_the_schema_says_lacks_nothing() -> None:
    assert missing_columns("t", WHOLE, COLUMNS) == []


def test_what_an_older_table_lacks_is_added_in_the_schemas_order() -> None:
    there = {name: kind for name, kind in WHOLE.items() if name not in {"rating", "city"}}
    assert [column.name for column in missing_columns("t", there, COLUMNS)] == ["city", "rating"]


def test_what_only_the_table_has_is_left_alone() -> None:
    assert missing_columns("t", {**WHOLE, "colour": "string"}, COLUMNS) == []


def test_a_type_spelt_with_spaces_or_capitals_is_the_same_type() -> None:
    assert (
        missing_columns("t", {**WHOLE, "price": "DECIMAL(18, 4)", "properties": "map<string, string>"}, COLUMNS) == []
    )


def test_every_disagreement_is_told_at_once() -> None:
    there = {**WHOLE, "price": "double", "hour": "int"}
    del there["day"]
    with pytest.raises(ConfigError) as raised:
        missing_columns("shop.clicks", there, COLUMNS)
    price, hour, day = raised.value.problems
    assert price.startswith("column price of shop.clicks is double, the schema says decimal(18,4)")
    assert hour.startswith("column hour of shop.clicks is int, the schema says string")
    assert day.startswith("shop.clicks is not partitioned by day")


def test_columns_are_added_with_their_types_and_comments() -> None:
    columns = [Column("colour", Kind.STRING, "the shop's"), Column("weight", Kind.DECIMAL, "kg")]
    assert add_columns_sql(TABLE, columns) == (
        "ALTER TABLE `headrace`.`events` ADD COLUMNS"
        " (`colour` string COMMENT 'the shop\\'s', `weight` decimal(18,4) COMMENT 'kg')"
    )
    assert describe_sql(TABLE) == "DESCRIBE `headrace`.`events`"


def test_partitions_are_dropped_with_commas_between_and_within_the_limits() -> None:
    [statement] = drop_partitions_sql(TABLE, [HourPartition("2026", "04", "09", hour) for hour in ("01", "00", "00")])
    assert statement == (
        "ALTER TABLE `headrace`.`events` DROP IF EXISTS\n"
        "  PARTITION (`year` = '2026', `month` = '04', `day` = '09', `hour` = '00'),\n"
        "  PARTITION (`year` = '2026', `month` = '04', `day` = '09', `hour` = '01')"
    )
    many = list(drop_partitions_sql(TABLE, map(HourPartition.of_hour, range(250)), max_bytes=3_000))
    assert all(len(statement.encode()) <= 3_000 for statement in many)
    assert sum(statement.count("PARTITION (") for statement in many) == 250
