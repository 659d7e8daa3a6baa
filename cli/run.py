"""`headrace run`: one service in the foreground, as containers run it."""

import runpy
from enum import StrEnum
from typing import Annotated

import typer


class Service(StrEnum):
    """What can be run."""

    API_CONSUMER = "api_consumer"
    TRANSFORMER = "transformer"
    PARTITIONER = "partitioner"
    STATS_API = "stats_api"


def run(service: Annotated[Service, typer.Argument(help="Which one.")]) -> None:
    """Run one service in the foreground, configured by its environment; SIGTERM drains it.

    Example: [bold]API_URL=https://shop.example/events headrace run api_consumer[/bold]
    """
    runpy.run_module(f"services.{service}", run_name="__main__", alter_sys=True)
