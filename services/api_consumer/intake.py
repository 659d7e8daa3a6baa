"""A page of payloads → stream entries and quarantine envelopes. No I/O."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from headrace.errors import RequestError
from headrace.events.coerce import decode, encode
from headrace.events.ingest import id_prefix, to_entries
from headrace.events.mapping import Mapping
from headrace.events.parse import EventParser, Policy, Reason, Rejection, oversized, reason_of
from headrace.quarantine import Envelope, envelope
from headrace.state.sources import Totals
from headrace.stream.batcher import entry_bytes
from headrace.stream.ports import Entry
from services.api_consumer.ports import Page

STAGE = "api_consumer"
EXTRA_COLUMNS = "extra_columns"

Payloads = Sequence[bytes | msgspec.Raw]


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What becomes of one page."""

    entries: list[Entry]
    rejected: list[Envelope]
    extra: list[Envelope]
    originals: list[bytes]
    """What the entries were made from, if that is to be archived."""
    totals: Totals
    """Without `put` and `spooled`: where the entries go is decided later."""


class Intake:
    """Maps, validates and encodes. `anonymous_key` keys the hash behind anon- users."""

    def __init__(
        self, policy: Policy, mapping: Mapping | None, anonymous_key: bytes, *, keep_originals: bool = False
    ) -> None:
        self._parser = EventParser(policy, trusted=mapping is not None)
        self._mapping = mapping
        self._anonymous_key = anonymous_key
        self._keep_originals = keep_originals

    def take(self, page: Page, *, source_id: str, source_name: str, now: float) -> Taken:
        """Every payload (with `unnest`: every child) becomes an event or a rejection. `now`: seconds since 1970 UTC."""
        batch = _mapped(self._mapping, page.payloads) if self._mapping else _plain(page.payloads)
        parsed = self._parser.parse(batch.payloads, now=now)
        entries = to_entries(
            parsed.events,
            [page.first_index + index for index in parsed.indexes],
            source=source_name,
            prefix=id_prefix(source_id, page.place),
            now=now,
            anonymous_key=self._anonymous_key,
        )
        entries, oversized = _within_limits(entries, parsed.indexes)
        too_large = {rejection.index for rejection in oversized}

        def wrap(payload: bytes, index: int, reason: str, detail: str = "") -> Envelope:
            position = f"{source_name}:{page.place}:{page.first_index + index}"
            return envelope(
                payload,
                reason=reason,
                detail=detail,
                stage=STAGE,
                position=position,
                seen_at=now,
                source=source_name,
            )

        rejected = [
            wrap(bytes(page.payloads[bad.index]), bad.index, bad.reason, bad.detail) for bad in batch.undecodable
        ]
        rejected += [
            wrap(batch.original(bad.index), bad.index, bad.reason, bad.detail) for bad in (*parsed.rejected, *oversized)
        ]
        extra = [wrap(batch.original(index), index, EXTRA_COLUMNS) for index in parsed.extra if index not in too_large]
        kept = [index for index in parsed.indexes if index not in too_large] if self._keep_originals else ()
        return Taken(
            entries=entries,
            rejected=rejected,
            extra=extra,
            originals=[batch.original(index) for index in kept],
            totals=Totals(
                polled=len(batch.payloads) + len(batch.undecodable),
                accepted=len(entries),
                extra_columns=len(extra),
                rejected=len(rejected),
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Batch:
    payloads: Payloads
    """One per event, with our keys."""
    original: Callable[[int], bytes]
    """What an event's payload was made from; for the child of an input, that input with this child alone."""
    undecodable: Sequence[Rejection] = ()
    """Inputs that no mapping can be applied to; indexes count inputs."""


def _plain(payloads: Payloads) -> _Batch:
    return _Batch(payloads=payloads, original=lambda index: bytes(payloads[index]))


def _mapped(mapping: Mapping, inputs: Payloads) -> _Batch:
    payloads: list[bytes] = []
    origins: list[tuple[int, int]] = []
    undecodable = []
    for n, payload in enumerate(inputs):
        try:
            obj = decode(payload)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            undecodable.append(Rejection(n, *(oversized(payload) or reason_of(error))))
            continue
        if type(obj) is not dict:
            undecodable.append(Rejection(n, Reason.WRONG_TYPE, "no JSON object"))
            continue
        for child, event in enumerate(mapping.apply(obj)):
            payloads.append(encode(event))
            origins.append((n, child))

    def original(index: int) -> bytes:
        n, child = origins[index]
        payload = bytes(inputs[n])
        return payload if mapping.unnest is None else encode(mapping.isolate(decode(payload), child))

    return _Batch(payloads=payloads, original=original, undecodable=undecodable)


def _within_limits(entries: Sequence[Entry], indexes: Sequence[int]) -> tuple[list[Entry], list[Rejection]]:
    """What a stream takes, and what it would refuse together with the whole page."""
    taken: list[Entry] = []
    refused: list[Rejection] = []
    for entry, index in zip(entries, indexes, strict=True):
        try:
            entry_bytes(entry)
        except RequestError as error:
            refused.append(Rejection(index, Reason.OVERSIZED, str(error)))
        else:
            taken.append(entry)
    return taken, refused
