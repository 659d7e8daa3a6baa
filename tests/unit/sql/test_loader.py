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


@given(st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=60))
def test_any_text_stays_one_string_that_means_itself(text: str) -> None:
    parsed = sqlglot.parse_one(f"SELECT {literal(ParameterType.STRING, text)}", read="athena")
    [value] = parsed.selects
    assert isinstance(value, sqlglot.exp.Literal)
    assert value.is_string
    assert value.this == text


def test_an_unknown_name_lists_those_there_are() -> None:
    with pytest.raises(NotFoundError, match="events_by_hour, events_by_type, top_products"):
        load("../secrets")


@pytest.mark.parametrize("name", names())
def test_every_query_that_ships_parses_with_its_defaults(name: str) -> None:
    query = load(name)
    assert query.about.endswith(".")
    assert sqlglot.parse_one(query.render({}), read="athena").find(sqlglot.exp.Table).name == "events"  # type: ignore[union-attr]
