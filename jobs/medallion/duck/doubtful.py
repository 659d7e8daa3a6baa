"""Lines that SQL does not vouch for, one by one through the decoder that the stream has."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from headrace.events.enrich import Enricher
from headrace.events.parse import Policy, Reason, Rejection, reason_of
from headrace.events.transform import Origin, Transformer
from headrace.quarantine import Envelope, envelope
from headrace.settings import Settings
from headrace.stream.ports import MAX_RECORD_BYTES
from jobs.medallion.duck.lines import Line

STAGE = "medallion"

_EVER = 1e12
"""Seconds, some 30,000 years: no event is that far ahead of anything."""
_UNKNOWN = -1.0
"""Stands for an arrival that nobody knows. No time of ours is before 1970."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileOrigin:
    """What is known of the lines of a file from where it was."""

    key: str
    prefix: str
    """`{prefix}-{index}` is the id of an event that has none."""
    arrived: float | None
    """Seconds since 1970 UTC; None: nobody knows, so nothing is too far ahead or too old."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedLines:
    """What became of some lines: rows + rejected = lines."""

    rows: pa.Table
    """`EVENT_SCHEMA`, in the order of the lines."""
    good: Sequence[int]
    """Which of the lines the rows were made from."""
    rejected: Sequence[Envelope]


class _Geo(msgspec.Struct):
    country: str | None = None
    region: str | None = None
    city: str | None = None


class LineDecoder:
    """Decodes single lines. Holds caches, so keep one per run; safe for several threads."""

    def __init__(self, settings: Settings, enricher: Enricher, *, seen_at: float) -> None:
        key = settings.anonymous_key.get_secret_value().encode()
        policy = Policy.of(settings)
        timeless = Policy(event_types=policy.event_types, max_future=_EVER)
        self._timed = Transformer(policy, enricher, anonymous_key=key)
        self._timeless = Transformer(timeless, enricher, anonymous_key=key)
        self._seen_at = seen_at

    def __call__(self, lines: Sequence[Line], origin: FileOrigin) -> DecodedLines:
        """Rows of the good lines, dead letters of the others."""
        flat = [flattened(line.data) for line in lines]
        misplaced = [Rejection(at, *problem) for at, problem in enumerate(flat) if isinstance(problem, tuple)]
        candidates = [at for at, payload in enumerate(flat) if isinstance(payload, bytes)]
        transformer = self._timed if origin.arrived is not None else self._timeless
        arrived = _UNKNOWN if origin.arrived is None else origin.arrived
        transformed = transformer(
            [payload for payload in flat if isinstance(payload, bytes)],
            Origin(
                arrived=lambda _: arrived,
                default_id=lambda at: f"{origin.prefix}-{lines[candidates[at]].row}",
            ),
        )
        rejected = [Rejection(candidates[each.index], each.reason, each.detail) for each in transformed.rejected]
        refused = {each.index: each for each in (*misplaced, *rejected)}
        return DecodedLines(
            rows=_without_unknown(transformed.rows),
            good=[at for at in range(len(lines)) if at not in refused],
            rejected=[self._dead_letter(lines[at], refused[at], origin) for at in sorted(refused)],
        )

    def _dead_letter(self, line: Line, rejection: Rejection, origin: FileOrigin) -> Envelope:
        return envelope(
            line.data,
            reason=rejection.reason,
            detail=rejection.detail,
            stage=STAGE,
            position=f"{origin.key} line {line.number}",
            seen_at=self._seen_at,
        )


def flattened(payload: bytes) -> bytes | tuple[Reason, str]:
    """A line of bronze as the stream would have it: without `geo`, whose parts win over the columns of their names.

    Also without `session_rule`, which is reserved: from the outside it is an unknown key. Or the reason why `geo` is no
    good; what else may be wrong with a line is not looked for here.
    """
    if len(payload) > MAX_RECORD_BYTES:
        return payload
    try:
        payload.decode()
        event = _objects.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return payload
    if event.keys().isdisjoint({"geo", "session_rule"}):
        return payload
    event.pop("session_rule", None)
    try:
        place = _places.decode(event.pop("geo", msgspec.Raw(b"null")))
    except (msgspec.DecodeError, RecursionError) as error:
        reason, detail = reason_of(error)
        return reason, f"geo: {detail}"
    if place is not None:
        event |= {name: _raw(value) for name, value in msgspec.structs.asdict(place).items() if value is not None}
    return msgspec.json.encode(event)


_objects = msgspec.json.Decoder(dict[str, msgspec.Raw])
_places = msgspec.json.Decoder(_Geo | None)


def _raw(value: str) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


def _without_unknown(rows: pa.Table) -> pa.Table:
    at = rows.schema.get_field_index("ingest_time")
    times = rows.column(at)
    known = pc.if_else(pc.less(times.cast(pa.int64()), 0), pa.scalar(None, times.type), times)
    return rows.set_column(at, rows.schema.field(at), known)
