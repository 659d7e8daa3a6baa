"""The protocol with one rule taken out, by replacing one part of it. The simulator must notice each of them."""

import itertools
from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from headrace.counters.memory import MemoryCounters
from headrace.counters.ports import Deltas
from headrace.delivery.apply import make_visible
from headrace.delivery.deliver import Delivery
from headrace.delivery.manifest import Manifest, encode, intent_of, manifest_key
from headrace.errors import RetryableError
from headrace.lake.memory import MemoryStore
from headrace.lake.ports import Completion, StagedObject
from headrace.leases import changes
from headrace.leases.memory import MemoryLeaseStore
from headrace.leases.model import Intent, Lease, Ledger
from tests.simulation.build import Build

if TYPE_CHECKING:
    from tests.simulation.worker import Worker


class Mutant(StrEnum):
    """Names as in tests/model."""

    NO_INTENT = "no_intent"
    RANDOM_KEYS = "random_keys"
    COMMIT_BEFORE_COUNTERS = "commit_before_counters"
    INTENT_WITHOUT_CHECKPOINT = "intent_without_checkpoint"
    UNCONDITIONAL_COUNTERS = "unconditional_counters"
    IGNORE_PENDING_INTENT = "ignore_pending_intent"
    COMMIT_WITHOUT_INTENT = "commit_without_intent"
    COUNTERS_BY_EQUALITY = "counters_by_equality"
    INTENT_BEFORE_MANIFEST = "intent_before_manifest"
    GUESS_AFTER_TIMEOUT = "guess_after_timeout"


def _is_holder(row: Lease, held: Lease) -> bool:
    return (row.owner, row.epoch) == (held.owner, held.epoch)


class NoIntentLeases(MemoryLeaseStore):
    """The decision is never written down; the commit is on the checkpoint, as in consumers without an intent."""

    async def declare(self, held: Lease, intent: Intent) -> Lease:
        """Nothing is written."""
        return replace(held, intent=intent)

    async def commit(
        self, held: Lease, *, checkpoint: str, ledger: Ledger, complete_through: float, caught_up_at: float | None
    ) -> Lease:
        """Without an intent in the row."""
        change = changes.commit(
            held, changes.pending(held),
            checkpoint=checkpoint, ledger=ledger, complete_through=complete_through, caught_up_at=caught_up_at,
        )  # fmt: skip
        here = (held.batch_no, held.checkpoint)
        return self._make(
            replace(change, possible=lambda row: _is_holder(row, held) and (row.batch_no, row.checkpoint) == here)
        )


class RestagingStore:
    """A worker that finishes another's batch stages the objects again, under keys of its own."""

    _numbers = itertools.count()

    def __init__(self, inner: MemoryStore, worker: "Worker") -> None:
        self._inner = inner
        self._worker = worker
        self._mine: dict[str, StagedObject] = {}
        """By upload id: what is to be completed in its place."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def stage(self, key: str, body: bytes) -> StagedObject:
        """Remember that it is ours."""
        staged = await self._inner.stage(key, body)
        self._mine[staged.upload_id] = staged
        return staged

    async def complete(self, staged: StagedObject) -> Completion:
        """Of somebody else's upload the bytes, in an object of our own."""
        if staged.upload_id not in self._mine:
            upload = self._inner.uploads.get(staged.upload_id)
            body = b"".join(upload.parts) if upload else self._inner.objects[staged.key]
            folder, _, name = staged.key.rpartition("/")
            key = f"{folder}/{next(self._numbers)}{name}"
            self._mine[staged.upload_id] = await self._inner.stage(key, body)
        await self._inner.complete(self._mine[staged.upload_id])
        return Completion.DONE


class CommitFirst(Delivery):
    """The commit comes before the counters."""

    async def finish(
        self, manifest: Manifest, lease: Lease, *, caught_up_at: float | None, counts: Deltas | None = None
    ) -> Lease:
        """Objects, commit, and only then the counters."""
        await make_visible(self.store, (each.staged for each in manifest.objects))
        committed = await self._leases.commit(
            lease,
            checkpoint=manifest.end,
            ledger=manifest.totals,
            complete_through=manifest.last_arrival,
            caught_up_at=caught_up_at,
        )
        await self.apply(manifest, counts)
        return committed


