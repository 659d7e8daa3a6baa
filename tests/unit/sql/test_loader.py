import pytest
import sqlglot
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import NotFoundError
from headrace.sql.loader import ParameterType, literal, load, names, parse

TEXT = """-- Rows of a day.
--
-- :day   date              which
-- :limit integer = 10      rows
-- :like  string = %        names like this

SELECT '12:day', ":limit", x -- not :day
FROM t WHERE d = :day AND name LIKE :like LIMIT :limit
"""


def test_the_header_says_what_a_query_answers_and_takes() -> None:
    query = parse("rows", TEXT)
    assert query.about == "Rows of a day."
    assert {name: (it.type, it.default, it.about) for name, it in query.parameters.items()} == {
        "day": (ParameterType.DATE, None, "which"),
        "limit": (ParameterType.INTEGER, "10", "rows"),
        "like": (ParameterType.STRING, "%", "names like this"),
    }


def test_values_fill_the_holes_and_only_them() -> None:
    statement = parse("rows", TEXT).render({"day": "2026-04-09", "like": "O'Brien :day"})
    assert statement.splitlines() == [
        "SELECT '12:day', \":limit\", x -- not :day",
        "FROM t WHERE d = DATE '2026-04-09' AND name LIKE 'O''Brien :day' LIMIT 10",
    ]


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({}, "wants a value for day: which"),
        ({"day": "9 April"}, "day: '9 April' is no day like 2026-04-09"),
        ({"day": "2026-02-30"}, "is no day"),
        ({"day": "2026-04-09' OR 1=1 --"}, "is no day"),
        ({"day": "2026-04-09", "limit": "10; DROP TABLE events"}, "limit: .* is no whole number"),
        ({"day": "2026-04-09", "limit": "1e3"}, "is no whole number"),
        ({"day": "2026-04-09", "limit": "٣"}, "is no whole number"),
        ({"day": "2026-04-09", "limit": "9" * 19}, "is no whole number"),
        ({"day": "2026-04-09", "like": "a\x00b"}, "like: control characters"),
        ({"day": "2026-04-09", "like": "\ud800"}, "like: control characters"),
        ({"day": "2026-04-09", "colour": "red"}, "no parameter colour; it takes day, limit, like"),
    ],
)
def test_a_value_that_does_not_fit_is_told(values: dict[str, str], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        parse("rows", TEXT).render(values)


def test_a_hole_without_a_declaration_is_a_defect_of_the_file() -> None:
    with pytest.raises(ValueError, match="does not declare: day"):
        parse("rows", "-- About.\nSELECT :day")


def test_the_table_and_the_days_are_filled_in_without_a_declaration() -> None:
    text = "-- About.\n-- :from date = 2026-04-01  first\n-- :to date  last\nSELECT ':table' FROM :table WHERE :days"
    query = parse("rows", text)
    assert list(query.parameters) == ["from", "to"]
    assert query.render({"to": "2026-04-09"}, table="clicks") == (
        "SELECT ':table' FROM \"clicks\" WHERE"
        " (year BETWEEN '2026' AND '2026' AND month BETWEEN '04' AND '04' AND day BETWEEN '01' AND '09')"
    )


@pytest.mark.parametrize("header", ["", "-- :from date = 2026-04-01  first\n", "-- :from string  a\n-- :to date  b\n"])
def test_days_want_both_ends_declared_as_dates(header: str) -> None:
    with pytest.raises(ValueError, match="does not declare: days"):
        parse("rows", f"-- About.\n{header}SELECT :days")


@pytest.mark.parametrize(
    "name", ["", "Events", "a-b", "a.b", 'a"b', "a b", "9a", "é", "a;drop", "x" * 129, "a\n", "٣a"]
)
def test_a_table_whose_name_would_need_quoting_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is no name for a table"):
        load("top_products").render({}, table=name)


@given(st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=60))
def test_any_text_stays_one_string_that_means_itself(text: str) -> None:
    parsed = sqlglot.parse_one(f"SELECT {literal(ParameterType.STRING, text)}", read="athena")
    [value] = parsed.selects
    assert isinstance(value, sqlglot.exp.Literal)
    assert value.is_string
    assert value.this == text


def test_an_unknown_name_lists_those_there_are() -> None:
    with pytest.raises(NotFoundError, match=", ".join(names())):
        load("../secrets")


def test_queries_of_streamed_events_of_silver_and_of_gold_are_there() -> None:
    assert names() == [
        "category_daily_performance", "clickstream", "daily_user_activity", "events_by_hour", "events_by_type",
        "hourly_revenue", "product_funnel", "product_popularity", "top_products",
    ]  # fmt: skip


@pytest.mark.parametrize("name", names())
def test_every_query_that_ships_parses_with_its_defaults_and_reads_one_table(name: str) -> None:
    query = load(name)
    assert query.about.endswith(".")
    of_events = ":table" in query.text
    for table in ("events", "clicks"):
        [found] = sqlglot.parse_one(query.render({}, table=table), read="athena").find_all(sqlglot.exp.Table)
        assert (found.name == table) == of_events
