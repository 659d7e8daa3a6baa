"""Counters of one table for the contract suites, and what their tests read from them."""

from dataclasses import dataclass
from decimal import Decimal

from headrace.counters.ports import (
    CounterReader,
    CounterWriter,
    CountKey,
    Counts,
    Deltas,
    Entity,
    LedgerReader,
    TopList,
    Window,
)

NOW = 1_775_738_130.0
"""2026-04-09 12:35:30 UTC."""
MINUTE = int(NOW // 60)
HOUR = 60
DAY = 24 * HOUR
LEDGER = {"received": 5, "committed": 3, "dead_lettered": 2, "duplicates": 0, "objects": 1}
THIS_HOUR = int(NOW // 3600)


@dataclass(frozen=True)
class Counters:
    writer: CounterWriter
    reader: CounterReader
    other_writer: CounterWriter
    """What another process would open on the same table."""
    ledger: LedgerReader


def product(product_id: str, minute: int = MINUTE, **counts: object) -> Deltas:
    return {CountKey(Entity.PRODUCT, product_id, minute): Counts(**counts)}  # type: ignore[arg-type]


async def views(reader: CounterReader, window: Window, now: float = NOW, product_id: str = "p1") -> int:
    return (await reader.counts(Entity.PRODUCT, product_id, window, now=now)).views


def values(top: TopList) -> list[tuple[str, Decimal]]:
    return [(item.entity_id, item.value) for item in top.items]
