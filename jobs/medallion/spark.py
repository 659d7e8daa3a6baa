"""The engine on Spark: what a job of Glue 5 or EMR Serverless runs.

The SQL is DuckDB's. Around it the executors' Python reads and writes the files, with the code that does so on one
machine: no listing that hides names, no columns taken from paths, no JSON as Spark sees it.
"""

import argparse
import asyncio
import contextlib
import os
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from msgspec.structs import replace
from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from headrace.clock import Clock, SystemClock
from headrace.errors import UnavailableError
from headrace.settings import Settings, load
from jobs.medallion import app, report
from jobs.medallion.listing import Scope
from jobs.medallion.model import GoldReport, Plan, SilverReport, Source, Tables
from jobs.medallion.on_spark.gold import make_gold
from jobs.medallion.on_spark.place import Place
from jobs.medallion.on_spark.silver import SilverStep
from jobs.medallion.plan import Request
from jobs.medallion.ports import CancelledRunError, OnRows
from jobs.medallion.steps import Step

_CONFIGURATION = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "false",
    "spark.sql.execution.arrow.maxRecordsPerBatch": "50000",
}
"""What our queries and tasks rely on, however the platform sets up its sessions."""


class SparkEngine:
    """`jobs.medallion.ports.Engine` on a Spark session. One call at a time.

    `root` is where keys are: `s3a://bucket`, or a folder that all executors see; `scratch` is the driver's. The session
    is one of its own beside the one given: neither views nor configuration of others meet ours.
    """

    def __init__(
        self, spark: SparkSession, root: str, scratch: Path, settings: Settings, *, clock: Clock | None = None
    ) -> None:
        self._spark = spark.newSession()
        for name, value in _CONFIGURATION.items():
            self._spark.conf.set(name, value)
        self._place = Place(root, settings.region)
        self._scratch = scratch
        self._settings = settings
        self._clock = clock or SystemClock()
        self._stopped = threading.Event()
        self._group = f"medallion-{id(self)}"

    def silver(self, plan: Plan, before: Tables, on_rows: OnRows) -> SilverReport:
        """Read what the plan says and make the days that change."""
        began = self._clock.monotonic()
        with self._work(f"silver of run {plan.run}") as scratch:
            step = SilverStep(self._spark, self._place, self._settings, plan, before, self._check)
            report = step.run(scratch, on_rows)
        return replace(report, seconds=self._clock.monotonic() - began)

    def gold(self, plan: Plan, silver: SilverReport, before: Tables, on_rows: OnRows) -> GoldReport:
        """Make all tables of gold from the days of `before` as changed by `silver`."""
        began = self._clock.monotonic()
        with self._work(f"gold of run {plan.run}") as scratch:
            report = make_gold(self._spark, self._place, plan, silver, before, scratch, self._check, on_rows)
        return replace(report, seconds=self._clock.monotonic() - began)

    def stop(self) -> None:
        """Have the call that is under way in another thread end soon, with `CancelledRunError`."""
        self._stopped.set()
        self._spark.sparkContext.cancelJobGroup(self._group)

    def _check(self) -> None:
        if self._stopped.is_set():
            raise CancelledRunError("the run was asked to stop")

    @contextlib.contextmanager
    def _work(self, what: str) -> Iterator[Path]:
        """A folder of the driver's, while this thread's jobs are known by one name."""
        self._check()
        self._spark.sparkContext.setJobGroup(self._group, what, interruptOnCancel=True)
        try:
            with tempfile.TemporaryDirectory(dir=self._scratch) as scratch:
                yield Path(scratch)
        except (Py4JError, PySparkException) as error:
            self._check()
            raise UnavailableError(f"Spark: {error}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a job was started with."""

    request: Request
    steps: tuple[Step, ...]
    wait: bool
    environment: Mapping[str, str]
    """Settings beside those of the process."""


def main() -> None:
    """The whole job, as `headrace job medallion --engine spark` runs it."""
    asked = asked_for(sys.argv[1:])
    os.environ.update(asked.environment)
    outcome = asyncio.run(
        app.run(load(), asked.request, asked.steps, engine=app.EngineName.SPARK, wait=asked.wait, on_wait=_tell)
    )
    for line in (*report.warnings(outcome), *report.summary(outcome)):
        _tell(line)


def asked_for(arguments: Sequence[str]) -> Asked:
    """Arguments as the command line has them; those that platforms add are passed over. Exits when one is wrong."""
    given, _ = _parser().parse_known_args(arguments)
    return Asked(
        request=Request(
            sources=(given.source,) if given.source else (),
            scope=Scope(first=given.first, last=given.last),
            full=given.full,
            forget_vanished=given.forget_vanished,
        ),
        steps=(given.step,) if given.step else tuple(Step),
        wait=given.wait,
        environment=given.environment,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Bring new files of bronze to silver and gold.", allow_abbrev=False)
    parser.add_argument("--step", type=Step, choices=list(Step))
    parser.add_argument("--source", type=Source, choices=list(Source))
    parser.add_argument("--from", dest="first", type=date.fromisoformat, metavar="DATE")
    parser.add_argument("--to", dest="last", type=date.fromisoformat, metavar="DATE")
    for flag in ("--full", "--forget-vanished", "--wait"):
        # Glue knows no arguments without a value.
        parser.add_argument(flag, nargs="?", const=True, default=False, type=_is_true, metavar="true")
    parser.add_argument(
        "--environment", type=_assignments, default={}, metavar="NAME=VALUE,…", help="Settings, where none can be set."
    )
    return parser


def _is_true(text: str) -> bool:
    if text not in {"true", "false"}:
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
    return text == "true"


def _assignments(text: str) -> dict[str, str]:
    pairs = [assignment.partition("=") for assignment in text.split(",")]
    if not all(name and equals for name, equals, _ in pairs):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE,…")
    return {name: value for name, _, value in pairs}


def _tell(line: str) -> None:
    print(line, file=sys.stderr)  # noqa: T201 - what the platform keeps as the job's log


if __name__ == "__main__":
    main()
