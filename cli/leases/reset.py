"""`headrace leases reset`: what moving checkpoints would do, what stands against it, and the moves themselves."""

from collections.abc import Sequence
from dataclasses import dataclass

import typer

from cli.leases.desk import Desk, operator
from cli.leases.listing import short
from headrace.catalog.results import ResultColumn, Row
from headrace.delivery.deliver import Delivery
from headrace.delivery.reset import WORDS, Move, Resetter, consider, refusal
from headrace.errors import NotFoundError
from headrace.leases.model import LATEST, Lease
from headrace.leases.rows import is_sequence
from headrace.stream.ports import AfterSequence, SequenceNumber, ShardId, StreamInfo

COLUMNS = tuple(ResultColumn(name=name, type=kind) for name, kind in (
    ("shard", "varchar"), ("was", "varchar"), ("checkpoint", "varchar"), ("batch_no", "bigint"),
))  # fmt: skip
MAX_DIGITS = 129
"""Of a sequence number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """All moves that were asked for, and why they may not be made. With problems none is."""

    moves: tuple[Move, ...]
    problems: tuple[str, ...]


def check_target(target: str, shards: Sequence[str]) -> None:
    """Raises `typer.BadParameter` for what is no place in these shards."""
    if target in WORDS:
        return
    if not is_sequence(target) or len(target) > MAX_DIGITS:
        raise typer.BadParameter(f"--to {target}: {', '.join(WORDS)} or a sequence number")
    if len(set(shards)) > 1:
        raise typer.BadParameter("a sequence number is of one shard: name that one only")


async def propose(
    desk: Desk, info: StreamInfo, leases: Sequence[Lease], target: str, *, accept_duplicates: bool, accept_loss: bool
) -> Proposal:
    """What moving each lease to `target` would do. Nothing is changed."""
    kept = {shard.shard_id for shard in await desk.stream.shards()}
    kept_from = desk.clock.now() - info.retention_seconds
    moves: list[Move] = []
    problems: list[str] = []
    for lease in leases:
        why = refusal(lease) or await _unreachable(desk, lease, target, kept)
        if why is not None:
            problems.append(f"{lease.shard_id}: {why}")
        elif lease.checkpoint != target:
            move = await consider(desk.store, desk.lineage(info), lease, target, kept_from=kept_from)
            moves.append(move)
            problems += _objections(move, accept_duplicates=accept_duplicates, accept_loss=accept_loss)
    return Proposal(moves=tuple(moves), problems=tuple(problems))


async def _unreachable(desk: Desk, lease: Lease, target: str, kept: set[ShardId]) -> str | None:
    """Why nobody could read on from there; None when one can."""
    if lease.shard_id not in kept:
        return "the stream has this shard no more"
    if lease.ended and target == LATEST:
        return "it has ended: nothing comes after its last record"
    if is_sequence(target):
        try:
            await desk.stream.open(lease.shard_id, AfterSequence(SequenceNumber(target))).read()
        except NotFoundError:
            return f"the stream cannot be read behind {target}: it has forgotten it, or it is of another shard"
    return None


def _objections(move: Move, *, accept_duplicates: bool, accept_loss: bool) -> list[str]:
    shard = move.lease.shard_id
    if move.goes_back and move.lease.batch_no and not accept_duplicates:
        return [f"{shard}: rows would be in the table and in the counts twice; --accept-duplicates says that they may"]
    if move.skips and not accept_loss:
        return [f"{shard}: records that nobody has read would be passed over; --accept-loss says that they may"]
    return []


def described(move: Move) -> str:
    """A move in a line."""
    line = f"{move.lease.shard_id}: {short(move.lease.checkpoint)} → {short(move.target)}"
    if move.goes_back:
        if move.whole and not move.batches:
            return f"{line}: back, but over no batch of ours that the stream still has"
        more = "" if move.whole else ", and those whose manifests are gone,"
        batches = f"{move.batches:,} batch{'' if move.batches == 1 else 'es'}"
        return f"{line}: {batches} with up to {move.records:,} records{more} will be landed again"
    return f"{line}: what lies between is never read" if move.skips else line


async def carry_out(desk: Desk, info: StreamInfo, moves: Sequence[Move]) -> list[Row]:
    """Make the moves; rows of where each shard is now. Raises `ConflictError` for a shard that changed meanwhile."""
    delivery = Delivery(
        desk.store, desk.counters, desk.leases, lineage=desk.lineage(info), metrics=desk.metrics, clock=desk.clock
    )
    resetter = Resetter(delivery, desk.leases, owner=operator(), clock=desk.clock)
    rows: list[Row] = []
    for move in moves:
        moved = await resetter.carry_out(move)
        rows.append((moved.shard_id, move.lease.checkpoint, moved.checkpoint, moved.batch_no))
    return rows
