"""Hours → partitions of the table, each registered once."""

import asyncio
from collections.abc import Iterable, Sequence

from headrace.catalog.ddl import MAX_PARTITIONS
from headrace.catalog.ports import Catalog
from headrace.clock import Clock
from headrace.errors import HeadraceError, UnavailableError
from headrace.lake.layout import HourPartition
from headrace.telemetry.health import Health
from headrace.telemetry.log import get_logger
from headrace.telemetry.metrics import Metrics

TABLE_SECONDS = 90.0
"""For the few statements that make a table. Shorter than what counts as stalled: an outage is no reason to restart."""

AT_ONCE = 4 * MAX_PARTITIONS
"""Partitions of one call to the catalogue: a few statements side by side, then a sign of life."""


class Registrar:
    """Remembers what is registered, so that a known hour costs no statement.

    Any failure closes it: opening it again asks the catalogue anew, so that a table dropped in the meantime is made
    again.
    """

    def __init__(self, *, catalog: Catalog, metrics: Metrics, health: Health, clock: Clock) -> None:
        self._catalog = catalog
        self._metrics = metrics
        self._health = health
        self._clock = clock
        self._known: set[HourPartition] | None = None
        self._problem: HeadraceError | None = UnavailableError("the table was not looked at yet")

    @property
    def is_open(self) -> bool:
        """Whether the partitions are known."""
        return self._known is not None

    async def open(self) -> None:
        """Make sure that the table is there and has the schema's columns, and learn which partitions it has."""
        try:
            await self._ensure_table()
            self._health.beat()
            self._known = await self._catalog.partitions()
        except HeadraceError as error:
            self._failed(error)
            raise
        self._problem = None

    def close(self) -> None:
        """Forget what is known: someone else may have changed it."""
        self._known = None

    async def register(self, hours: Iterable[HourPartition]) -> set[HourPartition]:
        """Make sure that these hours are registered; those that were not are returned. Wants to be open."""
        assert self._known is not None
        new = sorted(set(hours) - self._known)
        for start in range(0, len(new), AT_ONCE):
            part = new[start : start + AT_ONCE]
            try:
                await self._add(part)
            except HeadraceError as error:
                self._failed(error)
                raise
            self._known.update(part)  # only now is it true
            self._health.beat()
        return set(new)

    async def check(self) -> None:
        """Raise what the catalogue last failed with, unless it has succeeded since."""
        if self._problem is not None:
            raise self._problem

    async def _ensure_table(self) -> None:
        try:
            async with asyncio.timeout(TABLE_SECONDS):
                await self._catalog.ensure_table()
        except TimeoutError:
            raise UnavailableError(f"the table was not there after {TABLE_SECONDS:.0f} s") from None

    async def _add(self, partitions: Sequence[HourPartition]) -> None:
        started = self._clock.monotonic()
        await self._catalog.add_partitions(partitions)
        seconds = self._clock.monotonic() - started
        self._metrics.ddl_seconds.observe(seconds)
        self._metrics.partitions_registered.inc(len(partitions))
        get_logger().info(
            "partitions.registered",
            count=len(partitions),
            first=partitions[0].path,
            last=partitions[-1].path,
            seconds=round(seconds, 3),
        )

    def _failed(self, error: HeadraceError) -> None:
        self._metrics.catalog_failures.labels(type(error).__name__).inc()
        self._problem = error
        self.close()
