"""Event times: what is accepted and what it means.

A number below 10¹¹ in size is seconds since 1970, from there on milliseconds: 10¹¹ s is the year 5138, 10¹¹ ms is
March 1973. Text is digits (a number as above) or ISO 8601; without a zone it is UTC.
"""

import re
from datetime import UTC, datetime, timedelta

from headrace.events.schema import Time

MILLISECONDS_FROM = 100_000_000_000
END_OF_TIME = 253_402_300_800_000_000
"""The year 10000 in microseconds: the first moment that no calendar date can name."""

_NUMBER = re.compile(r"-?[0-9]{1,19}(\.[0-9]{1,9})?")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_micros(value: Time) -> int:
    """Microseconds since 1970 UTC. Raises `ValueError` for what is no time, before 1970 or past the year 9999."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # exact, where a product of floats would not be
    if isinstance(value, str):
        micros = _from_text(value)
    elif -MILLISECONDS_FROM < value < MILLISECONDS_FROM:
        micros = round(value * 1_000_000)
    else:
        micros = round(max(-END_OF_TIME, min(value, END_OF_TIME)) * 1_000)  # else a float may become infinite
    if not 0 <= micros < END_OF_TIME:
        raise ValueError("before 1970 or after 9999")
    return micros


def _from_text(text: str) -> int:
    text = text.strip()
    if _NUMBER.fullmatch(text):
        return to_micros(float(text) if "." in text else int(text))
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("neither epoch nor ISO 8601") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // _MICROSECOND
