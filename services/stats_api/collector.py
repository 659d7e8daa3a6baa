"""Payloads of visitors → records on the stream. Knows nothing of HTTP."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from headrace.clock import Clock
from headrace.events.coerce import encode
from headrace.events.ingest import id_prefix, to_entries
from headrace.events.parse import EventParser, Policy, Reason, Rejection
from headrace.stream.ports import MAX_RECORD_BYTES, Entry, Producer
from headrace.telemetry.metrics import Metrics

SOURCE = "collect"
"""Column `source` of events that do not give their own."""

_raw = msgspec.json.Decoder(dict[str, msgspec.Raw])
"""Values stay as they were sent: a number of 5,000 digits has no Python value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """What the connection tells of who sent an event; used where the event says nothing."""

    address: str | None
    user_agent: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a request's events, by their position in it."""

    accepted: int
    rejected: Sequence[Rejection]


class Collector:
    """Validates events and puts them on the stream. `anonymous_key` keys the hash behind anon- users."""

    def __init__(
        self, producer: Producer, policy: Policy, *, anonymous_key: bytes, metrics: Metrics, clock: Clock
    ) -> None:
        self._producer = producer
        self._parser = EventParser(policy)
        self._anonymous_key = anonymous_key
        self._metrics = metrics
        self._clock = clock

    async def collect(self, payloads: Sequence[bytes], visitor: Visitor) -> Outcome:
        """Return once every accepted event is durable. Raises `RetryableError` when one is not."""
        now = self._clock.now()
        parsed = self._parser.parse(payloads, now=now)
        for event in parsed.events:
            event.ip = event.ip or visitor.address
            event.user_agent = event.user_agent or visitor.user_agent
        entries = dict(
            zip(
                parsed.indexes,
                to_entries(
                    parsed.events,
                    parsed.indexes,
                    source=SOURCE,
                    prefix=id_prefix(SOURCE, uuid.uuid4().hex),
                    now=now,
                    anonymous_key=self._anonymous_key,
                ),
                strict=True,
            )
        )
        for index in parsed.extra:
            entries[index] = _with_all_keys(payloads[index], entries[index])
        oversized = [
            Rejection(index, Reason.OVERSIZED, f"{_size(entry)} bytes")
            for index, entry in entries.items()
            if _size(entry) > MAX_RECORD_BYTES
        ]
        for rejection in oversized:
            del entries[rejection.index]
        if entries:
            await self._producer.put(list(entries.values()))
        outcome = Outcome(
            accepted=len(entries), rejected=sorted((*parsed.rejected, *oversized), key=lambda told: told.index)
        )
        self._count(outcome, extra=len(entries.keys() & set(parsed.extra)))
        return outcome

    def _count(self, outcome: Outcome, *, extra: int) -> None:
        self._metrics.records_accepted.labels("false").inc(outcome.accepted - extra)
        self._metrics.records_accepted.labels("true").inc(extra)
        for rejection in outcome.rejected:
            self._metrics.records_rejected.labels(rejection.reason).inc()


def _with_all_keys(payload: bytes, entry: Entry) -> Entry:
    """The completed event with the keys that no column has: the transformer keeps those apart in `extra_columns/`."""
    return entry._replace(data=encode({**_raw.decode(payload), **_raw.decode(entry.data)}))


def _size(entry: Entry) -> int:
    return len(entry.data) + len(entry.partition_key.encode())
