"""What `headrace up` shows once everything answers."""

import os
import shlex
import shutil
import sys
from pathlib import Path

from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from cli import ports
from cli.folder import Cloud

SAMPLE_SQL = "SELECT event_type, count(*) AS n FROM events GROUP BY 1 ORDER BY 2 DESC"


def show(console: Console, cloud: Cloud, data: Path, default_data: Path, seconds: float) -> None:
    """The addresses, and two commands that can be pasted into another shell."""
    stats = cloud.services[ports.STATS]
    places = Table.grid(padding=(0, 2))
    for name, address in (
        ("Stats API", f"{stats}/v1/"),
        ("its documentation", f"{stats}/docs"),
        ("Athena", cloud.athena),
        ("S3, Kinesis, DynamoDB …", cloud.aws),
    ):
        places.add_row(Text(name, style="bold"), Text(address, style="cyan"))
    label = "Metrics"
    for name, address in cloud.services.items():
        if name != ports.SIMULATOR:
            places.add_row(Text(label, style="bold"), Text.assemble((f"{address}/metrics", "cyan"), f"  {name}"))
            label = ""
    places.add_row(Text("Data folder", style="bold"), Text(str(data)))
    title = f"[bold]Headrace is ready[/bold] after {seconds:.1f} s"
    console.print(Panel(places, title=title, border_style="green", expand=False))

    where = "" if data == default_data else f" --data {shlex.quote(str(data))}"
    for line, style in (
        ("In another shell:", "bold"),
        (f'  {_command()} query{where} "{SAMPLE_SQL}"', "green"),
        (f"  curl '{stats}/v1/products/top?metric=views&window=1h&limit=5'", "green"),
        ("Ctrl-C drains and stops; the next run on the same folder goes on from here.", "dim"),
    ):
        console.print(Text(line, style=style), soft_wrap=True)


def _command() -> str:
    """How this shell can call us: by name, or by the path that was used."""
    found, used = shutil.which("headrace"), Path(sys.argv[0])
    if not used.exists() or (found is not None and Path(found).samefile(used)):
        return "headrace"
    return os.path.relpath(used)
