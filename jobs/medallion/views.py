"""The view `all_events`: silver up to its mark, streamed events from there on. Pure."""

from datetime import UTC, date, datetime

from headrace.catalog.ddl import identifier
from headrace.clock import HOUR_SECONDS, hour_of
from headrace.lake.layout import HourPartition
from jobs.medallion.tables import SILVER_EVENTS

ALL_EVENTS = "all_events"


def all_events(database: str, events: str, mark: float | None) -> str:
    """Its query: the columns of silver, the day among them, so that a question about days is one about few files.

    `mark` is in seconds since 1970 UTC and counts down to its hour; None: no streamed event is in silver's keeping,
    and silver is all there is. `events` is the name of the table of streamed events.
    """
    columns = ", ".join(_name(column.name) for column in SILVER_EVENTS.columns)
    silver = f"SELECT {columns}, event_date\nFROM {_name(database)}.{_name(SILVER_EVENTS.name)}"
    if mark is None:
        return silver
    hours = hour_of(mark)
    moment = datetime.fromtimestamp(hours * HOUR_SECONDS, UTC)
    return (
        f"{silver}\nWHERE {_before(moment)}\nUNION ALL\n"
        f"SELECT {columns}, CAST(event_time AS date) AS event_date\nFROM {_name(database)}.{_name(events)}\n"
        f"WHERE {_from(moment, HourPartition.of_hour(hours))}"
    )


def _before(moment: datetime) -> str:
    """The day alone leaves out whole partitions, the time the rest of the last one."""
    return f"event_date <= DATE '{_day(moment.date())}' AND event_time < {_time(moment)}"


def _from(moment: datetime, hour: HourPartition) -> str:
    """The first comparison is one that a catalogue understands, the second one that an engine does before it reads."""
    later = f"day > '{hour.day}' OR (day = '{hour.day}' AND hour >= '{hour.hour}')"
    later = f"month > '{hour.month}' OR (month = '{hour.month}' AND ({later}))"
    later = f"year > '{hour.year}' OR (year = '{hour.year}' AND ({later}))"
    return f"year >= '{hour.year}' AND ({later}) AND event_time >= {_time(moment)}"


def _time(moment: datetime) -> str:
    return f"TIMESTAMP '{_day(moment.date())} {moment:%H:%M:%S}'"


def _day(day: date) -> str:
    return f"{day.year:04}-{day.month:02}-{day.day:02}"


def _name(name: str) -> str:
    return identifier(name).replace("`", '"')
