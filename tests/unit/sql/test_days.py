import sqlite3
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.sql.days import days_between

START = date(2023, 12, 1)
DAYS = [START + timedelta(n) for n in range(800)]
NEAR = st.dates(date(2023, 11, 25), date(2026, 2, 20))


@pytest.fixture(scope="module")
def calendar() -> sqlite3.Connection:
    """Two years and some of partitions, keys as the table has them."""
    database = sqlite3.connect(":memory:")
    database.execute("CREATE TABLE days (year TEXT, month TEXT, day TEXT)")
    database.executemany("INSERT INTO days VALUES (?, ?, ?)", [day.isoformat().split("-") for day in DAYS])
    return database


def selected(calendar: sqlite3.Connection, first: date, last: date) -> list[date]:
    rows = calendar.execute(f"SELECT year, month, day FROM days WHERE {days_between(first, last)}")
    return sorted(date(*map(int, row)) for row in rows)


@given(first=NEAR, last=NEAR)
def test_the_condition_holds_for_the_days_of_the_span_and_no_others(
    calendar: sqlite3.Connection, first: date, last: date
) -> None:
    assert selected(calendar, first, last) == [day for day in DAYS if first <= day <= last]


SHARED = "year BETWEEN '2026' AND '2026' AND month BETWEEN '04' AND"


@pytest.mark.parametrize(
    ("first", "last", "condition"),
    [
        ("2026-04-09", "2026-04-10", f"({SHARED} '04' AND day BETWEEN '09' AND '10')"),
        ("1970-01-01", "9999-12-31", "(year BETWEEN '1970' AND '9999')"),
        ("0009-01-01", "2025-12-31", "(year BETWEEN '0009' AND '2025')"),
        ("2026-04-30", "2026-12-31", f"({SHARED} '12' AND (year > '2026' OR {{}}))".format(
            "(year = '2026' AND (month > '04' OR (month = '04' AND day >= '30')))"
        )),
    ],
)  # fmt: skip
def test_the_keys_are_compared_with_constants_and_nothing_else(first: str, last: str, condition: str) -> None:
    assert days_between(date.fromisoformat(first), date.fromisoformat(last)) == condition
