"""Which visit does what when: rows of whole numbers, slice by slice, in order of time.

A slice gets exactly its number of events: first those of the visits under way, then those of as many new visits as it
takes; the last of these breaks off when the number is reached. What a visit has done by any moment is always the
beginning of one walk.
"""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from jobs.simulate.bulk.cast import PEOPLE, Cast
from jobs.simulate.bulk.draws import Column, Draw, below, drawn, in_share, low_heavy, numbered
from jobs.simulate.bulk.plan import Plan, Slice

Rows = Any
"""An Arrow record batch of `SCHEMA`."""

SCHEMA = pa.schema(
    [
        ("at", pa.int64()),  # when it is handed out, in ms since 1970 UTC
        ("time", pa.int64()),  # when it happened: the event's own timestamp
        ("session", pa.uint64()),  # the visit; who makes it and how follows from this number
        ("act", pa.int32()),  # of the cast's walks
    ]
)
NO_ROWS: Rows = pa.RecordBatch.from_pylist([], SCHEMA)

USERS = 250_000
"""Who visits; the lower the number, the more often."""
LAG_MS = 120_000
"""A repeat comes at most so long after its event."""
LEAST_DELAY_MS, MOST_DELAY_MS = 600_000, 26 * 3_600_000
"""Of late visits."""
_GUESSED_ACTS = 6
"""Acts of a new visit within its first slice, until it is known better."""
_SPARE = 8


def traffic(plan: Plan, cast: Cast) -> Iterator[tuple[Slice, Rows, int]]:
    """Each slice with its rows, repeats among them, and the number of these; both in order of `at`."""
    going, coming = NO_ROWS, NO_ROWS  # visits under way; repeats on their way
    for part in plan.slices():
        due, going = _until(going, part.end_ms)
        due, going = _at_most(due, going, part.events)
        fresh, later = _until(_visits_for(part, part.events - due.num_rows, plan.key, cast), part.end_ms)
        going, _ = _until(_joined(going, later), plan.end_ms)
        rows = _delayed(_joined(due, fresh), plan.flaws.late)
        repeats = _repeats(rows, plan.flaws.duplicates, plan.end_ms)
        repeats, coming = _until(_joined(coming, repeats), part.end_ms)
        yield part, _in_order(_joined(rows, repeats)), repeats.num_rows


def walk_of(sessions: Column, cast: Cast) -> Column:
    """Walks (numbers) for visits: bots crawl, others shop."""
    bits = drawn(sessions, Draw.SCRIPT)
    shopping = pc.take(cast.shopping, below(bits, len(cast.shopping)))
    crawling = pc.take(cast.crawling, below(bits, len(cast.crawling)))
    return pc.if_else(pc.take(cast.is_bot, person_of(user_of(sessions))), crawling, shopping)


def user_of(sessions: Column) -> Column:
    """Who makes the visits: numbers below `USERS`."""
    return low_heavy(drawn(sessions, Draw.USER), USERS)


def person_of(users: Column) -> Column:
    """Which of the cast's people the users are like."""
    return below(drawn(users.cast(pa.uint64()), Draw.PERSON), PEOPLE)


def is_late(sessions: Column, share: float) -> Column:
    """Whether the visits are handed out late."""
    return in_share(drawn(sessions, Draw.IS_LATE), share)


def ids_of(rows: Rows) -> Column:
    """An id for each event, to draw for."""
    return drawn(drawn(rows["session"], Draw.ACT), rows["act"].cast(pa.uint64()))


def _visits_for(part: Slice, events: int, key: int, cast: Cast) -> Rows:
    """All rows of the fewest visits begun in a slice that have so many events in it; the last one breaks off."""
    batches, found, begun = [NO_ROWS], 0, 0
    while found < events:
        wanted = events - found
        count = wanted * begun // found if found else wanted // _GUESSED_ACTS
        rows = _visits(part, begun, count + _SPARE, key, cast)
        due = pc.indices_nonzero(pc.less(rows["at"], part.end_ms))
        if len(due) >= wanted:
            rows = rows.slice(0, due[wanted - 1].as_py() + 1)
        batches.append(rows)
        found, begun = found + len(due), begun + count + _SPARE
    return pa.concat_batches(batches)


def _visits(part: Slice, first: int, count: int, key: int, cast: Cast) -> Rows:
    """Visits `first` and following of those begun in a slice, one after the other."""
    sessions = numbered(key, (part.number << 32) + first, count)
    starts = pc.add(below(drawn(sessions, Draw.START), part.end_ms - part.start_ms), part.start_ms)
    walks = pc.take(cast.walks, walk_of(sessions, cast))
    acts, visits = pc.list_flatten(walks), pc.list_parent_indices(walks)
    at = pc.add(pc.take(starts, visits), pc.take(cast.offset_ms, acts))
    return pa.record_batch([at, at, pc.take(sessions, visits), acts], schema=SCHEMA)


def _at_most(due: Rows, going: Rows, events: int) -> tuple[Rows, Rows]:
    """Where more is due than is wanted, the visits that come last break off."""
    if due.num_rows <= events:
        return due, going
    due = _in_order(due)
    kept, dropped = due.slice(0, events), due.slice(events)
    return kept, going.filter(pc.invert(pc.is_in(going["session"], dropped["session"])))


def _delayed(rows: Rows, share: float) -> Rows:
    if not share:
        return rows
    sessions = rows["session"]
    delay = pc.add(below(drawn(sessions, Draw.DELAY), MOST_DELAY_MS - LEAST_DELAY_MS), LEAST_DELAY_MS)
    happened = pc.if_else(is_late(sessions, share), pc.subtract(rows["at"], delay), rows["at"])
    return rows.set_column(SCHEMA.get_field_index("time"), "time", happened)


def _repeats(rows: Rows, share: float, end_ms: int) -> Rows:
    """The rows that come once more, with the moments at which they do: before `end_ms`."""
    if not share:
        return NO_ROWS
    rows = rows.filter(in_share(drawn(ids_of(rows), Draw.IS_REPEATED), share))
    again = pc.add(rows["at"], below(drawn(ids_of(rows), Draw.LAG), LAG_MS))
    return rows.set_column(SCHEMA.get_field_index("at"), "at", pc.min_element_wise(again, end_ms - 1))


def _until(rows: Rows, end_ms: int) -> tuple[Rows, Rows]:
    due = pc.less(rows["at"], end_ms)
    return rows.filter(due), rows.filter(pc.invert(due))


def _joined(one: Rows, other: Rows) -> Rows:
    return pa.concat_batches([one, other])


def _in_order(rows: Rows) -> Rows:
    """Stable: what happens in one moment keeps its order."""
    return rows.take(pc.array_sort_indices(rows["at"]))
