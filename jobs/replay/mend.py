"""A lot's payloads as the transformer would have met them, had nothing been wrong with them. Pure."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any

import msgspec
import pyarrow as pa

from headrace.delivery.plan import STAGE, Transform
from headrace.events.coerce import decode, encode
from headrace.events.mapping import Mapping
from headrace.events.parse import Reason, Rejection, oversized, reason_of
from headrace.events.repairs import Repairs
from headrace.events.transform import Origin, Transformed
from jobs.replay.lots import Lot

Problem = tuple[Reason, str]
"""Why a payload stays a dead letter, and the detail."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mending:
    """What is done to dead letters: repairs, and for those that no stream has seen the poller's work."""

    repairs: Repairs
    mapping: Mapping | None = None
    """What the poller maps events with."""

    def prepare(self, lot: Lot, payload: bytes, arrived: float) -> bytes | Problem:
        """A payload of the lot → what the transformer is to be given, or why that can be nothing."""
        if not payload and lot.reason == Reason.OVERSIZED:
            return Reason.OVERSIZED, "payload not kept"
        mended = self.repairs(payload)
        return mended if lot.stage == STAGE else self._take_in(lot, mended, arrived)

    def _take_in(self, lot: Lot, payload: bytes, arrived: float) -> bytes | Problem:
        """What the first hand that holds an event does to it. The rest, the id included, the transformer fills in."""
        try:
            obj = decode(payload)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            return oversized(payload) or reason_of(error)
        if type(obj) is not dict:
            return Reason.WRONG_TYPE, "no JSON object"
        if self.mapping is not None:
            events = self.mapping.apply(obj)
            if len(events) != 1:
                return Reason.WRONG_TYPE, f"the mapping makes {len(events)} events of it"
            obj = events[0]
        elif obj.get("session_rule") is not None:
            return Reason.WRONG_TYPE, "session_rule is reserved"
        event: dict[str, Any] = {key: value for key, value in obj.items() if key != "schema_version"}
        event["ingest_time"] = int(arrived * 1000)
        if event.get("source") is None and lot.source is not None:
            event["source"] = lot.source
        return encode(event)


class MendedTransform:
    """A `Transform` for one lot: prepares each payload, and leaves aside those that stay dead letters anyway.

    What was too far ahead is judged by `now` (seconds since 1970 UTC), all else by the moment it was turned away, since
    nothing becomes too old by waiting here.
    """

    def __init__(self, transform: Transform, lot: Lot, mending: Mending, *, now: float) -> None:
        self._transform = transform
        self._lot = lot
        self._mending = mending
        self._judged_at = now if lot.reason == Reason.TOO_FAR_AHEAD else None

    def __call__(
        self,
        payloads: Sequence[bytes],
        origin: Origin,
        *,
        repeats: Callable[[pa.ChunkedArray], Collection[int]] | None = None,
    ) -> Transformed:
        """See `Transform`."""
        good: list[bytes] = []
        places: list[int] = []
        rejected: list[Rejection] = []
        for index, payload in enumerate(payloads):
            prepared = self._mending.prepare(self._lot, payload, origin.arrived(index))
            if isinstance(prepared, bytes):
                good.append(prepared)
                places.append(index)
            else:
                rejected.append(Rejection(index, *prepared))
        transformed = self._transform(
            good,
            Origin(
                arrived=lambda at: origin.arrived(places[at]) if self._judged_at is None else self._judged_at,
                default_id=lambda at: origin.default_id(places[at]),
            ),
            repeats=repeats,
        )
        rejected += [Rejection(places[each.index], each.reason, each.detail) for each in transformed.rejected]
        return replace(
            transformed,
            rejected=sorted(rejected, key=attrgetter("index")),
            extra=[places[at] for at in transformed.extra],
        )
