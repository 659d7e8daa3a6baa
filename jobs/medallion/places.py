"""Keys of the medallion job in the bucket."""

import re

SILVER = "silver/events"
GOLD = "gold"
RUNS = "_runs/medallion"

_MANIFEST = re.compile(rf"{RUNS}/(\d{{10,}})\.json", re.ASCII)


def work_area(run: int, attempt: str) -> str:
    """`_runs/medallion/0000000007-1f2e/`: where a try of a run writes. Below no table's location, so nobody sees it."""
    return f"{RUNS}/{run:010}-{attempt}/"


def work_silver(run: int, attempt: str, day: str, n: int) -> str:
    """The n-th file of a day, in the work area."""
    return f"{work_area(run, attempt)}silver/event_date={day}/{n:05}.parquet"


def work_gold(run: int, attempt: str, table: str) -> str:
    """A table of gold, in the work area."""
    return f"{work_area(run, attempt)}gold/{table}.parquet"


def work_dead_letters(run: int, attempt: str, n: int) -> str:
    """The n-th object of dead letters, in the work area."""
    return f"{work_area(run, attempt)}dead_letters/{n:05}.jsonl.gz"


def work_areas(run: int) -> str:
    """What the keys in the work areas of all tries of a run start with."""
    return f"{RUNS}/{run:010}-"


def work_document(run: int, attempt: str, name: str) -> str:
    """What a step hands to the next ones, in the work area: `plan.json`."""
    return f"{work_area(run, attempt)}{name}.json"


def manifest(run: int) -> str:
    """`_runs/medallion/0000000007.json`: exists once the run is decided."""
    return f"{RUNS}/{run:010}.json"


def run_of_manifest(key: str) -> int | None:
    """The reverse of `manifest`; None for what is no manifest's key."""
    match = _MANIFEST.fullmatch(key)
    return None if match is None else int(match[1])


def silver_folder(day: str, run: int) -> str:
    """`silver/events/event_date=2026-04-09/run=0000000007/`: a day as a run published it."""
    return f"{SILVER}/event_date={day}/run={run:010}/"


def gold_folder(table: str, run: int) -> str:
    """`gold/{table}/run=0000000007/`: a table as a run published it."""
    return f"{GOLD}/{table}/run={run:010}/"


def silver_file(day: str, run: int, n: int) -> str:
    """The n-th file of a day as a run published it."""
    return f"{silver_folder(day, run)}{n:05}.parquet"


def gold_file(table: str, run: int) -> str:
    """The one object of a table as a run published it."""
    return f"{gold_folder(table, run)}{table}.parquet"
