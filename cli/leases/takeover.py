"""`headrace leases import`: the checkpoints of a KCL application become rows of ours."""

from collections.abc import Sequence

from cli.leases.desk import Desk, operator
from cli.leases.listing import short
from headrace.catalog.results import ResultColumn, Row
from headrace.clock import Clock
from headrace.delivery.deliver import Delivery
from headrace.delivery.recover import Recovery
from headrace.delivery.reset import WORDS, Move, Resetter, place, refusal
from headrace.errors import ConflictError, NotFoundError
from headrace.lake.layout import manifest_prefix
from headrace.leases.kcl import ImportPlan, KclLease, Taken, plan_import, still_run
from headrace.leases.kcl_table import KclTable
from headrace.leases.model import Lease, lease_prefix
from headrace.leases.ports import LeaseStore
from headrace.leases.rows import is_sequence
from headrace.stream import kpl
from headrace.stream.ports import AtSequence, SequenceNumber, StreamInfo

COLUMNS = tuple(ResultColumn(name=name, type="varchar") for name in ("shard", "checkpoint", "result", "note"))


async def watch(table: KclTable, seconds: float, clock: Clock) -> tuple[list[KclLease], list[str]]:
    """The leases of a table, and which workers of KCL's still run.

    A worker that ends gives its leases up; for those that somebody has, only a counter that stands still for `seconds`
    says that nobody is there.
    """
    before = await table.read()
    if not any(lease.owner for lease in before):
        return before, []
    await clock.sleep(seconds)
    after = await table.read()
    return after, still_run(before, after)


async def plan(desk: Desk, found: Sequence[KclLease], *, move: bool) -> tuple[ImportPlan, list[str]]:
    """What becomes of KCL's leases for the stream of the desk, and why it may not be.

    A shard that we have worked on before is only moved on, and only when `move` says so.
    """
    info = await desk.stream.info()
    rows = await desk.leases.list(lease_prefix(info))
    imported = plan_import(found, info, await desk.stream.shards(), rows)
    problems = list(imported.problems)
    for taken in imported.taken:
        why = await _objection(desk, info, taken, move=move)
        problems += [] if why is None else [f"{taken.lease.shard_id}: {why}"]
    return imported, problems


async def _objection(desk: Desk, info: StreamInfo, taken: Taken, *, move: bool) -> str | None:
    lease, there = taken.lease, taken.there
    if there is None:
        if not await _worked_on(desk, info, lease):
            return None
        why = None if move else "it has batches in the bucket, but no row; --move moves it on to KCL's checkpoint"
    elif there.checkpoint == lease.checkpoint:
        return None
    elif move:
        why = refusal(there) or _backward(there, lease)
    else:
        why = f"there is a row, at {there.checkpoint}; --move moves it on to KCL's checkpoint"
    return why or await _unfinished(desk, lease)


def _backward(there: Lease, lease: Lease) -> str | None:
    if place(lease.checkpoint) < place(there.checkpoint):
        return f"we are further than KCL, at {there.checkpoint}"
    return None


async def _worked_on(desk: Desk, info: StreamInfo, lease: Lease) -> bool:
    """Whether the bucket has batches of a shard: a row made anew would be brought up to them."""
    async for _ in desk.store.list(manifest_prefix(desk.lineage(info), lease.shard_id)):
        return True
    return False


async def _unfinished(desk: Desk, lease: Lease) -> str | None:
    """Why no move can come to where KCL is: it puts whole records behind us, and only what somebody has done."""
    if lease.checkpoint in WORDS:
        return "KCL had not begun it, and we had"
    if not is_sequence(lease.checkpoint):
        return None
    try:
        page = await desk.stream.open(lease.shard_id, AtSequence(SequenceNumber(lease.checkpoint))).read()
    except NotFoundError:
        return "the stream cannot be read from KCL's checkpoint: it has forgotten it, or it is of another shard"
    for record in page.records[:1]:
        users = kpl.decode(record.data) if record.sequence_number == lease.checkpoint else None
        if users is not None and lease.sub_sequence + 1 < len(users):
            return f"KCL stopped within an aggregate, behind user record {lease.sub_sequence} of {len(users)}"
    return None


async def take(desk: Desk, imported: ImportPlan) -> list[Row]:
    """Add the rows that are not there and move those that are elsewhere; what became of each.

    Raises `ConflictError` when a transformer takes one meanwhile. May be repeated.
    """
    info = await desk.stream.info()
    lineage = desk.lineage(info)
    delivery = Delivery(desk.store, desk.counters, desk.leases, lineage=lineage, metrics=desk.metrics, clock=desk.clock)
    me = operator()
    resetter = Resetter(delivery, desk.leases, owner=me, clock=desk.clock)
    rows: list[Row] = []
    for taken in imported.taken:
        lease, there = taken.lease, taken.there
        result = "kept"
        if there is None:
            worked_on = await _worked_on(desk, info, lease)
            # At KCL's checkpoint it would look done if we ended here.
            row = Lease(key=lease.key, parents=lease.parents) if worked_on else lease
            await desk.leases.create([row])
            if await desk.leases.get(lease.key) != row:
                raise ConflictError(f"{lease.shard_id}: somebody made a row meanwhile: stop the transformers")
            result = "added"
            there = await _settled(Recovery(delivery, desk.leases), desk.leases, row, me) if worked_on else None
        if there is not None and there.checkpoint != lease.checkpoint:
            await resetter.carry_out(Move(lease=there, target=lease.checkpoint, batches=0, records=0, whole=True))
            result = "moved"
        rows.append((lease.shard_id, lease.checkpoint, result, taken.note))
    return rows


async def _settled(recovery: Recovery, leases: LeaseStore, row: Lease, owner: str) -> Lease:
    """A new row of a shard that was worked on, brought up to its batches and given up again."""
    held = await leases.take(row, owner)
    try:
        held = await recovery.settle(held)
    finally:
        await leases.release(held)
    found = await leases.get(row.key)
    assert found is not None, "rows are never deleted"
    return found


def described(imported: ImportPlan) -> list[str]:
    """An import in lines."""
    lines = [f"{imported.others:,} rows of other streams are left out"] if imported.others else []
    for taken in imported.taken:
        lease, there = taken.lease, taken.there
        line = f"{lease.shard_id}: {short(lease.checkpoint)}"
        if there is not None:
            same = there.checkpoint == lease.checkpoint
            line += ", where our row is" if same else f", our row is at {short(there.checkpoint)}"
        lines.append(line + (f" ({taken.note})" if taken.note else ""))
    return lines
