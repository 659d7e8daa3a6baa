"""`make bench-batch`: bronze to gold, beside DuckDB that only counts the same files and beside the reference.

All in one run on a cloud of its own: the job over everything, over nothing new, and over an hour more; then the
reference's five questions, of gold and of a part of bronze, through the local Athena endpoint.
"""

import argparse
import asyncio
import statistics
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.batch_lake import END, Asked, Ran, count_by_duckdb, generate, headrace, local_lake
from bench.results import RESULTS, Row, add
from headrace.lake.layout import RAW_EVENTS
from jobs.medallion.places import GOLD, SILVER

EVENTS, MINUTES = 25_900_000, 120
AN_HOUR_LATER = "2026-04-09T13:00"
ASKED_TIMES = 5
MIB = 1 << 20
_engine, _wall, _scanned = attrgetter("engine"), attrgetter("wall"), attrgetter("scanned")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """All that was measured. Seconds and bytes."""

    events: int
    minutes: int
    files: int
    duckdb_lines: float
    duckdb_values: float
    """The shorter of two counts each, before and after our run."""
    first: Ran
    again: Ran
    hour: Ran
    hour_events: int
    gold: Sequence[Asked]
    """Of each question the median."""
    bronze: Sequence[Asked]
    bronze_minutes: int
    stored: tuple[int, int, int]
    """Raw, silver and gold after the first run."""

    @property
    def hour_share(self) -> float:
        """Seconds that the hour more would take at the first run's pace."""
        return self.first.seconds * self.hour_events / self.events


async def measure(folder: Path, events: int, minutes: int, bronze_minutes: int, raw: Path | None) -> Found:
    """One measurement. `raw`: a folder with raw events that were made before, of as many events and minutes."""
    told = Console(stderr=True).print
    source = raw or folder / "first"
    if raw is None:
        told(f"made in {generate(source, events, minutes, END)['seconds']} s: {events:,} events")
    hour_events = events * 60 // minutes
    job = ("job", "medallion", "--source", "raw", "--data", str(folder / "none"))
    generate(folder / "hour", hour_events, 60, AN_HOUR_LATER)
    async with local_lake() as lake:
        await lake.upload(source)
        before = [count_by_duckdb(source, values=values) for values in (False, True)]
        first = headrace(*job)
        told(first.said)
        after = [count_by_duckdb(source, values=values) for values in (False, True)]
        sizes = [await lake.bytes_below(f"{prefix}/") for prefix in (RAW_EVENTS, SILVER, GOLD)]
        again = headrace(*job)
        gold = [_median(asked) for asked in (await lake.ask_gold(ASKED_TIMES)).values()]
        bronze = await lake.ask_bronze(_last_minutes(bronze_minutes))
        await lake.upload(folder / "hour")
        return Found(
            events=events,
            minutes=minutes,
            files=sum(1 for _ in source.rglob("*.gz")),
            duckdb_lines=min(before[0], after[0]),
            duckdb_values=min(before[1], after[1]),
            first=first,
            again=again,
            hour=headrace(*job),
            hour_events=hour_events,
            gold=gold,
            bronze=list(bronze.values()),
            bronze_minutes=bronze_minutes,
            stored=(sizes[0], sizes[1], sizes[2]),
        )


def _median(asked: Sequence[Asked]) -> Asked:
    return Asked(
        engine=statistics.median(each.engine for each in asked),
        wall=statistics.median(each.wall for each in asked),
        scanned=asked[0].scanned,
    )


def _last_minutes(count: int) -> str:
    """The part of bronze that is asked: the last minutes of the hour before noon."""
    first = f"{60 - count:02}"
    return f"\"year\" = '2026' AND \"month\" = '04' AND \"day\" = '09' AND \"hour\" = '11' AND \"minute\" >= '{first}'"


def rows_of(found: Found) -> list[Row]:
    """What goes into the file of results."""
    figures: list[tuple[str, str, float, float | None]] = [
        ("batch", "s", found.first.seconds, 90.0),
        ("batch_rate", "events/s", found.events / found.first.seconds, None),
        ("batch_memory", "MiB", found.first.peak / MIB, 4096.0),
        ("batch_of_values", "× DuckDB's count of all values", found.first.seconds / found.duckdb_values, 2.5),
        ("batch_of_lines", "× DuckDB's count of the lines", found.first.seconds / found.duckdb_lines, 2.5),
        ("batch_again", "s", found.again.seconds, 2.0),
        ("batch_hour", "s", found.hour.seconds, found.hour_share + 5),
        ("batch_gold", "ms, slowest question", 1000 * max(asked.engine for asked in found.gold), 50.0),
        ("batch_gold_faster", "× bronze, least", min(map(_times, found.bronze, found.gold)), 16.6),
        ("batch_gold_scanned", "bytes, mean", statistics.mean(asked.scanned for asked in found.gold), None),
        ("batch_gold_stored", "bytes", float(found.stored[2]), None),
    ]
    return [Row(name=name, unit=unit, headrace=ours, limit=limit) for name, unit, ours, limit in figures]


