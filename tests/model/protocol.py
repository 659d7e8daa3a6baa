"""The rules: what may happen next, above all what a worker may do.

Written from the protocol's text, not from the code that implements it; nothing of Headrace is imported here.
"""

from collections.abc import Iterator

from tests.model.state import (
    IDLE,
    NOTHING,
    Bounds,
    Durable,
    Intent,
    Kind,
    Move,
    Mutant,
    Phase,
    Request,
    Session,
    Spare,
)
from tests.model.store import Store


class Protocol:
    """The protocol within bounds, whole or with one rule `broken`."""

    def __init__(self, bounds: Bounds, broken: Mutant | Spare | None = None) -> None:
        self.bounds = bounds
        self.store = Store(bounds, broken)
        self._broken = broken

    def take(self, durable: Durable) -> Move:
        """Own the lease. The item that the write returns is all that the new owner knows."""
        after = durable._replace(epoch=durable.epoch + 1)
        return Move(f"a worker takes the lease (epoch {after.epoch})", after, self._start(after))

    def erasures(self, durable: Durable) -> Iterator[Move]:
        """Compaction and erasure: objects of committed batches, at any time."""
        if sum(stored.erased for stored in durable.objects) >= self.bounds.erasures:
            return
        for at, stored in enumerate(durable.objects):
            committed = stored.intent.batch < durable.batch
            if not stored.erased and (committed or self._broken is Mutant.ERASE_UNCOMMITTED):
                objects = (*durable.objects[:at], stored._replace(erased=True), *durable.objects[at + 1 :])
                words = f"object {stored.part} of batch {stored.intent.batch} is erased"
                yield Move(words, durable._replace(objects=objects), IDLE)

    def moves(self, durable: Durable, session: Session) -> list[Move]:
        """All that one worker may do. The first move is the one without a fault."""
        if session.phase is Phase.IDLE:
            return [self.take(durable)] if durable.epoch < self.bounds.takes else []
        crash = Move(f"the worker of epoch {session.epoch} crashes or gives up", durable, IDLE)
        return [*self._work(durable, session), crash]

    def _work(self, durable: Durable, session: Session) -> Iterator[Move]:
        epoch, phase, intent, part = session
        me = f"epoch {epoch}"
        match phase:
            case Phase.PLAN:
                yield from self._plan(durable, session)
            case Phase.STAGED:
                landed = session._replace(
                    phase=Phase.MANIFEST if self._broken is Mutant.INTENT_BEFORE_MANIFEST else Phase.COMPLETE
                )
                unsure = session._replace(phase=Phase.INTENT_UNSURE)
                guess = landed if self._broken is Mutant.GUESS_AFTER_TIMEOUT else unsure
                request = Request(Kind.INTENT, intent, 0, epoch)
                yield from self._call(durable, request, f"{me} writes {_intent(intent)}", landed, unsure, guess)
            case Phase.MANIFEST:
                after = self.store.manifest_written(durable, intent)
                yield Move(f"{me} writes its manifest", after, session._replace(phase=Phase.COMPLETE))
            case Phase.COMPLETE:
                head = session._replace(phase=Phase.HEAD)
                request = Request(Kind.COMPLETE, intent, part, epoch)
                done = self._next_object(intent, epoch, part + 1)
                words = f"{me} completes object {part} of batch {intent.batch} ({_span(intent)})"
                yield from self._call(durable, request, words, done, head, head)
            case Phase.HEAD:
                yield self._head(durable, session)
            case Phase.COUNT:
                done = self._next_counter(intent, epoch, part + 1)
                request = Request(Kind.COUNT, intent, part, epoch)
                words = f"{me} counts part {part} of batch {intent.batch}"
                yield from self._call(durable, request, words, done, done, session)
            case Phase.COMMIT:
                unsure = session._replace(phase=Phase.COMMIT_UNSURE)
                done = self._committed(intent, epoch)
                request = Request(Kind.COMMIT, intent, 0, epoch)
                words = f"{me} commits batch {intent.batch}"
                yield from self._call(durable, request, words, done, unsure, unsure)
            case Phase.INTENT_UNSURE | Phase.COMMIT_UNSURE:
                yield self._read(durable, session)
            case Phase.IDLE | Phase.STOPPED:
                return

    def _call(
        self, durable: Durable, request: Request, words: str, done: Session, refused: Session, unsure: Session
    ) -> Iterator[Move]:
        """Answered; its answer lost; never sent; or given up by its sender and still on its way."""
        after, held = self.store.land(durable, request)
        yield Move(f"{words}{'' if held else ': refused'}", after, done if held else refused)
        yield Move(f"{words}{'' if held else ' (refused)'}; the answer is lost", after, unsure)
        yield Move(f"{words}; the request never leaves", durable, unsure)
        yield Move(f"{words}; no answer, the request is on its way", durable, unsure, request)

    def _plan(self, durable: Durable, session: Session) -> Iterator[Move]:
        """Cut, stage and, but for one mutant, write the manifest: none of it can be seen by others yet."""
        epoch, start = session.epoch, session.intent.start
        for size in self.bounds.cuts:
            if start + size <= self.bounds.records:
                intent = Intent(session.intent.batch, start, start + size, epoch)
                first = self._next_object(intent, epoch, 0)
                staged = first if self._broken is Mutant.NO_INTENT else first._replace(phase=Phase.STAGED)
                yield Move(f"epoch {epoch} stages batch {intent.batch} ({_span(intent)})", durable, staged)

    def _head(self, durable: Durable, session: Session) -> Move:
        """HEAD, after a Complete that was refused or not answered; our sha256 says whether the object is ours."""
        epoch, _, intent, part = session
        key, mask = self.store.key(intent, part), self.store.mask(intent, part)
        found = next((stored for stored in durable.objects if stored.key == key and not stored.erased), None)
        if found is not None and self.store.mask(found.intent, found.part) == mask:
            words = f"epoch {epoch} finds object {part} of batch {intent.batch} in place"
            return Move(words, durable, self._next_object(intent, epoch, part + 1))
        if found is None and not self.store.used_up(durable, intent, part):
            words = f"epoch {epoch} finds no object {part} of batch {intent.batch} yet"
            return Move(words, durable, session._replace(phase=Phase.COMPLETE))
        if durable.epoch != epoch:
            return self._lost(durable, session)
        if intent.batch not in {durable.batch, durable.pending.batch}:
            return Move(f"epoch {epoch} reads the item: the batch is committed", durable, self._start(durable))
        words = f"epoch {epoch} can neither find nor complete object {part} of batch {intent.batch}: it stops the shard"
        return Move(words, durable, session._replace(phase=Phase.STOPPED))

    def _read(self, durable: Durable, session: Session) -> Move:
        """A consistent read of the control item after a write that was refused or not answered."""
        if durable.epoch != session.epoch:
            return self._lost(durable, session)
        if self._broken is Mutant.REPLAN_AFTER_TIMEOUT and (restaged := self._restaged(durable, session)):
            return restaged
        known = self._read_commit if session.phase is Phase.COMMIT_UNSURE else self._read_intent
        words, after = known(durable, session)
        return Move(f"epoch {session.epoch} reads the item: {words}", durable, after)

    def _read_intent(self, durable: Durable, session: Session) -> tuple[str, Session]:
        intent, pending = session.intent, durable.pending
        if pending == intent:
            return "its intent stands", self._next_object(intent, session.epoch, 0)
        overlooked = pending == NOTHING or self._broken is Mutant.IGNORE_PENDING_INTENT
        if overlooked and (durable.batch, durable.checkpoint) == (intent.batch, intent.start):
            return "no intent yet", session._replace(phase=Phase.STAGED)
        return "it begins again from there", self._start(durable)

    def _restaged(self, durable: Durable, session: Session) -> Move | None:
        """One mutant's way: the other cut, under the same manifest key, since batch and epoch are the same."""
        intent = session.intent
        undecided = session.phase is Phase.INTENT_UNSURE and durable.pending == NOTHING
        if not undecided or (durable.batch, durable.checkpoint) != (intent.batch, intent.start):
            return None
        for size in self.bounds.cuts:
            other = intent._replace(stop=intent.start + size)
            if other != intent and other.stop <= self.bounds.records:
                after = self.store.manifest_written(self.store.manifest_lost(durable, intent), other)
                staged = self._next_object(other, session.epoch, 0)._replace(phase=Phase.STAGED)
                words = f"epoch {session.epoch} reads the item: no intent yet; it stages {_span(other)} instead"
                return Move(words, after, staged)
        return None

    def _read_commit(self, durable: Durable, session: Session) -> tuple[str, Session]:
        intent, pending = session.intent, durable.pending
        waiting = pending.batch == intent.batch or self._broken is Mutant.NO_INTENT
        if durable.batch == intent.batch and waiting:
            return "not committed yet", session._replace(phase=Phase.COMMIT)
        if durable.batch == intent.batch + 1 and pending == NOTHING:
            return "committed", self._committed(intent, session.epoch)
        return "it begins again from there", self._start(durable)

    def _lost(self, durable: Durable, session: Session) -> Move:
        """The lease is another's: drop the shard, touch nothing."""
        if self._broken is Mutant.ABORT_UPLOADS and session.intent.staged_in == session.epoch:
            after = durable._replace(aborted=tuple(sorted({*durable.aborted, session.intent})))
            return Move(f"epoch {session.epoch} learns that it lost the lease and aborts its uploads", after, IDLE)
        return Move(f"epoch {session.epoch} learns that it lost the lease", durable, IDLE)

    def _start(self, durable: Durable) -> Session:
        """Where the owner begins: with the pending intent, or with a plan from the checkpoint."""
        epoch, pending = durable.epoch, durable.pending
        if pending != NOTHING and self._broken is not Mutant.IGNORE_PENDING_INTENT:
            if pending in durable.unreadable:
                return Session(epoch, Phase.STOPPED, pending, 0)
            if self._broken is Mutant.RANDOM_KEYS:
                pending = pending._replace(staged_in=epoch)
            return self._next_object(pending, epoch, 0)
        stub = Intent(durable.batch, durable.checkpoint, durable.checkpoint, epoch)
        return Session(epoch, Phase.PLAN, stub, 0)

    def _next_object(self, intent: Intent, epoch: int, part: int) -> Session:
        for at in range(part, self.bounds.parts):
            if self.store.mask(intent, at):
                return Session(epoch, Phase.COMPLETE, intent, at)
        if self._broken is Mutant.COMMIT_BEFORE_COUNTERS:
            return Session(epoch, Phase.COMMIT, intent, 0)
        return self._next_counter(intent, epoch, 0)

    def _next_counter(self, intent: Intent, epoch: int, part: int) -> Session:
        for at in range(part, self.bounds.parts):
            if self.store.mask(intent, at):
                return Session(epoch, Phase.COUNT, intent, at)
        if self._broken is Mutant.COMMIT_BEFORE_COUNTERS:
            return self._replan(intent, epoch)
        return Session(epoch, Phase.COMMIT, intent, 0)

    def _committed(self, intent: Intent, epoch: int) -> Session:
        if self._broken is Mutant.COMMIT_BEFORE_COUNTERS:
            return self._next_counter(intent, epoch, 0)
        return self._replan(intent, epoch)

    def _replan(self, intent: Intent, epoch: int) -> Session:
        return Session(epoch, Phase.PLAN, Intent(intent.batch + 1, intent.stop, intent.stop, epoch), 0)


def _span(intent: Intent) -> str:
    if intent.stop - intent.start == 1:
        return f"record {intent.start}"
    return f"records {intent.start}–{intent.stop - 1}"


def _intent(intent: Intent) -> str:
    return f"the intent of batch {intent.batch} ({_span(intent)})"
