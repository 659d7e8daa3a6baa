import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.catalog.ddl import (
    MAX_PARTITIONS,
    MAX_STATEMENT_BYTES,
    EventsTable,
    add_partitions_sql,
    create_database_sql,
    create_table_sql,
    identifier,
    literal,
    show_partitions_sql,
)
from headrace.events.schema import COLUMNS
from headrace.lake.layout import HourPartition

TABLE = EventsTable(database="headrace", name="events", bucket="headrace-data")
HOURS = st.integers(min_value=0, max_value=2_000_000).map(HourPartition.of_hour)
SPEC = re.compile(
    r"PARTITION \(`year` = '(\d{4})', `month` = '(\d\d)', `day` = '(\d\d)', `hour` = '(\d\d)'\) LOCATION '([^']*)'"
)


def test_the_table_has_every_column_of_the_schema_in_order() -> None:
    statement = create_table_sql(TABLE)
    described = re.findall(r"^  `(\w+)` (\S+) COMMENT ", statement, re.MULTILINE)
    assert described == [(column.name, str(column.kind)) for column in COLUMNS]
    assert ("price", "decimal(18,4)") in described
    assert ("properties", "map<string,string>") in described


def test_the_table_is_partitioned_parquet_with_snappy_in_the_bucket() -> None:
    statement = create_table_sql(TABLE)
    assert statement.startswith("CREATE EXTERNAL TABLE IF NOT EXISTS `headrace`.`events` (\n")
    assert "\nPARTITIONED BY (`year` string, `month` string, `day` string, `hour` string)\n" in statement
    assert "\nSTORED AS PARQUET\nLOCATION 's3://headrace-data/events/'\n" in statement
    assert "'parquet.compression' = 'SNAPPY'" in statement


def test_a_table_of_another_name_keeps_the_place_of_the_events() -> None:
    renamed = EventsTable(database="shop", name="clicks", bucket="b")
    assert "`shop`.`clicks`" in create_table_sql(renamed)
    assert renamed.location == "s3://b/events/"


def test_database_and_partitions_are_named() -> None:
    assert create_database_sql("headrace") == "CREATE DATABASE IF NOT EXISTS `headrace`"
    assert show_partitions_sql(TABLE) == "SHOW PARTITIONS `headrace`.`events`"


def test_one_partition_reads_as_an_athena_user_would_write_it() -> None:
    [statement] = add_partitions_sql(TABLE, [HourPartition("2026", "04", "09", "00")])
    assert statement == (
        "ALTER TABLE `headrace`.`events` ADD IF NOT EXISTS\n"
        "  PARTITION (`year` = '2026', `month` = '04', `day` = '09', `hour` = '00')"
        " LOCATION 's3://headrace-data/events/year=2026/month=04/day=09/hour=00/'"
    )


def test_no_partitions_make_no_statement() -> None:
    assert list(add_partitions_sql(TABLE, [])) == []


def test_more_partitions_than_a_statement_takes_are_spread() -> None:
    statements = list(add_partitions_sql(TABLE, map(HourPartition.of_hour, range(250))))
    assert [statement.count("PARTITION (") for statement in statements] == [100, 100, 50]


@given(partitions=st.lists(HOURS, max_size=40), most=st.integers(1, 7), most_bytes=st.integers(400, 1500))
def test_every_partition_is_in_exactly_one_statement_within_both_limits(
    partitions: list[HourPartition], most: int, most_bytes: int
) -> None:
    statements = list(add_partitions_sql(TABLE, partitions, max_partitions=most, max_bytes=most_bytes))
    assert all(len(statement.encode()) <= most_bytes for statement in statements)
    specs = [SPEC.findall(statement) for statement in statements]
    assert all(1 <= len(spec) <= most for spec in specs)
    added = [HourPartition(*spec[:4]) for statement in specs for spec in statement]
    assert added == sorted(set(partitions))
    assert all(
        spec[4] == f"s3://headrace-data/events/{HourPartition(*spec[:4]).path}/"
        for statement in specs
        for spec in statement
    )


def test_the_default_limits_hold_with_the_longest_bucket_name() -> None:
    table = EventsTable(database="d" * 128, name="t" * 128, bucket="b" * 63)
    statements = list(add_partitions_sql(table, map(HourPartition.of_hour, range(1000))))
    assert max(len(statement.encode()) for statement in statements) <= MAX_STATEMENT_BYTES
    assert len(statements) == 1000 // MAX_PARTITIONS


@pytest.mark.parametrize(
    "name", ["", "Events", "a-b", "a.b", "a`b", "a b", "9a", "é", "a;drop", "x" * 129, "a\n", "select*", "٣a", "a'"]
)
def test_names_that_would_need_quoting_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is no name"):
        identifier(name)
    with pytest.raises(ValueError, match="is no name"):
        create_table_sql(EventsTable(database="headrace", name=name, bucket="b"))


@given(st.text(st.characters(min_codepoint=32, exclude_characters="\x7f")))
def test_a_literal_ends_where_it_should_and_says_what_was_meant(text: str) -> None:
    quoted = literal(text)
    assert re.fullmatch(r"'(?:[^'\\]|\\.)*'", quoted, re.DOTALL)
    assert re.sub(r"\\(.)", r"\1", quoted[1:-1], flags=re.DOTALL) == text


@pytest.mark.parametrize("text", ["a\x00b", "a\nb", "\x7f", "\x1b[2J"])
def test_control_characters_are_refused_in_literals(text: str) -> None:
    with pytest.raises(ValueError, match="control characters"):
        literal(text)


def test_a_hostile_partition_value_stays_inside_its_literal() -> None:
    hostile = HourPartition("2026') LOCATION 's3://evil/", "04", "09", "00")
    [statement] = add_partitions_sql(TABLE, [hostile])
    strings = re.findall(r"'(?:[^'\\]|\\.)*'", statement)
    assert len(strings) == 5
    assert "evil" not in re.sub(r"'(?:[^'\\]|\\.)*'", "", statement)
