"""The commands of `headrace leases`, as they are typed."""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from cli.cloud import DEFAULT_DATA
from cli.leases import handover, listing, release, reset, takeover
from cli.leases.desk import confirmed, desk_at, kcl_table, pick, tell
from cli.output import Format, write_rows
from headrace.catalog.results import ResultColumn, Row
from headrace.leases.kcl import Keys
from headrace.leases.model import lease_prefix

FAILED = 1

app = typer.Typer(
    name="leases",
    rich_markup_mode="rich",
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Data = Annotated[Path, typer.Option("--data", metavar="DIR", help="Where the local cloud keeps its state.")]
Style = Annotated[Format, typer.Option("--format", help="How the result is printed.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Change nothing; say what would be done.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
All = Annotated[bool, typer.Option("--all", help="Also rows of other streams, of earlier ones and of replays.")]
Shards = Annotated[list[str] | None, typer.Argument(metavar="SHARD…", help="Shards of the stream.")]


@app.callback(invoke_without_command=True)
def leases(
    context: typer.Context, *, everything: All = False, style: Style = Format.TABLE, data: Data = DEFAULT_DATA
) -> None:
    """Show who works on which shard and how far it is; give leases up, move checkpoints, come from KCL and go back.

    Example: [bold]headrace leases[/bold]

    Example: [bold]headrace leases reset shardId-000000000003 --to TRIM_HORIZON --dry-run[/bold]
    """
    if context.invoked_subcommand is None:
        show(everything=everything, style=style, data=data)
    elif (everything, style, data) != (False, Format.TABLE, DEFAULT_DATA):
        raise typer.BadParameter(f"options go behind the command: headrace leases {context.invoked_subcommand} …")


@app.command(name="list")
def show(*, everything: All = False, style: Style = Format.TABLE, data: Data = DEFAULT_DATA) -> None:
    """Per shard: state, owner, checkpoint, how far behind it is complete, and the batch that is pending.

    State: owned, free, waiting (for its parents), ended, or halted (its pending batch needs somebody to look).

    Example: [bold]headrace leases list --format json[/bold]
    """
    rows = asyncio.run(_list(data, everything=everything))
    columns, shown = listing.for_terminal(rows) if style is Format.TABLE else (listing.COLUMNS, rows)
    write_rows(columns, shown, style, sys.stdout)


async def _list(data: Path, *, everything: bool) -> list[Row]:
    async with desk_at(data) as desk:
        prefix = "" if everything else lease_prefix(await desk.stream.info())
        found = await desk.leases.list(prefix)
        return listing.rows_of(found, await listing.pending_of(desk.store, found), desk.clock.now())


@app.command(name="release")
def release_command(
    shards: Shards = None,
    *,
    owner: Annotated[str | None, typer.Option(metavar="NAME", help="All that this worker has.")] = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    style: Style = Format.TABLE,
    data: Data = DEFAULT_DATA,
) -> None:
    """Take leases from their owner, so that another worker takes them at once. Nothing is lost, or landed twice.

    Example: [bold]headrace leases release shardId-000000000003[/bold]

    Example: [bold]headrace leases release --owner host-7:1c0ffee5 --yes[/bold]
    """
    if (owner is None) == (not shards):
        raise typer.BadParameter("give either shards or --owner")
    released = asyncio.run(_release(data, shards, owner, dry_run=dry_run, yes=yes))
    _write(release.COLUMNS, [one.row for one in released], style)
    if not all(one.done for one in released):
        raise typer.Exit(FAILED)


async def _release(
    data: Path, shards: Sequence[str] | None, owner: str | None, *, dry_run: bool, yes: bool
) -> list[release.Released]:
    async with desk_at(data) as desk:
        found = await desk.leases.list(lease_prefix(await desk.stream.info()))
        shown = release.chosen(pick(found, shards) if shards else found, owner)
        if not shown:
            tell(["nobody has any of them"])
            return []
        tell([f"{lease.shard_id}: {lease.owner}, epoch {lease.epoch}" for lease in shown])
        if not confirmed("Release them?", yes=yes, dry_run=dry_run):
            return []
        return await release.release(desk.leases, shown)


@app.command(name="reset")
def reset_command(
    shards: Annotated[list[str], typer.Argument(metavar="SHARD…", help="Shards of the stream.")],
    *,
    target: Annotated[str, typer.Option("--to", metavar="PLACE", help="TRIM_HORIZON, LATEST or a sequence number.")],
    accept_duplicates: Annotated[
        bool, typer.Option("--accept-duplicates", help="Rows may be landed and counted again.")
    ] = False,
    accept_loss: Annotated[bool, typer.Option("--accept-loss", help="Records may be passed over unread.")] = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    style: Style = Format.TABLE,
    data: Data = DEFAULT_DATA,
) -> None:
    """Move checkpoints: the next owner of a shard reads on behind the place that is named.

    A shard that somebody owns is left alone, and one with a pending batch. Batch numbers go on, whatever is moved.

    Example: [bold]headrace leases reset shardId-000000000003 --to TRIM_HORIZON --accept-duplicates[/bold]
    """
    reset.check_target(target, shards)
    rows = asyncio.run(
        _reset(
            data, shards, target,
            accept_duplicates=accept_duplicates, accept_loss=accept_loss, dry_run=dry_run, yes=yes,
        )
    )  # fmt: skip
    _write(reset.COLUMNS, rows, style)


async def _reset(
    data: Path,
    shards: Sequence[str],
    target: str,
    *,
    accept_duplicates: bool,
    accept_loss: bool,
    dry_run: bool,
    yes: bool,
) -> list[Row]:
    async with desk_at(data) as desk:
        info = await desk.stream.info()
        found = pick(await desk.leases.list(lease_prefix(info)), shards)
        proposal = await reset.propose(
            desk, info, found, target, accept_duplicates=accept_duplicates, accept_loss=accept_loss
        )
        tell([reset.described(move) for move in proposal.moves])
        _stop_for(proposal.problems)
        if not proposal.moves:
            tell(["they are there already"])
            return []
        if not confirmed("Move them?", yes=yes, dry_run=dry_run):
            return []
        return await reset.carry_out(desk, info, proposal.moves)


@app.command(name="import")
def import_command(
    *,
    table: Annotated[str, typer.Option("--from-table", metavar="NAME", help="The KCL application's lease table.")],
    watch: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="How long to watch leases that a KCL worker has.")
    ] = 30.0,
    move: Annotated[
        bool, typer.Option("--move", help="Also shards that we had before KCL: on to its checkpoints, never back.")
    ] = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    style: Style = Format.TABLE,
    data: Data = DEFAULT_DATA,
) -> None:
    """Go on where a KCL application stopped: its checkpoints become rows of ours. Its table is only read.

    Stop the application first, and start no transformer before this. docs/kcl.md has it step by step.

    Example: [bold]headrace leases import --from-table my-kcl-application --dry-run[/bold]
    """
    _write(takeover.COLUMNS, asyncio.run(_import(data, table, watch, move=move, dry_run=dry_run, yes=yes)), style)


async def _import(data: Path, name: str, watch: float, *, move: bool, dry_run: bool, yes: bool) -> list[Row]:
    async with desk_at(data) as desk, kcl_table(name) as table:
        found, running = await takeover.watch(table, watch, desk.clock)
        planned, problems = await takeover.plan(desk, found, move=move)
        tell(takeover.described(planned))
        _stop_for([*(f"{worker} still works: stop the KCL application first" for worker in running), *problems])
        if not confirmed("Take these over?", yes=yes, dry_run=dry_run):
            return []
        return await takeover.take(desk, planned)


@app.command(name="export")
def export_command(
    *,
    table: Annotated[str, typer.Option("--to-table", metavar="NAME", help="The KCL application's lease table.")],
    keys: Annotated[Keys, typer.Option(help="How the application keys its rows: one stream, or several.")],
    dry_run: DryRun = False,
    yes: Yes = False,
    style: Style = Format.TABLE,
    data: Data = DEFAULT_DATA,
) -> None:
    """Let a KCL application go on where we stopped: our checkpoints become rows of its table.

    Stop the transformers first, and start the application after this. docs/kcl.md has it step by step.

    Example: [bold]headrace leases export --to-table my-kcl-application --keys single --dry-run[/bold]
    """
    _write(takeover.COLUMNS, asyncio.run(_export(data, table, keys, dry_run=dry_run, yes=yes)), style)


async def _export(data: Path, name: str, keys: Keys, *, dry_run: bool, yes: bool) -> list[Row]:
    async with desk_at(data) as desk, kcl_table(name) as table:
        found = await desk.leases.list(lease_prefix(await desk.stream.info()))
        exported, problems = handover.plan_export(found, await desk.stream.shards(), await table.read(), keys)
        tell([f"{one.lease.shard_id}: {listing.short(one.lease.checkpoint)}" for one in exported])
        _stop_for(problems)
        if not confirmed("Hand these over?", yes=yes, dry_run=dry_run):
            return []
        return await handover.hand_over(table, exported)


def _stop_for(problems: Sequence[str]) -> None:
    if problems:
        tell(problems, "red")
        raise typer.Exit(FAILED)


def _write(columns: Sequence[ResultColumn], rows: Sequence[Row], style: Format) -> None:
    if rows or style is not Format.TABLE:
        write_rows(columns, rows, style, sys.stdout)
