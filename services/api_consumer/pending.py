"""What was taken and waits for the cursor to move behind it, and the objects that it becomes. No I/O."""

import gzip
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from headrace.events.ingest import id_prefix
from headrace.lake.layout import Quarantine, quarantine_object, raw_object
from headrace.quarantine import Envelope, to_jsonl_gz
from headrace.state.sources import Totals
from services.api_consumer.intake import Taken
from services.api_consumer.ports import Page


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptObject:
    """An object to be written before the cursor moves."""

    key: str
    body: bytes
    events: int
    reasons: Mapping[str, int]
    """Rejected events by reason; empty when nothing is wrong with them."""


@dataclass(slots=True, kw_only=True)
class Pending:
    """The pages between the cursor and what is taken."""

    position: Any
    exhausted: bool
    totals: Totals = field(default_factory=Totals)
    rejected: list[Envelope] = field(default_factory=list)
    extra: list[Envelope] = field(default_factory=list)
    archived: list[bytes] = field(default_factory=list)
    spooled_pages: int = 0
    since: float = 0.0
    """When the first of what waits came, monotonic."""

    @property
    def kept(self) -> int:
        """How many lines wait to be written into objects."""
        return len(self.rejected) + len(self.extra) + len(self.archived)

    def add(self, page: Page, taken: Taken, now: float, *, spooled: bool) -> None:
        """One page more. `now` is monotonic."""
        if not self.kept:
            self.since = now
        self.rejected += taken.rejected
        self.extra += taken.extra
        self.archived += taken.originals
        accepted = taken.totals.accepted
        self.totals = self.totals.plus(taken.totals).plus(Totals(spooled=accepted) if spooled else Totals(put=accepted))
        self.spooled_pages += int(spooled)
        self.position, self.exhausted = page.after, page.exhausted

    def objects(self, source_id: str, position: Any, at: float) -> Iterator[KeptObject]:
        """What becomes of it. Named by the cursor's position and moment, so that a repeat replaces them."""
        name = id_prefix(source_id, repr(position))
        for prefix, envelopes in ((Quarantine.FAILED, self.rejected), (Quarantine.EXTRA_COLUMNS, self.extra)):
            if envelopes:
                yield KeptObject(
                    key=quarantine_object(prefix, at, name),
                    body=to_jsonl_gz(envelopes),
                    events=len(envelopes),
                    reasons=Counter(kept.reason for kept in envelopes) if prefix is Quarantine.FAILED else {},
                )
        if self.archived:
            yield KeptObject(
                key=raw_object(at, name), body=_to_lines(self.archived), events=len(self.archived), reasons={}
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldPolicy:
    """How long the cursor may wait for objects to fill. What is in the stream alone waits for nothing."""

    size: int = 100
    """Lines; as soon as there are so many."""
    seconds: float = 10.0
    """As soon as the oldest has waited for so long."""

    def due(self, pending: Pending, now: float) -> bool:
        """Whether the cursor may not wait any longer. `now` is monotonic."""
        waiting = pending.kept
        return (
            not waiting
            or pending.exhausted
            or pending.spooled_pages > 0
            or waiting >= self.size
            or now - pending.since >= self.seconds
        )


def _to_lines(payloads: Sequence[bytes]) -> bytes:
    """One payload a line, byte for byte unless it spans lines itself."""
    lines = [msgspec.json.format(payload, indent=-1) if b"\n" in payload else payload for payload in payloads]
    return gzip.compress(b"\n".join(lines) + b"\n", compresslevel=6, mtime=0)
