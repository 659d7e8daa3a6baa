"""Jobs that ask the cloud: handed the right one, and their rows printed as every command prints rows."""

import sys
from collections.abc import Sequence

from cli.cloud import cloud_for
from cli.output import Format, write_rows
from headrace.catalog.results import ResultColumn, Row
from jobs.partitions.cli import build


def _write(columns: Sequence[ResultColumn], rows: Sequence[Row], style: str) -> None:
    write_rows(columns, rows, Format(style), sys.stdout)


partitions = build(cloud_for, _write)
