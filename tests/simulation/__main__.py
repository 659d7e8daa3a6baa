"""`python -m tests.simulation --seeds N`: every fault at every call, pairs, N seeds and the hunt for every mutant.

One run with its trace: `--seed 17`, or `--scenario steal` with `--fault 42:late` (twice for a pair) or without; each
also with a `--mutant`. `--machine 3` is one block of Hypothesis' walks; what breaks something is made short.
`--fleet join` is one fleet of many workers.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from functools import partial
from itertools import islice

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from headrace.runtime import spare_the_collector
from tests.simulation.cases import Case, run
from tests.simulation.faults import Fault
from tests.simulation.hunting import PAIRS, hunt, pairs, rude, singles
from tests.simulation.machine import explore
from tests.simulation.manners import Manner
from tests.simulation.mutants import Mutant
from tests.simulation.report import Tally, show, show_fleets
from tests.simulation.rules import ALL, HARM, Rule
from tests.simulation.scale import SIZES, Size, measure
from tests.simulation.scenarios import Scenario

CHUNK = 10
EXAMPLES = 25
SEEDS_PER_BLOCK = 50
"""For so many seeds a block of that many examples of the state machine."""
MOST_SHOWN = 20
"""Violations after which a long run gives up."""

Job = Callable[[], Tally]


def main() -> int:
    """0 when no rule was broken and no mutant survived; 1 otherwise."""
    options = _parse(sys.argv[1:])
    faults = tuple(options.fault)
    if options.seed is not None or options.scenario is not None:
        scenario = options.scenario or Scenario.STEAL
        case = Case(seed=options.seed, scenario=scenario, faults=faults, mutant=options.mutant, manner=options.manner)
        return _one(case, quiet=options.quiet)
    if options.fleet is not None:
        return _fleet(options.fleet, tracing=options.trace)
    if options.machine is not None:
        return _walks(options.machine)
    began = time.monotonic()
    tally = _all(list(_jobs(options.seeds, options.pairs)))
    show(tally, time.monotonic() - began, Console())
    return 1 if tally.failed else 0


def _one(case: Case, *, quiet: bool) -> int:
    console = Console()
    outcome = run(case, tracing=not quiet)
    for line in outcome.trace:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    found = str(outcome.violation) if outcome.violation else f"nothing is wrong after {len(outcome.calls)} calls"
    console.print(found, markup=False, highlight=False, soft_wrap=True)
    return 0 if outcome.violation is None else 1


def _fleet(name: str, *, tracing: bool) -> int:
    console = Console()
    figures, trace = measure(SIZES[name], tracing=tracing)
    for line in trace:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    show_fleets([figures], console)
    return 1 if figures.problems else 0


def _walks(block: int) -> int:
    broken = _explore(block).broken
    found = broken[0][1] if broken else "nothing is wrong"
    Console().print(found, markup=False, highlight=False, soft_wrap=True)
    return 1 if broken else 0


def _jobs(seeds: int, pair_count: int) -> Iterator[tuple[int, Job]]:
    """(runs, work), the longest first."""
    for size in sorted(SIZES.values(), key=lambda size: -size.shards * size.workers):
        yield 1, partial(_measure, size)
    for mutant in Mutant:
        for enforced in (ALL, HARM):
            yield 1, partial(_hunt, mutant, enforced)
    kinds = {f"{scenario}, each fault at each call": singles(scenario) for scenario in Scenario}
    kinds |= {f"{scenario}, pairs of faults": pairs(scenario, pair_count) for scenario in Scenario}
    kinds |= {f"{manner} hand-over": rude(manner, seeds // 10) for manner in Manner}
    kinds |= {"seeds": [Case(seed=seed) for seed in range(seeds)]}
    for kind, cases in kinds.items():
        left = iter(cases)
        while chunk := list(islice(left, CHUNK)):
            yield len(chunk), partial(_play, kind, chunk)

    for block in range(1 + seeds // SEEDS_PER_BLOCK):
        yield EXAMPLES, partial(_explore, block)


def _play(kind: str, cases: Sequence[Case]) -> Tally:
    tally = Tally()
    for case in cases:
        tally.add(kind, run(case))
    return tally


def _explore(block: int) -> Tally:
    tally = Tally()
    began = time.process_time()
    worlds, broken = explore(block, EXAMPLES)
    seconds = (time.process_time() - began) / len(worlds)
    for world in worlds:
        tally.count("state machine", seconds, len(world.calls), world.injected, world.judge.checked)
    if broken is not None:
        tally.broken.append((f'make simulate ARGS="--machine {block}"', broken))
    return tally


def _measure(size: Size) -> Tally:
    figures, _ = measure(size)
    return Tally(fleets=[figures])


def _hunt(mutant: Mutant, enforced: frozenset[Rule]) -> Tally:
    return Tally(hunts=[hunt(mutant, enforced=enforced)])


def _all(jobs: Sequence[tuple[int, Job]]) -> Tally:
    """One process per core."""
    tally = Tally()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    with (
        ProcessPoolExecutor(cores, initializer=spare_the_collector) as pool,
        Progress(*columns, console=Console(stderr=True)) as progress,
    ):
        bar = progress.add_task("simulating", total=sum(runs for runs, _ in jobs))
        waiting: dict[Future[Tally], int] = {pool.submit(job): runs for runs, job in jobs}
        while waiting:
            done, _ = wait(waiting, return_when=FIRST_COMPLETED)
            for future in done:
                tally.merge(future.result())
                progress.update(bar, advance=waiting.pop(future), description=_description(tally))
            if len(tally.broken) >= MOST_SHOWN:
                pool.shutdown(cancel_futures=True)
                break
    return tally


def _description(tally: Tally) -> str:
    return f"[red]{len(tally.broken)} violations" if tally.broken else "simulating"


def _parse(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=300, help="how many")
    parser.add_argument("--pairs", type=int, default=PAIRS, help="how many pairs of faults in each scenario")
    parser.add_argument("--seed", type=int, help="one seed")
    parser.add_argument("--machine", type=int, help="one block of the state machine's walks")
    parser.add_argument("--fleet", choices=list(SIZES), help="one fleet of many workers")
    parser.add_argument("--fault", type=_fault, action="append", default=[], metavar="CALL:FAULT", help="in it")
    parser.add_argument("--scenario", type=Scenario, choices=list(Scenario), help="one scenario")
    parser.add_argument("--mutant", type=Mutant, choices=list(Mutant), help="with one rule taken out")
    parser.add_argument("--manner", type=Manner, choices=list(Manner), help="with another way to hand shards over")
    parser.add_argument("--quiet", action="store_true", help="no trace")
    parser.add_argument("--trace", action="store_true", help="of a fleet")
    return parser.parse_args(words)


def _fault(text: str) -> tuple[int, Fault]:
    index, _, name = text.partition(":")
    return int(index), Fault(name)


if __name__ == "__main__":
    sys.exit(main())
