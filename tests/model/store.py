"""Where requests land: the control item, the bucket and the counters, each with its conditions."""

from tests.model.state import (
    NOTHING,
    Bounds,
    Counter,
    Durable,
    Intent,
    Kind,
    Mutant,
    Request,
    Spare,
    Stored,
    records,
)


class Store:
    """What each request does, whole or with one rule `broken`."""

    def __init__(self, bounds: Bounds, broken: Mutant | Spare | None) -> None:
        self._broken = broken
        self._fenced = broken is not Spare.NO_FENCING
        self._conditional_counters = broken is not Mutant.UNCONDITIONAL_COUNTERS
        self._parts = bounds.parts
        self._masks = tuple(
            sum(1 << record for record in range(part, bounds.records, bounds.parts)) for part in range(bounds.parts)
        )

    def initial(self) -> Durable:
        """A shard that nobody has touched."""
        counters = (Counter(),) * self._parts
        return Durable(
            epoch=0,
            checkpoint=0,
            batch=0,
            pending=NOTHING,
            history=(),
            objects=(),
            counters=counters,
            unreadable=(),
            aborted=(),
        )

    def mask(self, intent: Intent, part: int) -> int:
        """The records of one object of a batch, as a bit set."""
        return records(intent) & self._masks[part]

    def land(self, durable: Durable, request: Request) -> tuple[Durable, bool]:
        """The world after a request and whether its condition held, evaluated now, whenever it was sent."""
        match request.kind:
            case Kind.INTENT:
                return self._land_intent(durable, request)
            case Kind.COMPLETE:
                return self._land_complete(durable, request)
            case Kind.COUNT:
                return self._land_count(durable, request)
            case Kind.COMMIT:
                return self._land_commit(durable, request)

    def _land_intent(self, durable: Durable, request: Request) -> tuple[Durable, bool]:
        intent = request.intent
        place = durable.checkpoint == intent.start and durable.batch == intent.batch
        free = durable.pending == NOTHING
        if (
            (self._fenced and durable.epoch != request.epoch)
            or not (place or self._broken is Mutant.INTENT_WITHOUT_CHECKPOINT)
            or not (free or self._broken is Mutant.IGNORE_PENDING_INTENT)
        ):
            return durable, False
        after = durable._replace(pending=intent, history=tuple(sorted((*durable.history, intent))))
        if self._broken is Mutant.INTENT_BEFORE_MANIFEST:
            after = self.manifest_lost(after, intent)
        return after, True

    def _land_complete(self, durable: Durable, request: Request) -> tuple[Durable, bool]:
        intent, part = request.intent, request.part
        if self.used_up(durable, intent, part):
            return durable, False  # NoSuchUpload
        key = self.key(intent, part)
        others = durable.objects
        if any(stored.key == key and not stored.erased for stored in others):
            if self._broken not in {Mutant.OVERWRITING_KEYS, Spare.NO_IF_NONE_MATCH}:
                return durable, False  # 412
            others = tuple(stored for stored in others if stored.key != key)
        return durable._replace(objects=tuple(sorted((*others, Stored(intent, part, key))))), True

    def _land_count(self, durable: Durable, request: Request) -> tuple[Durable, bool]:
        counter, batch = durable.counters[request.part], request.intent.batch
        if self._broken is Mutant.COUNTERS_BY_EQUALITY:
            held = counter.last != batch
        else:
            held = counter.last < batch or not self._conditional_counters
        if not held:
            return durable, False
        mask = self.mask(request.intent, request.part)
        after = Counter(batch, counter.once | mask, counter.twice | (counter.once & mask))
        counters = durable.counters
        return durable._replace(counters=(*counters[: request.part], after, *counters[request.part + 1 :])), True

    def _land_commit(self, durable: Durable, request: Request) -> tuple[Durable, bool]:
        intent = request.intent
        expected = durable.pending.batch == intent.batch
        if self._broken is Mutant.NO_INTENT:
            expected = durable.batch == intent.batch and durable.checkpoint == intent.start
        if (self._fenced and durable.epoch != request.epoch) or not (
            expected or self._broken is Mutant.COMMIT_WITHOUT_INTENT
        ):
            return durable, False
        return durable._replace(checkpoint=intent.stop, batch=intent.batch + 1, pending=NOTHING), True

    def manifest_lost(self, durable: Durable, intent: Intent) -> Durable:
        """The intent's manifest cannot be read from now on; only mutants come to this."""
        return durable._replace(unreadable=tuple(sorted({*durable.unreadable, intent})))

    def manifest_written(self, durable: Durable, intent: Intent) -> Durable:
        """The intent's manifest can be read."""
        return durable._replace(unreadable=tuple(each for each in durable.unreadable if each != intent))

    def spent(self, durable: Durable, request: Request) -> bool:
        """Whether the request can never have an effect again, so that it need not be remembered."""
        match request.kind:
            case Kind.COMPLETE:
                return self.used_up(durable, request.intent, request.part)
            case Kind.COUNT:
                ordered = self._conditional_counters and self._broken is not Mutant.COUNTERS_BY_EQUALITY
                return ordered and durable.counters[request.part].last >= request.intent.batch
            case Kind.INTENT | Kind.COMMIT:
                return self._fenced and durable.epoch > request.epoch

    def used_up(self, durable: Durable, intent: Intent, part: int) -> bool:
        """An upload is gone once it was completed, whatever became of the object, or aborted."""
        return intent in durable.aborted or any(
            stored.intent == intent and stored.part == part for stored in durable.objects
        )

    def key(self, intent: Intent, part: int) -> tuple[int, ...]:
        """Where an object of a batch goes: the same place whoever completes it."""
        match self._broken:
            case Mutant.RANDOM_KEYS:
                return (intent.batch, part, intent.staged_in)
            case Mutant.KEYS_WITHOUT_BATCH | Mutant.OVERWRITING_KEYS:
                return (part,)
            case _:
                return (intent.batch, part)