def _times(bronze: Asked, gold: Asked) -> float:
    """How often gold's answer fits into bronze's. The endpoint counts in milliseconds, so gold takes one at least."""
    return bronze.engine / max(gold.engine, 0.001)


def table_of(found: Found) -> Table:
    """Our figures beside the reference's."""
    raw, silver, gold = found.stored
    table = Table(
        title=f"{found.events:,} events of {found.minutes} minutes in {found.files:,} files: bronze → gold",
        caption=f"Bronze was asked over {found.bronze_minutes} minutes of it; the reference asked all of its bronze.",
    )
    for name in ("what", "Headrace", "limit", "reference"):
        table.add_column(name, justify="left" if name == "what" else "right", no_wrap=True)
    rate, hour_limit = found.events / found.first.seconds, found.hour_share + 5
    engine, wall, scanned = (_mean(of, found.gold) for of in (_engine, _wall, _scanned))
    rows = [
        ("bronze → gold", f"{found.first.seconds:.1f} s", "90 s", "about 20 min"),
        ("  rows a second", f"{rate:,.0f}", "", "about 21,600"),
        ("  CPU", f"{found.first.cpu:.1f} s", "", ""),
        ("  most memory of the process", f"{found.first.peak / MIB:,.0f} MiB", "4,096 MiB", ""),
        ("DuckDB, every value read and counted", f"{found.duckdb_values:.1f} s", "", ""),
        ("  ours to that", f"×{found.first.seconds / found.duckdb_values:.2f}", "×2.5", ""),
        ("DuckDB, the lines counted", f"{found.duckdb_lines:.1f} s", "", ""),
        ("  ours to that", f"×{found.first.seconds / found.duckdb_lines:.2f}", "×2.5", ""),
        ("nothing new", f"{found.again.seconds:.1f} s", "2 s", "59 s"),
        (f"an hour more, {found.hour_events:,} events", f"{found.hour.seconds:.1f} s", f"{hour_limit:.1f} s", ""),
        ("  CPU", f"{found.hour.cpu:.1f} s", "", ""),
        ("a question of gold, in the endpoint", f"{1000 * engine:.0f} ms", "50 ms", "660 ms"),
        ("  until the answer is here", f"{1000 * wall:.0f} ms", "", ""),
        ("  the same of bronze", f"{_mean(_engine, found.bronze):.1f} s", "", "10.9 s"),
        ("  faster, least of the five", f"×{min(map(_times, found.bronze, found.gold)):,.0f}", "×16.6", "×16.6"),
        ("scanned for it: gold", f"{scanned / 1000:.1f} kB", "", "2.0 kB"),
        ("  bronze", f"{_mean(_scanned, found.bronze) / 1e6:,.1f} MB", "", "419.7 MB"),
        ("stored: raw", f"{raw / 1e6:,.1f} MB", "", "440 MB"),
        ("  silver", f"{silver / 1e6:,.1f} MB (1/{raw / silver:.1f})", "", ""),
        ("  gold", f"{gold / 1000:,.1f} kB (1/{raw / gold:,.0f})", "", "29 kB (1/14,779)"),
    ]
    for row in rows:
        table.add_row(*row)
    return table


def _mean(of: Callable[[Asked], float], asked: Sequence[Asked]) -> float:
    return statistics.mean(map(of, asked))


def main() -> None:
    """Measure, print the table, write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=EVENTS, help="in the first load (default %(default)s)")
    parser.add_argument("--minutes", type=int, default=MINUTES, help="spread over so many (default %(default)s)")
    parser.add_argument("--bronze-minutes", type=int, default=10, help="asked of bronze (default %(default)s)")
    parser.add_argument("--raw", type=Path, help="a folder with such events, made before with the bulk generator")
    parser.add_argument("--output", type=Path, default=RESULTS, help="where the figures go")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="headrace-batch-") as folder:
        found = asyncio.run(
            measure(Path(folder), arguments.events, arguments.minutes, arguments.bronze_minutes, arguments.raw)
        )
    Console(width=100).print(table_of(found))
    add(arguments.output, rows_of(found))


if __name__ == "__main__":
    main()
