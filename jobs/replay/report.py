"""What a replay tells: rows for the table, a sentence for the person, and the first lines before and after. Pure."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import astuple, dataclass, field, fields

from rich.text import Text

from headrace.catalog.results import ResultColumn, Row
from headrace.terminal import printable
from jobs.replay.lots import Lot
from jobs.replay.rehearse import Change
from jobs.replay.replayer import Outcome

SHOWN_CHARACTERS = 2000
"""Of a payload."""


@dataclass(slots=True, kw_only=True)
class Sum:
    """All lots of one reason."""

    reason: str
    objects: int = 0
    lines: int = 0
    rows: int = 0
    dead_letters: int = 0
    duplicates: int = 0
    already: int = 0
    """Lines that were replayed before."""


COLUMNS = tuple(
    ResultColumn(name=each.name, type="varchar" if each.name == "reason" else "bigint") for each in fields(Sum)
)


@dataclass(slots=True, kw_only=True)
class Report:
    """What became of all lots, or would."""

    dry_run: bool
    round: int
    sums: dict[str, Sum] = field(default_factory=dict)
    reasons: Counter[str] = field(default_factory=Counter)
    """Of the lines that failed again."""
    problems: list[str] = field(default_factory=list)
    """Objects that somebody has to look at."""

    def add(self, lot: Lot, outcome: Outcome) -> None:
        """One lot more."""
        total = self.sums.setdefault(lot.reason, Sum(reason=lot.reason))
        total.objects += 1
        total.lines += outcome.lines
        total.rows += outcome.rows
        total.dead_letters += outcome.dead_letters
        total.duplicates += outcome.duplicates
        total.already += outcome.already
        self.reasons.update(outcome.reasons)

    def rows(self) -> list[Row]:
        """A row for each reason, by `COLUMNS`."""
        return [astuple(self.sums[reason]) for reason in sorted(self.sums)]

    def total(self, name: str) -> int:
        """The sum of a column."""
        return sum(getattr(each, name) for each in self.sums.values())

    def summary(self) -> str:
        """What was done, or would be, in a line or three."""
        if not self.sums:
            return f"nothing to replay: no dead letters of that reason and time in round {self.round}"
        rows, failed, repeats, already = map(self.total, ("rows", "dead_letters", "duplicates", "already"))
        lines = [f"{_count(rows, 'row')} would land" if self.dry_run else f"{_count(rows, 'row')} landed"]
        if repeats:
            lines[0] += f", {_count(repeats, 'repeat')} dropped"
        if failed:
            why = [f"{count:,} {reason}" for reason, count in self.reasons.most_common()]
            if decided := failed - self.reasons.total():
                why.append(f"{decided:,} as an earlier run had decided")
            lines[0] += (
                f"; {_count(failed, 'line')} {'would fail' if self.dry_run else 'failed'} again ({', '.join(why)})"
            )
        if already:
            lines.append(f"{_count(already, 'line')} replayed before: nothing is done twice")
        if already or (failed and not self.dry_run):
            lines.append(f"what failed again is a dead letter again: --round {self.round + 1} replays it")
        return "\n".join(lines)


def shown(changes: Iterable[Change]) -> list[Text]:
    """The lines of a diff, coloured."""
    lines = []
    for change in changes:
        lines.append(Text(f"{printable(change.place)} · {change.reason} → {change.fate}", style="bold"))
        if change.after == change.before:
            lines.append(Text(f"  {_excerpt(change.before)}"))
        else:
            lines.append(Text(f"- {_excerpt(change.before)}", style="red"))
            lines.append(Text(f"+ {_excerpt(change.after)}", style="green"))
    return lines


def _excerpt(payload: bytes) -> str:
    text = printable(payload[: 4 * SHOWN_CHARACTERS].decode(errors="backslashreplace"))
    return text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "…"


def _count(count: int, what: str) -> str:
    return f"{count:,} {what}" + ("" if count == 1 else "s")
