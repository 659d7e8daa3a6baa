"""What a long run adds up to, and how it is shown."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from rich.console import Console, Group
from rich.table import Table

from tests.simulation.cases import Case, Outcome
from tests.simulation.faults import Fault
from tests.simulation.hunting import Hunt
from tests.simulation.rules import ALL, Rule


@dataclass(slots=True)
class Tally:
    """Outcomes, added up. Small, since it travels between processes."""

    runs: Counter[str] = field(default_factory=Counter)
    """By kind."""
    seconds: Counter[str] = field(default_factory=Counter)
    """Of CPU, by kind."""
    calls: int = 0
    injected: Counter[tuple[Fault, str]] = field(default_factory=Counter)
    checked: Counter[Rule] = field(default_factory=Counter)
    broken: list[tuple[Case, str]] = field(default_factory=list)
    hunts: list[Hunt] = field(default_factory=list)

    def add(self, kind: str, outcome: Outcome) -> None:
        """One run more."""
        self.runs[kind] += 1
        self.seconds[kind] += outcome.seconds  # type: ignore[assignment]
        self.calls += len(outcome.calls)
        self.injected.update(outcome.injected)
        self.checked.update(outcome.checked)
        if outcome.violation is not None:
            self.broken.append((outcome.case, str(outcome.violation)))

    def merge(self, other: "Tally") -> None:
        """All of another tally."""
        self.runs.update(other.runs)
        self.seconds.update(other.seconds)
        self.calls += other.calls
        self.injected.update(other.injected)
        self.checked.update(other.checked)
        self.broken += other.broken
        self.hunts += other.hunts

    @property
    def survivors(self) -> list[Hunt]:
        """Mutants that nobody found out."""
        return [hunt for hunt in self.hunts if hunt.killed is None]


def show(tally: Tally, elapsed: float, console: Console) -> None:
    """The tables; last what is wrong, one line each."""
    console.print(Group(_faults(tally), _rules(tally), _mutants(tally.hunts), _runs(tally, elapsed)))
    for case, what in tally.broken:
        console.print(f"[red]{case.reproduce}[/]", soft_wrap=True, highlight=False)
        console.print(f"    {what[:400]}", soft_wrap=True, markup=False, highlight=False)
    for hunt in tally.survivors:
        console.print(f"[red]the mutant {hunt.mutant} survived {hunt.tried} runs[/]", soft_wrap=True)


def _faults(tally: Tally) -> Table:
    """Calls down, faults across."""
    kinds = [fault for fault in Fault if any(kind is fault for kind, _ in tally.injected)]
    table = Table(title="Faults injected, by port call", title_justify="left", padding=(0, 1, 0, 0), box=None)
    table.add_column("")
    for kind in kinds:
        table.add_column(kind.replace("_", " "), justify="right", overflow="fold")
    names = sorted({name for _, name in tally.injected})
    for name in names:
        table.add_row(name, *(_number(tally.injected[kind, name]) for kind in kinds))
    totals = [sum(tally.injected[kind, name] for name in names) for kind in kinds]
    table.add_section()
    table.add_row("all", *map(_number, totals))
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
