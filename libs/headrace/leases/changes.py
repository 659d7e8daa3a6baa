"""What each write of a lease row asks of the row, and how to tell that it was made.

Pure, so that all stores decide alike. A write that is not answered may still land later, after all that follows here;
its condition has to refuse it then, or it has to be without effect:

| write | what refuses it when it comes late |
|---|---|
| take, release | the counter, or the owner, has moved |
| renew | nothing while we hold the row: one renewal more. With the mark `leaving`: who makes it never takes it back |
| claim | owner, epoch or claim has moved; else the owner hands over, and the lease is free for whoever wants it then |
| declare, end | an intent, a new checkpoint or a new batch number |
| commit | the intent is gone, or that of a later batch |
| adopt | the generation has grown |
| remove | the row was made anew: it has not ended |
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from headrace.errors import ConflictError, LeaseLostError
from headrace.leases.model import SHARD_END, WHOLE, Intent, Lease, LeaseKey, Ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One compare-and-set of one row."""

    key: LeaseKey
    possible: Callable[[Lease], bool]
    """Whether the condition holds for a row."""
    after: Callable[[Lease], Lease]
    """The row with the change made."""
    made: Callable[[Lease], bool]
    """Whether a row shows our change, by an earlier attempt whose answer was lost."""
    refusal: type[ConflictError] = LeaseLostError

    def refused(self, row: Lease | None) -> ConflictError:
        """The error for a row that shows neither our change nor the condition."""
        return self.refusal(f"{self.key} has changed: {row}")


def take(seen: Lease, owner: str) -> Change:
    """Own the row."""
    return Change(
        key=seen.key,
        possible=lambda row: (row.owner, row.counter) == (seen.owner, seen.counter),
        after=lambda row: replace(
            row, owner=owner, counter=row.counter + 1, epoch=row.epoch + 1, claim=None, leaving=False
        ),
        made=lambda row: (row.owner, row.epoch) == (owner, seen.epoch + 1),
        refusal=ConflictError,
    )


def claim(seen: Lease, claimant: str) -> Change:
    """Ask the owner for the row. The counter stays: it is the owner's sign of life."""
    return Change(
        key=seen.key,
        possible=lambda row: (
            row.owner is not None and (row.owner, row.epoch, row.claim) == (seen.owner, seen.epoch, seen.claim)
        ),
        after=lambda row: replace(row, claim=claimant),
        made=lambda row: (row.owner, row.epoch, row.claim) == (seen.owner, seen.epoch, claimant),
        refusal=ConflictError,
    )


def renew(held: Lease, caught_up_at: float | None, *, leaving: bool = False) -> Change:
    """Show that the owner lives."""
    return Change(
        key=held.key,
        possible=lambda row: _is_holder(row, held),
        after=lambda row: replace(
            row,
            counter=row.counter + 1,
            caught_up_at=_latest(row, caught_up_at),
            leaving=leaving or row.leaving,
        ),
        made=lambda row: _is_holder(row, held) and row.counter > held.counter and (row.leaving or not leaving),
    )


def release(held: Lease) -> Change:
    """Own the row no longer."""
    return Change(
        key=held.key,
        possible=lambda row: _is_holder(row, held),
        after=lambda row: replace(row, owner=None, counter=row.counter + 1, claim=None, leaving=False),
        made=lambda row: not _is_holder(row, held),
    )


def declare(held: Lease, intent: Intent) -> Change:
    """Decide on a batch."""
    return Change(
        key=held.key,
        possible=lambda row: _is_untouched(row, held) and row.intent is None,
        after=lambda row: replace(row, intent=intent),
        made=lambda row: _is_untouched(row, held) and row.intent == intent,
    )


def commit(
    held: Lease, intent: Intent, *, checkpoint: str, ledger: Ledger, complete_through: float, caught_up_at: float | None
) -> Change:
    """Put the batch of `intent` behind us."""
    done = (intent.batch_no + 1, checkpoint, intent.manifest)
    return Change(
        key=held.key,
        possible=lambda row: (
            _is_holder(row, held) and row.intent is not None and row.intent.batch_no == intent.batch_no
        ),
        after=lambda row: replace(
            row,
            checkpoint=checkpoint,
            sub_sequence=WHOLE,
            batch_no=intent.batch_no + 1,
            intent=None,
            manifest=intent.manifest,
            ledger=ledger,
            complete_through=complete_through,
            caught_up_at=_latest(row, caught_up_at),
        ),
        made=lambda row: _is_holder(row, held) and (row.batch_no, row.checkpoint, row.manifest) == done,
    )


def end(held: Lease, caught_up_at: float | None) -> Change:
    """Be done with the shard."""
    return Change(
        key=held.key,
        possible=lambda row: _is_untouched(row, held) and row.intent is None,
        after=lambda row: replace(
            row, checkpoint=SHARD_END, sub_sequence=WHOLE, caught_up_at=_latest(row, caught_up_at)
        ),
        made=lambda row: _is_holder(row, held) and row.ended,
    )


def adopt(held: Lease, found: Lease) -> Change:
    """Bring an old row up to date."""
    generation = held.generation + 1
    return Change(
        key=held.key,
        possible=lambda row: _is_untouched(row, held) and row.generation == held.generation,
        after=lambda row: replace(
            row,
            checkpoint=found.checkpoint,
            sub_sequence=WHOLE,
            batch_no=found.batch_no,
            intent=None,
            manifest=found.manifest,
            ledger=found.ledger,
            complete_through=found.complete_through,
            generation=generation,
        ),
        made=lambda row: _is_holder(row, held) and row.generation == generation,
    )


def removable(row: Lease, seen: Lease) -> bool:
    """Whether the row of an ended shard may go: nothing is pending, and nobody has touched it since."""
    return row.ended and row.intent is None and row.counter == seen.counter


def pending(held: Lease) -> Intent:
    """The intent of the batch that `held` is to commit. Raises `LeaseLostError` when it has none."""
    if held.intent is None or held.intent.batch_no != held.batch_no:
        raise LeaseLostError(f"{held.key} has no intent of batch {held.batch_no}: {held.intent}")
    return held.intent


def _is_holder(row: Lease, held: Lease) -> bool:
    return (row.owner, row.epoch) == (held.owner, held.epoch)


def _is_untouched(row: Lease, held: Lease) -> bool:
    return _is_holder(row, held) and (row.batch_no, row.checkpoint) == (held.batch_no, held.checkpoint)


def _latest(row: Lease, caught_up_at: float | None) -> float | None:
    return row.caught_up_at if caught_up_at is None else caught_up_at
