"""What the benches found, as rows in `bench/results.json`."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

RESULTS = Path(__file__).parent / "results.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the result; None where there is nothing to compare with. Lower is better, unless it is a rate."""

    name: str
    unit: str
    headrace: float
    per_record: float | None = None
    async_kinesis: float | None = None
    limit: float | None = None


def add(path: Path, rows: Sequence[Row]) -> None:
    """Put rows into the file in place of those of the same names; the others stay."""
    names = {row.name for row in rows}
    there = json.loads(path.read_text()) if path.is_file() else []
    kept = [row for row in there if row["name"] not in names]
    path.write_text(json.dumps(kept + [_rounded(row) for row in rows], indent=2, ensure_ascii=False) + "\n")


def _rounded(row: Row) -> dict[str, object]:
    return {name: round(value, 2) if isinstance(value, float) else value for name, value in asdict(row).items()}
