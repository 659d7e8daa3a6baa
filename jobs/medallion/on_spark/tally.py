"""What was read, counted by file and day. Pure."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date

from jobs.medallion.model import FileReport, ToRead


@dataclass(slots=True)
class Tally:
    """Counts by the number of a file in the plan."""

    rows: dict[int, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    """By day."""
    rejected: Counter[int] = field(default_factory=Counter)
    errors: dict[int, str] = field(default_factory=dict)
    """Why a file cannot be read: whatever else is counted of it does not matter."""

    @classmethod
    def of(cls, counted: Iterable[tuple[int, date | None, bool, str | None, int]]) -> "Tally":
        """From groups of rows: file, day, whether they are dead letters, error, how many."""
        tally = cls()
        for file, day, is_letter, error, count in counted:
            if error is not None:
                tally.errors[file] = error
            elif is_letter:
                tally.rejected[file] += count
            elif day is not None:
                tally.rows[file][day.isoformat()] += count
        return tally

    def report(self, number: int, asked: ToRead) -> FileReport:
        """What became of a file."""
        if number in self.errors:
            return FileReport(file=asked.file, rows=0, rejected=0, days=(), error=self.errors[number])
        rows = self.rows[number]
        return FileReport(file=asked.file, rows=rows.total(), rejected=self.rejected[number], days=tuple(sorted(rows)))

    def counting(self, number: int, asked: ToRead) -> dict[str, int]:
        """Rows of a file that count, by day."""
        if number in self.errors:
            return {}
        rows = self.rows[number]
        return {day: rows[day] for day in rows if asked.only_days is None or day in asked.only_days}
