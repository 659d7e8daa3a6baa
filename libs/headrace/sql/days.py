"""A span of days as a condition on the partition keys, such as query engines prune by. Pure.

Engines leave out partitions by comparing a key with a constant, and hand such comparisons on to the catalogue. A date
made of the keys would say the same, but every partition of the table would be fetched to evaluate it.
"""

from datetime import date

NEW_YEAR, NEW_YEARS_EVE = ("01", "01"), ("12", "31")


def days_between(first: date, last: date) -> str:
    """The condition that holds for the hours of `first` to `last`, both included; for none when `last` is before.

    Keys that both ends share narrow the span by themselves; where the ends part, two more conditions make it exact.
    """
    (y1, m1, d1), (y2, m2, d2) = first.isoformat().split("-"), last.isoformat().split("-")
    conditions = [f"year BETWEEN '{y1}' AND '{y2}'"]
    if y1 == y2:
        conditions.append(f"month BETWEEN '{m1}' AND '{m2}'")
    if (y1, m1) == (y2, m2):
        conditions.append(f"day BETWEEN '{d1}' AND '{d2}'")
    else:
        if (m1, d1) != NEW_YEAR:
            conditions.append(_beyond(">", y1, m1, d1))
        if (m2, d2) != NEW_YEARS_EVE:
            conditions.append(_beyond("<", y2, m2, d2))
    return "(" + " AND ".join(conditions) + ")"


def _beyond(sign: str, year: str, month: str, day: str) -> str:
    """On the side of a day that `sign` says, or on it."""
    in_month = f"month = '{month}' AND day {sign}= '{day}'"
    in_year = f"year = '{year}' AND (month {sign} '{month}' OR ({in_month}))"
    return f"(year {sign} '{year}' OR ({in_year}))"
