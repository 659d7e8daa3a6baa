"""Which part of a condition is about partition keys alone."""

import pytest
from sqlglot import exp

from deploy.local.athena import dialect
from deploy.local.athena.pruning import condition_on

KEYS = frozenset({"year", "month"})


def asked(sql: str) -> str | None:
    query = dialect.parse(sql)
    condition = condition_on(next(query.find_all(exp.Table)), KEYS)
    return None if condition is None else condition.sql().replace('"', "")


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ("year = '2026'", "year = '2026'"),
        ("(e.YEAR > '1' OR (year = '1' AND month > '03'))", "year > '1' OR (year = '1' AND month > '03')"),
        ("n = 1 AND concat(year, month) >= '202604' AND n < 5", "CONCAT(year, month) >= '202604'"),
        ("year = '2026' AND (month = '04' AND n = 1)", "year = '2026'"),
        ("year = '2026' OR n = 1", None),
        ("NOT (month = '04')", "NOT (month = '04')"),
        ("n = 1", None),
        ("rand() < 0.5", None),
        ("month < concat(year, cast(rand() AS varchar))", None),
        ("month = (SELECT max(month) FROM other)", None),
        ("other.year = '2026'", None),
    ],
)  # fmt: skip
def test_a_condition_is_cut_at_its_ands(where: str, found: str | None) -> None:
    assert asked(f"SELECT n FROM events e WHERE {where}") == found


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1 FROM events",
        "SELECT 1 FROM events a LEFT JOIN other b ON a.n = b.n WHERE year = '2026'",
        "SELECT 1 FROM events a, other b WHERE year = '2026'",
        "SELECT 1 FROM events CROSS JOIN UNNEST(tags) AS t(year) WHERE year = '2026'",
    ],
)
def test_beside_other_tables_a_name_may_mean_something_else(sql: str) -> None:
    assert asked(sql) is None