class IntentFirst(Delivery):
    """The intent is written before its manifest."""

    async def declare(self, manifest: Manifest, lease: Lease) -> Lease:
        """4 in the wrong order."""
        body = encode(manifest)
        decided = await self._leases.declare(lease, intent_of(manifest, body))
        await self.store.put(manifest_key(manifest), body)
        return decided


class Guessing(Delivery):
    """An intent without an answer is taken for written."""

    async def declare(self, manifest: Manifest, lease: Lease) -> Lease:
        """Ask nobody."""
        try:
            return await super().declare(manifest, lease)
        except RetryableError:
            return replace(lease, intent=intent_of(manifest, encode(manifest)))


class IntentAnywhere(MemoryLeaseStore):
    """The intent has no condition on checkpoint and batch_no."""

    async def declare(self, held: Lease, intent: Intent) -> Lease:
        """While the owner is the same."""
        change = changes.declare(held, intent)
        return self._make(replace(change, possible=lambda row: _is_holder(row, held) and row.intent is None))


class AlwaysAdding(MemoryCounters):
    """Counters are added to without a condition."""

    async def apply(self, origin: str, batch_no: int, deltas: Deltas, *, now: float, ledger: Mapping[str, int]) -> None:
        """As if no batch had been here before."""
        kept: list[Any] = [*self._items.values(), *self._lists.values()]
        before = [each.last for each in kept]
        for each in kept:
            each.last = -1
        await super().apply(origin, batch_no, deltas, now=now, ledger=ledger)
        for each, last in zip(kept, before, strict=True):
            each.last = max(each.last, last)


class AddingUnlessLast(MemoryCounters):
    """Counters ask for last <> b instead of last < b."""

    async def apply(self, origin: str, batch_no: int, deltas: Deltas, *, now: float, ledger: Mapping[str, int]) -> None:
        """As if only this very batch could have been here before."""
        others: list[Any] = [*self._items.values(), *self._lists.values()]
        others = [each for each in others if each.last != batch_no]
        before = [each.last for each in others]
        for each in others:
            each.last = -1
        await super().apply(origin, batch_no, deltas, now=now, ledger=ledger)
        for each, last in zip(others, before, strict=True):
            each.last = last if each.last < 0 else each.last


class IntentOverwritten(MemoryLeaseStore):
    """A new owner overlooks the pending intent, and replaces it by its own."""

    async def take(self, seen: Lease, owner: str) -> Lease:
        """The row without its intent."""
        return replace(await super().take(seen, owner), intent=None)

    async def declare(self, held: Lease, intent: Intent) -> Lease:
        """Whatever is pending."""
        here = (held.batch_no, held.checkpoint)
        change = changes.declare(held, intent)
        return self._make(
            replace(change, possible=lambda row: _is_holder(row, held) and (row.batch_no, row.checkpoint) == here)
        )


class CommitAnything(MemoryLeaseStore):
    """The commit has no condition on the pending intent."""

    async def commit(
        self, held: Lease, *, checkpoint: str, ledger: Ledger, complete_through: float, caught_up_at: float | None
    ) -> Lease:
        """While the owner is the same."""
        change = changes.commit(
            held, changes.pending(held),
            checkpoint=checkpoint, ledger=ledger, complete_through=complete_through, caught_up_at=caught_up_at,
        )  # fmt: skip
        return self._make(replace(change, possible=lambda row: _is_holder(row, held)))


MUTANTS: Mapping[Mutant, Build] = {
    Mutant.NO_INTENT: Build(leases=NoIntentLeases),
    Mutant.RANDOM_KEYS: Build(store_of=RestagingStore),
    Mutant.COMMIT_BEFORE_COUNTERS: Build(delivery=CommitFirst),
    Mutant.INTENT_WITHOUT_CHECKPOINT: Build(leases=IntentAnywhere),
    Mutant.UNCONDITIONAL_COUNTERS: Build(counters=AlwaysAdding),
    Mutant.IGNORE_PENDING_INTENT: Build(leases=IntentOverwritten),
    Mutant.COMMIT_WITHOUT_INTENT: Build(leases=CommitAnything),
    Mutant.COUNTERS_BY_EQUALITY: Build(counters=AddingUnlessLast),
    Mutant.INTENT_BEFORE_MANIFEST: Build(delivery=IntentFirst),
    Mutant.GUESS_AFTER_TIMEOUT: Build(delivery=Guessing),
}
