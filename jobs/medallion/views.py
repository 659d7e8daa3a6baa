"""The view `all_events`: silver, and those streamed events after its mark that are not in it yet. Pure."""

from datetime import UTC, date, datetime

from headrace.catalog.ddl import identifier
from headrace.clock import HOUR_SECONDS, hour_of
from headrace.lake.layout import HourPartition
from jobs.medallion.tables import SILVER_EVENTS

ALL_EVENTS = "all_events"


def all_events(database: str, events: str, mark: float | None) -> str:
    """Its query: the columns of silver, the day among them, so that a question about days is one about few files.

    `mark` is in seconds since 1970 UTC and counts down to its hour: streamed events before it are looked for in silver
    only. None: no streamed event is in silver's keeping, and silver is all there is. `events` is the name of the table
    of streamed events.

    Silver may be ahead of the mark: by raw events, or because a run has published its days and not yet the mark.
    """
    columns = [_name(column.name) for column in SILVER_EVENTS.columns]
    silver = f"{_name(database)}.{_name(SILVER_EVENTS.name)}"
    query = f"SELECT {', '.join(columns)}, event_date\nFROM {silver}"
    if mark is None:
        return query
    hours = hour_of(mark)
    moment = datetime.fromtimestamp(hours * HOUR_SECONDS, UTC)
    known = (
        f"SELECT 1 FROM {silver} AS known\nWHERE known.event_date >= DATE '{_day(moment.date())}' "  # noqa: S608 - ours
        f"AND known.event_time >= {_time(moment)} AND known.event_id = streamed.event_id"
    )
    return (
        f"{query}\nUNION ALL\n"
        f"SELECT {', '.join(columns)}, CAST(event_time AS date) AS event_date\n"
        f"FROM {_name(database)}.{_name(events)} AS streamed\n"
        f"WHERE {_from(moment, HourPartition.of_hour(hours))}\nAND NOT EXISTS (\n{known}\n)"
    )


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
