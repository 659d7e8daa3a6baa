"""What the commands of jobs have in common: what they are handed, and how they show that they work."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from enum import StrEnum
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from headrace.catalog.results import ResultColumn, Row
from headrace.settings import load
from headrace.telemetry.cloudwatch import Publisher
from headrace.telemetry.metrics import Metrics

CloudFor = Callable[[Path], AbstractAsyncContextManager[None]]
"""Points the AWS SDK at the cloud that belongs to a data folder."""

Write = Callable[[Sequence[ResultColumn], Sequence[Row], str], None]
"""Prints rows on stdout: columns, rows, style."""


class Style(StrEnum):
    """How the result is printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


def publish(job: str, metrics: Metrics, file: Path | None, *names: str) -> None:
    """Tell how a run went, now that it has ended: into a file for Prometheus, if there is one, and for CloudWatch.

    Nobody scrapes a job. Raises `ConfigError` when the settings are wrong.
    """
    if file is not None:
        metrics.write(file, *names)
    Publisher(job, metrics, namespace=load().cloudwatch_namespace).publish()


class _Speed(ProgressColumn):
    """How many a second, as it is now."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f}/s" if speed else "", style="progress.data.speed")


@contextmanager
def progress(what: str, total: int | None) -> Iterator[Callable[[int], object]]:
    """A bar on stderr while the block runs, if that is a terminal. Yields what moves it on."""
    columns = (SpinnerColumn(), TextColumn(what), BarColumn(), MofNCompleteColumn(), _Speed(), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        yield partial(bar.advance, bar.add_task(what, total=total))
