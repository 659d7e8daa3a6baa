"""What the steps ask of an engine: DuckDB in this process, or Spark."""

from collections.abc import Callable
from typing import Protocol

from headrace.errors import HeadraceError
from jobs.medallion.model import GoldReport, Plan, SilverReport, Tables

OnRows = Callable[[int], object]
"""Hears, from any thread, how many rows more have been dealt with."""


class CancelledRunError(HeadraceError):
    """The run was asked to stop while an engine worked."""


class Engine(Protocol):
    """Makes silver and gold. Both calls block, may be repeated, and write below the plan's work area only.

    The same sources make the same rows, in whatever portions and order they were read. Raise `HeadraceError` when a
    place cannot be read or written; what is wrong with a file is in the report and no error.
    """

    def silver(self, plan: Plan, before: Tables, on_rows: OnRows) -> SilverReport:
        """Read what the plan says and make the days that change. `before` is what the run builds on."""
        ...

    def gold(self, plan: Plan, silver: SilverReport, before: Tables, on_rows: OnRows) -> GoldReport:
        """Make all tables of gold from the days of `before` as changed by `silver`."""
        ...

    def stop(self) -> None:
        """Have the call that is under way in another thread end soon, with `CancelledRunError`."""
        ...
