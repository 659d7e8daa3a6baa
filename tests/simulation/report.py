"""What a long run adds up to, and how it is shown."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from rich.console import Console, Group
from rich.table import Table

from tests.simulation.cases import Outcome
from tests.simulation.faults import Fault
from tests.simulation.hunting import Hunt
from tests.simulation.rules import ALL, Rule
from tests.simulation.scale import SIZES, Figures

MOST_CHARACTERS = 1000
"""Of what is told about a violation."""


@dataclass(slots=True)
class Tally:
    """Outcomes, added up. Small, since it travels between processes."""

    runs: Counter[str] = field(default_factory=Counter)
    """By kind."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Of CPU, by kind."""
    calls: int = 0
    injected: Counter[tuple[Fault, str]] = field(default_factory=Counter)
    checked: Counter[Rule] = field(default_factory=Counter)
    broken: list[tuple[str, str]] = field(default_factory=list)
    """The line that repeats it, and what was wrong."""
    hunts: list[Hunt] = field(default_factory=list)
    fleets: list[Figures] = field(default_factory=list)

    def add(self, kind: str, outcome: Outcome) -> None:
        """One run more."""
        self.count(kind, outcome.seconds, len(outcome.calls), outcome.injected, outcome.checked)
        if outcome.violation is not None:
            self.broken.append((outcome.case.reproduce, str(outcome.violation)))

    def count(
        self, kind: str, seconds: float, calls: int, injected: Counter[tuple[Fault, str]], checked: Counter[Rule]
    ) -> None:
        """What a run did, whatever it found."""
        self.runs[kind] += 1
        self.seconds[kind] = self.seconds.get(kind, 0.0) + seconds
        self.calls += calls
        self.injected.update(injected)
        self.checked.update(checked)

    def merge(self, other: "Tally") -> None:
        """All of another tally."""
        self.runs.update(other.runs)
        for kind, seconds in other.seconds.items():
            self.seconds[kind] = self.seconds.get(kind, 0.0) + seconds
        self.calls += other.calls
        self.injected.update(other.injected)
        self.checked.update(other.checked)
        self.broken += other.broken
        self.hunts += other.hunts
        self.fleets += other.fleets

    @property
    def failed(self) -> bool:
        """Whether anything is wrong."""
        return bool(self.broken or self.survivors or any(figures.problems for figures in self.fleets))

    @property
    def survivors(self) -> list[Hunt]:
        """Mutants that nobody found out."""
        return [hunt for hunt in self.hunts if hunt.killed is None]


def show(tally: Tally, elapsed: float, console: Console) -> None:
    """The tables; last what is wrong, one line each."""
    console.print(Group(_faults(tally), _rules(tally), _mutants(tally.hunts), _runs(tally, elapsed)))
    show_fleets(tally.fleets, console)
    for line, what in tally.broken:
        console.print(f"[red]{line}[/]", soft_wrap=True, highlight=False)
        console.print(f"    {what[:MOST_CHARACTERS]}", soft_wrap=True, markup=False, highlight=False)
    for hunt in tally.survivors:
        console.print(f"[red]the mutant {hunt.mutant} survived {hunt.tried} runs[/]", soft_wrap=True)


def show_fleets(fleets: Sequence[Figures], console: Console) -> None:
    """What fleets of many workers cost, case by case, and what is too much of it."""
    table = Table(
        title="Fleets: virtual seconds; calls to balance, and a minute at rest", title_justify="left", box=None
    )
    table.add_column("", no_wrap=True)
    for column in ("fleet", "after", "moves", "calls", "list", "renew", "allowed", "pause", "killed"):
        table.add_column(column, justify="right")
    for each in sorted(fleets, key=lambda figures: list(SIZES).index(figures.size.name)):
        lists, renewals = (each.resting.get(method, 0.0) for method in ("list", "renew"))
        table.add_row(
            each.size.title, f"{each.workers}×{each.shards}", f"{each.balanced:.1f}", f"{each.moves} ({each.needed})",
            f"{each.asked}", f"{lists:.0f}", f"{renewals:.0f}", f"{each.allowed:.0f}",
            _seconds(each.pause), _seconds(each.outage),
        )  # fmt: skip
    console.print(table)
    for figures in fleets:
        for problem in figures.problems:
            console.print(f'[red]make simulate ARGS="--fleet {figures.size.name}"[/]', soft_wrap=True, highlight=False)
            console.print(f"    {problem[:MOST_CHARACTERS]}", soft_wrap=True, markup=False, highlight=False)


