"""The long form: the protocol in a few million states, and each mutant until it is found out.

Ends with status 1 when the protocol breaks or a mutant does not.
"""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from tests.model.explore import Explorer
from tests.model.found import Counterexample, Outcome
from tests.model.protocol import Protocol
from tests.model.state import MEANING, Bounds, Mutant, Spare

WIDE = Bounds(records=4, takes=4, in_flight=2)
MIDDLE = Bounds(records=3, takes=3)
NARROW = Bounds(records=3, takes=2)
"""Enough to find every mutant out, so that its counterexample comes at once."""


def arguments(argv: list[str] | None = None) -> Namespace:
    """The command line."""
    parser = ArgumentParser(prog="python -m tests.model", description="Explore the delivery protocol, state by state.")
    parser.add_argument("--states", type=int, default=4_000_000, help="stop after so many (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=WIDE.workers)
    parser.add_argument("--records", type=int, default=WIDE.records)
    parser.add_argument("--takes", type=int, default=WIDE.takes, help="how often the lease changes hands")
    parser.add_argument("--in-flight", type=int, default=WIDE.in_flight, help="late requests at a time")
    parser.add_argument("--traces", action="store_true", help="print every counterexample, step by step")
    return parser.parse_args(argv)


@contextmanager
def searched(console: Console, what: str, limit: int) -> Iterator[Callable[[int], None]]:
    """A bar that counts states; the bar's end is the limit, not a promise."""
    columns = (TextColumn("{task.description:<24}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=limit)
        yield lambda states: bar.update(task, completed=states)


def described(bounds: Bounds) -> str:
    """Bounds in a table's cell: what was let happen, and how often."""
    return f"{bounds.workers} workers, {bounds.records} records, {bounds.takes} takes, {bounds.in_flight} late"


def told(console: Console, title: str, found: Counterexample) -> None:
    """A counterexample as numbered steps."""
    console.print(f"\n[bold]{title}[/]: {found.rule}")
    for number, step in enumerate(found.steps, start=1):
        console.print(f"  {number:2}. {step}", highlight=False)
    if found.healing:
        console.print("      from here one worker goes on, without any fault:", highlight=False)
    for number, step in enumerate(found.healing, start=len(found.steps) + 1):
        console.print(f"  {number:2}. {step}", highlight=False)


def whole(console: Console, bounds: Bounds, limit: int) -> bool:
    """The protocol as it is, and without its spare rules; whether nothing broke."""
    table = Table("protocol", "within", "states", "steps", "depth", "worlds", "seconds", "all of them?", "broken")
    runs: list[tuple[str, Spare | None, Bounds]] = [
        ("whole", None, bounds),
        ("whole", None, replace(MIDDLE, workers=3)),
        *((spare.value, spare, MIDDLE) for spare in Spare),
    ]
    outcomes: list[tuple[str, Bounds, Outcome]] = []
    for name, spare, within in runs:
        with searched(console, name, limit) as progress:
            outcomes.append((name, within, Explorer(Protocol(within, spare)).run(limit, progress)))
    for name, within, outcome in outcomes:
        counts = (outcome.states, outcome.transitions, outcome.depth, outcome.worlds)
        table.add_row(
            name,
            described(within),
            *(f"{count:,}" for count in counts),
            f"{outcome.seconds:.0f}",
            "yes" if outcome.complete else "no: bounded",
            "nothing" if outcome.found is None else outcome.found.rule,
        )
    console.print(table)
    for name, _, outcome in outcomes:
        if outcome.found is not None:
            told(console, name, outcome.found)
    return all(outcome.found is None for _, _, outcome in outcomes)


def mutants(console: Console, *, traces: bool) -> bool:
    """Each mutant: the first rule that breaks, and the first harm to rows or counts; whether all were killed."""
    table = Table("mutant", "killed?", "first rule broken", "steps", "states", "harm", "steps", "states")
    stories: list[tuple[str, Counterexample]] = []
    killed = True
    for mutant in Mutant:
        cells: list[str] = []
        for only_harm in (False, True):
            outcome = Explorer(Protocol(NARROW, mutant), only_harm=only_harm).run(sys.maxsize)
            if outcome.found is None:
                killed = False
                cells += ["none", "–", f"{outcome.states:,}"]
            else:
                cells += [outcome.found.rule, str(len(outcome.found)), f"{outcome.states:,}"]
                if only_harm:
                    stories.append((f"{mutant} ({MEANING[mutant]})", outcome.found))
        table.add_row(mutant, "no" if "none" in cells else "yes", *cells)
    console.print(table)
    if traces:
        for title, found in stories:
            told(console, title, found)
    return killed


def main() -> int:
    """Explore, print, and say with the status whether all is as it should be."""
    args = arguments()
    console = Console()
    if not console.is_terminal:
        console.width = 160
    bounds = Bounds(workers=args.workers, records=args.records, takes=args.takes, in_flight=args.in_flight)
    held = whole(console, bounds, args.states)
    return 0 if mutants(console, traces=args.traces) and held else 1


if __name__ == "__main__":
    sys.exit(main())
