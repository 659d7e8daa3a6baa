"""Small runs of the bulk generator, into memory."""

import asyncio
import gzip
from datetime import UTC, datetime

from headrace.clock import SystemClock
from headrace.lake.memory import MemoryStore
from jobs.simulate.bulk.places import Place
from jobs.simulate.bulk.plan import Flaws, Plan
from jobs.simulate.bulk.run import Summary, run

NOON = datetime(2026, 4, 9, 12, tzinfo=UTC)
EVENTS = 12_000
CLEAN = Flaws()
FLAWS = Flaws(bad_lines=0.02, duplicates=0.04, late=0.05)


def plan_of(events: int = EVENTS, minutes: int = 5, files: int = 1, flaws: Flaws = CLEAN) -> Plan:
    return Plan(seed=7, events=events, end=NOON, minutes=minutes, files_per_minute=files, flaws=flaws)


def make(plan: Plan, place: Place, workers: int = 2) -> Summary:
    return asyncio.run(run(plan, place, clock=SystemClock(), on_events=lambda _: None, workers=workers))


def made(plan: Plan, workers: int = 2) -> tuple[MemoryStore, Summary]:
    store = MemoryStore()
    return store, make(plan, store, workers)


def lines_of(store: MemoryStore) -> list[bytes]:
    return [line for key in sorted(store.objects) for line in gzip.decompress(store.objects[key]).splitlines()]
