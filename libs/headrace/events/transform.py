"""Payloads → columns, cut by hour. One typed decode per record; everything after it is done by column.

Per-record Python runs for rejected records only, and for values that a record lacks.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from itertools import repeat
from operator import attrgetter
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from msgspec.structs import astuple

from headrace.events.arrow import ARROW_TYPES, EVENT_SCHEMA
from headrace.events.columns import decimals, maps, times
from headrace.events.enrich import Enricher
from headrace.events.lookup import Columns, add_lookups
from headrace.events.parse import DECIMAL_LIMIT, EventParser, Policy, Rejection, check, oversized
from headrace.events.privacy import anonymous_user
from headrace.events.schema import COLUMNS, PURCHASE, SCHEMA_VERSION, Kind, WireEvent
from headrace.lake.layout import HourPartition
from headrace.settings import Settings
from headrace.stream.ports import MAX_RECORD_BYTES

MICROS_PER_HOUR = 3_600_000_000
CHUNK = 2048
"""Payloads decoded at a time: their objects stay in the processor's cache until they are columns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What is known of payloads from where they were read; used where the event itself does not tell."""

    arrived: Callable[[int], float]
    """Time of arrival of the payload with this index, in seconds since 1970 UTC."""
    default_id: Callable[[int], str]
    """Event id of the payload with this index: the same whenever it is read again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transformed:
    """What a list of payloads became: rows + rejected + repeats = payloads."""

    rows: pa.Table
    """All rows, `EVENT_SCHEMA`, in the order of the payloads."""
    partitions: Sequence[tuple[HourPartition, pa.Table]]
    """The same rows by hour of their event time, hours ascending."""
    rejected: Sequence[Rejection]
    extra: Sequence[int]
    """Payloads with unknown keys; their known part is among the rows."""
    repeats: int
    """Payloads dropped because their event id was seen before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chunk:
    """Some of the payloads, indexes counted over all of them. Row i was made from payload `indexes[i]`."""

    rows: pa.Table
    indexes: Sequence[int]
    rejected: Sequence[Rejection]
    extra: Sequence[int]


class Transformer:
    """Turns payloads into Arrow tables. Holds caches, so keep one per process."""

    def __init__(self, policy: Policy, enricher: Enricher, *, anonymous_key: bytes) -> None:
        self._policy = policy
        self._parser = EventParser(policy, trusted=True)
        self._enricher = enricher
        self._anonymous_key = anonymous_key

    @classmethod
    def of(cls, settings: Settings) -> "Transformer":
        """The transformer that `settings` ask for."""
        key = settings.anonymous_key.get_secret_value().encode()
        return cls(Policy.of(settings), Enricher(settings.geoip_db), anonymous_key=key)

    def __call__(
        self,
        payloads: Sequence[bytes],
        origin: Origin,
        *,
        repeats: Callable[[pa.ChunkedArray], Collection[int]] | None = None,
    ) -> Transformed:
        """Transform payloads. No clock is asked: what is too old or too far ahead is judged by each one's arrival.

        `repeats` is given the event ids of all good events and names the positions of those seen before.
        """
        chunks = [
            self._chunk(payloads[start : start + CHUNK], start, origin) for start in range(0, len(payloads), CHUNK)
        ]
        rows = pa.concat_tables([EVENT_SCHEMA.empty_table(), *(chunk.rows for chunk in chunks)]).combine_chunks()
        extra = [index for chunk in chunks for index in chunk.extra]
        seen = repeats(rows["event_id"]) if repeats else ()
        if seen:
            indexes = [index for chunk in chunks for index in chunk.indexes]
            rows = _without(rows, seen)
            extra = sorted({*extra} - {indexes[at] for at in seen})
        return Transformed(
            rows=rows,
            partitions=_by_hour(rows),
            rejected=[rejection for chunk in chunks for rejection in chunk.rejected],
            extra=extra,
            repeats=len(seen),
        )

    def _chunk(self, payloads: Sequence[bytes], start: int, origin: Origin) -> "_Chunk":
        parsed = self._parser.decode(payloads)
        events, indexes = parsed.events, _from(start, parsed.indexes)
        columns, suspects = _draft(events)
        arrivals = list(map(origin.arrived, indexes))
        suspects |= self._suspects(events, columns, arrivals)
        bad = {at: problem for at in suspects if (problem := check(events[at], self._policy, arrivals[at])) is not None}
        if max(map(len, payloads)) > MAX_RECORD_BYTES:  # a stream can be set to take them
            bad |= {at: problem for at, index in enumerate(parsed.indexes) if (problem := oversized(payloads[index]))}
        rejected = [Rejection(start + each.index, each.reason, each.detail) for each in parsed.rejected]
        rejected += [Rejection(indexes[at], *problem) for at, problem in bad.items()]
        self._complete(columns, events, indexes, origin)
        gone = {rejection.index for rejection in rejected}
        return _Chunk(
            rows=_without(pa.table(columns, schema=EVENT_SCHEMA), bad),
            indexes=[index for index in indexes if index not in gone] if bad else indexes,
            rejected=sorted(rejected, key=attrgetter("index")),
            extra=[start + index for index in parsed.extra if start + index not in gone],
        )

    def _suspects(self, events: Sequence[WireEvent], columns: Columns, arrivals: Sequence[float]) -> set[int]:
        """Positions of events that may break a rule: all that do, and few others."""
        suspects = set()
        wrong = [kind for kind in columns["event_type"].unique().to_pylist() if not self._policy.valid_type(kind)]
        if wrong:
            suspects |= _positions(pc.is_in(columns["event_type"], pa.array(wrong)))
        no_session = pc.equal(pc.fill_null(columns["session_id"], ""), "")
        if pc.any(no_session).as_py():
            suspects |= {at for at in _positions(no_session) if events[at].session_rule is None}
        time, arrived = columns["event_time"], pa.array(arrivals, pa.float64())
        outside = pc.or_(pc.less(time, 0), pc.greater(time, _micros(pc.add(arrived, self._policy.max_future))))
        if self._policy.max_age is not None:
            outside = pc.or_(outside, pc.less(time, _micros(pc.subtract(arrived, self._policy.max_age))))
        if pc.any(pc.fill_null(outside, fill_value=True)).as_py():
            suspects |= _positions(pc.fill_null(outside, fill_value=True))
        return suspects

    def _complete(self, columns: Columns, events: Sequence[WireEvent], indexes: Sequence[int], origin: Origin) -> None:
        """Fill in what the events do not tell themselves, and what can be known from the rest."""
        _fill(columns, "event_id", lambda at: origin.default_id(indexes[at]))
        _fill(columns, "user_id", lambda at: self._anonymous(events[at]))
        _fill(columns, "ingest_time", lambda at: int(origin.arrived(indexes[at]) * 1e6))
        for name in ("event_time", "ingest_time"):
            columns[name] = columns[name].cast(pa.timestamp("us"))
        columns["schema_version"] = pc.fill_null(columns["schema_version"], pa.scalar(SCHEMA_VERSION, pa.int32()))
        add_lookups(columns, self._enricher)

    def _anonymous(self, event: WireEvent) -> str:
        known = (event.session_id,) if event.session_id else (event.ip, event.user_agent)
        return anonymous_user(self._anonymous_key, *known)


