"""Jobs that ask the cloud: handed the right one, and their rows printed as every command prints rows.

`medallion`, `partitions`, `reconcile` and `replay` are made when they are asked for: their imports take a while.
"""

import importlib
import sys
from collections.abc import Sequence

import typer

from cli.cloud import cloud_for
from cli.output import Format, write_rows
from headrace.catalog.results import ResultColumn, Row


def _write(columns: Sequence[ResultColumn], rows: Sequence[Row], style: str) -> None:
    write_rows(columns, rows, Format(style), sys.stdout)


def __getattr__(name: str) -> typer.Typer:
    try:
        job = importlib.import_module(f"jobs.{name}.cli")
    except ModuleNotFoundError as error:
        raise AttributeError(name) from error
    command: typer.Typer = job.build(cloud_for, _write)
    return command
