"""What must hold after every step, by the names of the protocol's page, and what must be so in the end."""

from collections.abc import Callable, Iterator

from tests.model.protocol import Protocol
from tests.model.state import NOTHING, Durable


def rules(protocol: Protocol, durable: Durable) -> Iterator[str]:
    """I1–I9, each broken one as a sentence. I7 has no line of its own: it is that all this holds under steals."""
    for sentence, holds in RULES.items():
        if not holds(protocol, durable):
            yield sentence
    yield from harm(protocol, durable)


def harm(protocol: Protocol, durable: Durable) -> Iterator[str]:
    """Only what a reader of rows and counts could notice, and nobody can repair."""
    seen = 0
    for stored in durable.objects:
        mask = protocol.store.mask(stored.intent, stored.part)
        if seen & mask:
            yield f"I4: {_named(seen & mask)} in two objects"
        seen |= mask
    for counter in durable.counters:
        if counter.twice:
            yield f"I5: {_named(counter.twice)} counted twice"


def shortfall(protocol: Protocol, durable: Durable) -> str | None:
    """What a healed shard lacks; None when each record is in exactly one object and counted exactly once."""
    everything = (1 << protocol.bounds.records) - 1
    for broken in harm(protocol, durable):
        return broken
    if missing := everything & ~_visible(protocol, durable):
        return f"{_named(missing)} in no object"
    if missing := everything & ~_counted(durable):
        return f"{_named(missing)} not counted"
    if durable.pending != NOTHING or (1 << durable.checkpoint) - 1 != everything:
        return "the checkpoint is not at the end"
    return None


def _visible(protocol: Protocol, durable: Durable) -> int:
    found = 0
    for stored in durable.objects:
        found |= protocol.store.mask(stored.intent, stored.part)
    return found


def _counted(durable: Durable) -> int:
    found = 0
    for counter in durable.counters:
        found |= counter.once
    return found


def _named(mask: int) -> str:
    numbers = [str(at) for at in range(mask.bit_length()) if mask >> at & 1]
    return f"record {numbers[0]} is" if len(numbers) == 1 else f"records {', '.join(numbers)} are"


def _one_intent_each(protocol: Protocol, durable: Durable) -> bool:
    return len({intent.batch for intent in durable.history}) == len(durable.history)


def _visible_by_intent(protocol: Protocol, durable: Durable) -> bool:
    return all(stored.intent in durable.history for stored in durable.objects)


def _checkpoint_behind(protocol: Protocol, durable: Durable) -> bool:
    passed = (1 << durable.checkpoint) - 1
    return not passed & ~(_visible(protocol, durable) & _counted(durable))


def _counters_add_up(protocol: Protocol, durable: Durable) -> bool:
    for part, counter in enumerate(durable.counters):
        applied = 0
        for intent in durable.history:
            if intent.batch <= counter.last:
                applied |= protocol.store.mask(intent, part)
        if counter.once != applied:
            return False
    return True


def _finished_first(protocol: Protocol, durable: Durable) -> bool:
    return all(intent.batch < durable.batch or intent == durable.pending for intent in durable.history)


def _erased_when_committed(protocol: Protocol, durable: Durable) -> bool:
    return all(stored.intent.batch < durable.batch for stored in durable.objects if stored.erased)


def _nothing_aborted(protocol: Protocol, durable: Durable) -> bool:
    return not durable.aborted


RULES: dict[str, Callable[[Protocol, Durable], bool]] = {
    "I1: a batch number has two intents": _one_intent_each,
    "I2: an object is visible without its intent": _visible_by_intent,
    "I3: the checkpoint passed a record that has no object or no count": _checkpoint_behind,
    "I5: a counter is not the sum of the batches applied": _counters_add_up,
    "I6: an intent was left unfinished": _finished_first,
    "I8: an object of a batch that is not committed was erased": _erased_when_committed,
    "I9: a worker aborted an upload": _nothing_aborted,
}