def _from(start: int, indexes: Sequence[int]) -> Sequence[int]:
    if isinstance(indexes, range):  # nothing was rejected
        return range(start + indexes.start, start + indexes.stop)
    return [start + index for index in indexes]


def _by_field(events: Sequence[WireEvent]) -> dict[str, Sequence[Any]]:
    """Rows → columns. Each event is looked at once and in C, which is twice as fast as field by field."""
    values = zip(*map(astuple, events), strict=True) if events else repeat(())
    return dict(zip(WireEvent.__struct_fields__, values, strict=False))


def _draft(events: Sequence[WireEvent]) -> tuple[Columns, set[int]]:
    """Columns as the events have them (times as int64 µs), and the positions of amounts that do not fit."""
    columns: Columns = {}
    suspects: set[int] = set()
    by_field = _by_field(events)
    for column in COLUMNS:
        values = by_field[column.name]
        match column.kind:
            case Kind.TIMESTAMP:
                columns[column.name] = times(values)
            case Kind.DECIMAL:
                columns[column.name], lost = decimals(values)
                suspects.update(lost)
            case Kind.MAP:
                columns[column.name] = maps(values)
            case _:
                columns[column.name] = pa.array(values, ARROW_TYPES[column.kind])
    return columns, suspects | _derive_revenue(columns)


def _derive_revenue(columns: Columns) -> set[int]:
    """Revenue of purchases that give none: price × quantity. Returns the positions where that does not fit."""
    given = columns["revenue"]
    wanted = pc.and_(pc.equal(columns["event_type"], PURCHASE), given.is_null())
    if not pc.any(wanted).as_py():
        return set()
    product = pc.multiply(columns["price"], columns["quantity"].cast(pa.decimal128(19, 0)))
    large = pc.and_(wanted, pc.greater_equal(pc.abs(product), pa.scalar(DECIMAL_LIMIT, product.type)))
    fitting = pc.if_else(pc.and_not(wanted, pc.fill_null(large, fill_value=False)), product, None)
    columns["revenue"] = pc.coalesce(given, fitting.cast(given.type))
    return _positions(large)


def _fill(columns: Columns, name: str, value: Callable[[int], Any]) -> None:
    """Replace each null by `value(position)`."""
    if columns[name].null_count:
        filled = columns[name].to_pylist()
        for at in _positions(columns[name].is_null()):
            filled[at] = value(at)
        columns[name] = pa.array(filled, columns[name].type)


def _micros(seconds: pa.Array) -> pa.Array:
    return pc.multiply(seconds, 1e6).cast(pa.int64(), safe=False)


def _positions(mask: pa.Array) -> set[int]:
    return set(pc.indices_nonzero(pc.fill_null(mask, fill_value=False)).to_pylist())


def _without(rows: pa.Table, gone: Collection[int]) -> pa.Table:
    if not gone:
        return rows
    return rows.take(pa.array([at for at in range(len(rows)) if at not in gone], pa.int64()))


def _by_hour(rows: pa.Table) -> list[tuple[HourPartition, pa.Table]]:
    hours = pc.divide(rows["event_time"].cast(pa.int64()), MICROS_PER_HOUR).combine_chunks()
    counts = sorted((entry["values"], entry["counts"]) for entry in pc.value_counts(hours).to_pylist())
    in_order = pc.all(pc.less_equal(hours[:-1], hours[1:])).as_py()
    ordered = rows if in_order else rows.take(pc.sort_indices(hours))  # stable: an hour keeps the payloads' order
    partitions, start = [], 0
    for hour, count in counts:
        partitions.append((HourPartition.of_hour(hour), ordered.slice(start, count)))
        start += count
    return partitions
