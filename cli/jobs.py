"""Jobs that ask the cloud: handed the right one, and their rows printed as every command prints rows."""

import sys
from collections.abc import Sequence

from cli.cloud import cloud_for
from cli.output import Format, write_rows
from headrace.catalog.results import ResultColumn, Row
from jobs.partitions import cli as partitions_cli
from jobs.reconcile import cli as reconcile_cli
from jobs.replay import cli as replay_cli


def _write(columns: Sequence[ResultColumn], rows: Sequence[Row], style: str) -> None:
    write_rows(columns, rows, Format(style), sys.stdout)


partitions = partitions_cli.build(cloud_for, _write)
reconcile = reconcile_cli.build(cloud_for, _write)
replay = replay_cli.build(cloud_for, _write)
