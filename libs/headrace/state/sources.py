"""What came of the pages of a source: kept in its cursor's document by the poller, read by whoever adds up.

`cursor:{source_id}` has `"totals": {"polled": …, …}` since the first page, and `"hours": {"493262": {"polled": …}}` by
hours since 1970 UTC, in which a count that is not there is 0. Both move in the write that moves the cursor.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

PREFIX = "cursor:"
"""Of the keys of cursor documents."""

KEPT_HOURS = 72
"""A long weekend. About 4 KB of the document, which every step of the cursor writes whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Counts of a source's events.

    polled = accepted + rejected, extra_columns ⊂ accepted, accepted = put + spooled. `spooled` events wait for the
    stream. Put back they move to `put`: over all time `spooled` ends at 0, and in the hour of that move it is below.
    """

    polled: int = 0
    accepted: int = 0
    extra_columns: int = 0
    rejected: int = 0
    put: int = 0
    spooled: int = 0

    def plus(self, other: "Totals") -> "Totals":
        """The sum, field by field."""
        names = [field.name for field in fields(self)]
        return Totals(**{name: getattr(self, name) + getattr(other, name) for name in names})


Hours = Mapping[int, Totals]
"""By hours since 1970 UTC: when the cursor moved behind the events, or behind the spooled page that was put back."""


def add_to_hour(hours: Hours, hour: int, totals: Totals) -> Hours:
    """The hours with `totals` added to one of them, without those that are too old by then."""
    if totals == Totals():
        return hours
    kept = {number: counts for number, counts in hours.items() if number > hour - KEPT_HOURS}
    return {**kept, hour: kept.get(hour, Totals()).plus(totals)}


def hours_to_document(hours: Hours) -> dict[str, dict[str, int]]:
    """As they stand in the document."""
    return {
        str(number): {name: count for name, count in asdict(counts).items() if count}
        for number, counts in hours.items()
    }


def totals_of(document: Mapping[str, Any]) -> Totals:
    """The totals in a cursor's document."""
    return Totals(**document["totals"])


def hours_of(document: Mapping[str, Any]) -> Hours:
    """The hours in a cursor's document; none in one that an older version wrote."""
    return {int(number): Totals(**counts) for number, counts in document.get("hours", {}).items()}