def _seconds(value: float) -> str:
    return f"{value:.2f}" if value else "·"


def _faults(tally: Tally) -> Table:
    """Calls down, kinds of faults across: of the worker's neighbours, and of the worker itself."""
    table = Table(title="Faults injected", title_justify="left", box=None)
    columns = {
        "refused": (Fault.FAIL, Fault.THROTTLE, Fault.DENY),
        "answer lost": (Fault.LOSE, Fault.TEAR),
        "late": (Fault.LATE, Fault.OVERDUE, Fault.HANG),
        "stopped": (Fault.PAUSE, Fault.STALL),
        "killed": (Fault.CRASH, Fault.CRASH_AFTER, Fault.CRASH_LATE, Fault.CRASH_OVERDUE),
        "clock": (Fault.BACK, Fault.AHEAD),
        "SIGTERM": (Fault.TERM, Fault.DEPLOY),
    }
    table.add_column("call")
    for title in columns:
        table.add_column(title, justify="right")
    names = sorted({name for _, name in tally.injected})
    for name in names:
        table.add_row(name, *(_number(sum(tally.injected[kind, name] for kind in kinds)) for kinds in columns.values()))
    table.add_section()
    totals = (sum(tally.injected[kind, name] for kind in kinds for name in names) for kinds in columns.values())
    table.add_row(f"{tally.injected.total():,} in all", *map(_number, totals))
    return table


def _rules(tally: Tally) -> Table:
    table = Table(title="Checked", title_justify="left", box=None)
    table.add_column("")
    table.add_column("rule")
    table.add_column("times", justify="right")
    for rule in Rule:
        table.add_row(rule.value, rule.name.lower().replace("_", " "), f"{tally.checked[rule]:,}")
    return table


def _mutants(hunts: Sequence[Hunt]) -> Table:
    table = Table(title="Mutants", title_justify="left", box=None)
    for column in ("mutant", "with every rule", "by its harm alone"):
        table.add_column(column, overflow="fold")
    for mutant in sorted({hunt.mutant for hunt in hunts}):
        by_rule, by_harm = (_kill(hunts, mutant, every=every) for every in (True, False))
        table.add_row(mutant, by_rule, by_harm)
    return table


def _kill(hunts: Iterable[Hunt], mutant: str, *, every: bool) -> str:
    for hunt in hunts:
        if hunt.mutant == mutant and (hunt.enforced == ALL) is every:
            if hunt.killed is None or hunt.killed.violation is None:
                return f"survived {hunt.tried} runs"
            faults = hunt.killed.case.arguments.partition(" --mutant")[0]
            return f"{hunt.killed.violation.rule}, run {hunt.tried}: {faults}"
    return ""


def _runs(tally: Tally, elapsed: float) -> Table:
    table = Table(title=f"Runs, {elapsed:.0f} s in all", title_justify="left", box=None)
    table.add_column("")
    table.add_column("runs", justify="right")
    table.add_column("runs/s of CPU", justify="right")
    for kind, count in tally.runs.items():
        table.add_row(kind, f"{count:,}", f"{count / max(0.001, tally.seconds[kind]):.1f}")
    table.add_row("port calls", f"{tally.calls:,}")
    table.add_row("violations", f"{len(tally.broken):,}")
    return table


def _number(count: int) -> str:
    return f"{count:,}" if count else "·"
