"""A bucket, a state table and a catalogue in memory, calls on which can fail, and an engine of lines of JSON."""

import asyncio
import copy
import functools
import inspect
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from enum import StrEnum, auto
from typing import Any

import pyarrow.parquet as pq

from headrace.catalog.memory_tables import MemoryTables
from headrace.clock import ManualClock
from headrace.errors import UnavailableError
from headrace.lake.memory import MemoryStore
from headrace.state.memory import MemoryStateStore
from jobs.medallion import places
from jobs.medallion.clean import Cleaner
from jobs.medallion.lock import KEY as LOCK
from jobs.medallion.lock import Lock
from jobs.medallion.model import (
    FileReport,
    GoldReport,
    GoldTable,
    Plan,
    SilverDay,
    SilverFile,
    SilverReport,
    Source,
    SourceFile,
    Tables,
)
from jobs.medallion.plan import Request
from jobs.medallion.ports import CancelledRunError, Engine, OnRows
from jobs.medallion.publish import HEAD, Publisher
from jobs.medallion.register import Lakehouse
from jobs.medallion.run import Medallion, Outcome
from jobs.medallion.steps import Step

RAW = Request(sources=(Source.RAW,))
LOCK_SECONDS = 60.0
GRACE = 3600.0
HOUSE = Lakehouse(bucket="b", database="d", events="events")
GOLD = ("daily_user_activity", "product_funnel")
DECIDES = f"store.complete {places.RUNS}"


class KilledError(Exception):
    """The process is gone: whatever it calls from now on does not happen either."""


class Fault(StrEnum):
    """What happens to one call."""

    KILLED = auto()
    """Done, and then the process is gone. Before it was done is after the call before."""
    REFUSED = auto()
    """Not done, and said so."""
    ANSWER_LOST = auto()
    """Done, and nobody knows."""


async def _go_on(_number: int) -> None: ...


@dataclass(slots=True, kw_only=True)
class Calls:
    """The calls of one process on the ports. Their numbers count from 1."""

    fault: Fault | None = None
    at: int = 0
    seen: Callable[[], object] = lambda: None
    """Looks at the world after every call that may have changed it."""
    turn: Callable[[int], Awaitable[object]] = _go_on
    """Whoever else is to work before a call, but for those of the engine, which come from a thread."""
    names: list[str] = field(default_factory=list)
    dead: bool = False

    def enter(self, name: str) -> int:
        if self.dead:
            raise KilledError(name)
        self.names.append(name)
        number = len(self.names)
        if number == self.at and self.fault is Fault.REFUSED:
            raise UnavailableError(f"call {number}, {name}, was refused")
        return number

    def leave(self, number: int) -> None:
        name = self.names[number - 1]
        if changes(name):
            self.seen()
        if number == self.at and self.fault is Fault.KILLED:
            self.dead = True
            raise KilledError(f"after call {number}, {name}")
        if number == self.at and self.fault is Fault.ANSWER_LOST:
            raise UnavailableError(f"the answer to call {number}, {name}, was lost")


def changes(call: str) -> bool:
    """Whether a call may change the world."""
    method = call.partition(" ")[0].partition(".")[2]
    return method not in {"get", "head", "list", "read", "find", "partitions"}


class Watched:
    """A port whose calls go through `Calls`."""

    def __init__(self, name: str, target: Any, calls: Calls) -> None:
        self._name, self._target, self._calls = name, target, calls

    def __getattr__(self, method: str) -> Any:
        function = getattr(self._target, method)
        if inspect.isasyncgenfunction(function):
            return functools.partial(self._listed, function, method)
        return functools.partial(
            self._called if inspect.iscoroutinefunction(function) else self._done, function, method
        )

    async def _called(self, function: Any, method: str, *args: Any, **named: Any) -> Any:
        await self._calls.turn(len(self._calls.names) + 1)
        number = self._calls.enter(self._told(method, args))
        answer = await function(*args, **named)
        self._calls.leave(number)
        return answer

    async def _listed(self, function: Any, method: str, *args: Any, **named: Any) -> AsyncIterator[Any]:
        await self._calls.turn(len(self._calls.names) + 1)
        number = self._calls.enter(self._told(method, args))
        async for each in function(*args, **named):
            yield each
        self._calls.leave(number)

    def _done(self, function: Any, method: str, *args: Any) -> Any:
        number = self._calls.enter(self._told(method, args))
        answer = function(*args)
        self._calls.leave(number)
        return answer

    def _told(self, method: str, args: tuple[Any, ...]) -> str:
        return f"{self._name}.{method} {getattr(args[0], 'key', args[0]) if args else ''}"


class StillClock(ManualClock):
    """Stands still, and whoever sleeps is not woken: nothing is renewed while a run takes no time."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.Event().wait()


class Files:
    """The engine's own way into the bucket, from its thread."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    def read(self, key: str) -> bytes:
        return self._store.objects[key]

    def write(self, key: str, body: bytes) -> None:
        self._store._show(key, body, f"e{len(body)}")


class LinesEngine:
    """Silver and gold of `{"id", "day", "v"}`, a line each; of copies of an id within a day the least line counts."""

    def __init__(self, files: Any) -> None:
        self._files = files
        self.stopped = False

    def silver(self, plan: Plan, before: Tables, on_rows: OnRows) -> SilverReport:
        new: dict[str, list[str]] = {}
        reports, dead, repeats = [], [], 0
        for each in plan.read:
            if self.stopped:
                raise CancelledRunError("stopped")
            good, bad = self._lines(each.file)
            kept = [line for line in good if each.only_days is None or _day(line) in each.only_days]
            for line in kept:
                new.setdefault(_day(line), []).append(line)
            dead += bad
            reports.append(
                FileReport(file=each.file, rows=len(good), rejected=len(bad), days=tuple(sorted({*map(_day, good)})))
            )
            on_rows(len(good))
        days = []
        there = {day.day: day for day in before.days}
        for day in sorted({*new, *plan.rebuild}):
            kept = there[day].files if day in there and day not in plan.rebuild else ()
            files, repeated = self._day(plan, day, kept, new.get(day, []))
            repeats += repeated
            days.append(SilverDay(day=day, files=files))
        letters = []
        if dead:
            letters = [places.work_dead_letters(plan.run, plan.attempt, 0)]
            self._files.write(letters[0], "\n".join(dead).encode())
        return SilverReport(days=tuple(days), files=tuple(reports), duplicates=repeats, dead_letters=tuple(letters))

    def gold(self, plan: Plan, silver: SilverReport, before: Tables, on_rows: OnRows) -> GoldReport:
        days = {day.day: day for day in before.days} | {day.day: day for day in silver.days}
        lines = {day: self._silver(days[day].files) for day in sorted(days) if days[day].files}
        on_rows(sum(map(len, lines.values())))
        activity = "\n".join(f"{day} {len(of_day)}" for day, of_day in lines.items())
        funnel = "\n".join(sorted({str(json.loads(line)["v"]) for of_day in lines.values() for line in of_day}))
        there = {table.name: table for table in before.gold}
        return GoldReport(
            tables=tuple(
                self._table(plan, name, body.encode(), there.get(name))
                for name, body in zip(GOLD, (activity, funnel), strict=True)
            )
        )

    def stop(self) -> None:
        self.stopped = True

    def _table(self, plan: Plan, name: str, body: bytes, there: GoldTable | None) -> GoldTable:
        if there is not None and self._files.read(there.key) == body:
            return there
        key = places.work_gold(plan.run, plan.attempt, name)
        self._files.write(key, body)
        return GoldTable(name=name, key=key, size=len(body), rows=body.count(b"\n") + 1)

    def _day(
        self, plan: Plan, day: str, there: tuple[SilverFile, ...], new: list[str]
    ) -> tuple[tuple[SilverFile, ...], int]:
        """What is there stays as it is, unless one of its ids comes again."""
        old = self._silver(there)
        rows = {_id(line): line for line in sorted([*old, *new], reverse=True)}
        repeated = len(old) + len(new) - len(rows)
        if there and {_id(line) for line in old}.isdisjoint(map(_id, new)):
            rows = {key: line for key, line in rows.items() if line not in old}
        else:
            there = ()
        if not rows:
            return there, repeated
        body = "\n".join(sorted(rows.values())).encode()
        key = places.work_silver(plan.run, plan.attempt, day, 0)
        self._files.write(key, body)
        return (*there, SilverFile(key=key, size=len(body), rows=len(rows), first=0, last=0)), repeated

    def _silver(self, files: Iterable[SilverFile]) -> list[str]:
        return [line for file in files for line in self._files.read(file.key).decode().split("\n")]

    def _lines(self, file: SourceFile) -> tuple[list[str], list[str]]:
        lines = [line for line in self._files.read(file.key).decode().split("\n") if line]
        return [line for line in lines if line[0] == "{"], [line for line in lines if line[0] != "{"]


def _day(line: str) -> str:
    return str(json.loads(line)["day"])


def _id(line: str) -> str:
    return str(json.loads(line)["id"])


def line(number: int, day: str, v: int = 0) -> str:
    return json.dumps({"id": f"e{number:03}", "day": day, "v": v})


def raw_key(name: str) -> str:
    return f"raw/events/year=2026/month=04/day=09/hour=08/minute=01/{name}.jsonl.gz"


class World:
    """Everything outside a process. Copies of a world have a fate of their own."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.state = MemoryStateStore()
        self.catalog = MemoryTables()
        self.clock: ManualClock = StillClock()
        self.attempts = 0

    def copy(self) -> "World":
        return copy.deepcopy(self)

    def bronze(self, name: str, *lines: str) -> None:
        body = "\n".join(lines).encode()
        self.store._show(raw_key(name), body, f"e-{name}-{hash(body)}")

    def job(self, calls: Calls | None = None, engine: Callable[[Any], Engine] = LinesEngine) -> Medallion:
        """A process of its own."""
        calls = calls or Calls()
        self.attempts += 1
        store, state = Watched("store", self.store, calls), Watched("state", self.state, calls)

        async def catalog() -> Any:
            return Watched("catalog", self.catalog, calls)

        publisher = Publisher(store=store, state=state, catalog=catalog, house=HOUSE)  # type: ignore[arg-type]
        return Medallion(
            store=store,  # type: ignore[arg-type]
            state=state,  # type: ignore[arg-type]
            publisher=publisher,
            cleaner=Cleaner(store=store, remover=store, publisher=publisher, clock=self.clock, grace=GRACE),  # type: ignore[arg-type]
            lock=Lock(state, self.clock, holder=f"process {self.attempts}", seconds=LOCK_SECONDS),  # type: ignore[arg-type]
            engine=lambda: engine(Watched("engine", Files(self.store), calls)),
            engine_name="lines",
            attempt=f"{self.attempts:04}",
            clock=self.clock,
            progress=lambda _what, _total: nullcontext(lambda _count: None),
        )

    async def run(self, request: Request = RAW, *steps: Step, calls: Calls | None = None) -> Outcome:
        return await self.job(calls).run(request, steps or tuple(Step))

    def wait_for_the_lock(self) -> None:
        """Let the lock of a dead process expire."""
        self.clock.advance(LOCK_SECONDS + 1)

    def silver(self) -> dict[str, list[str]]:
        """What a reader finds in each day, by way of the catalogue."""
        return {
            values[0]: sorted(b"\n".join(self._below(location)).decode().split("\n"))
            for values, location in self.catalog._locations.get("silver_events", {}).items()
        }

    def gold(self) -> dict[str, Any]:
        """What a reader finds in each table."""
        found = {}
        for name in GOLD:
            if name in self.catalog.tables:
                found[name] = b"".join(self._below(self.catalog.tables[name].location)).decode()
        return found

    def gold_runs(self) -> list[tuple[Any, ...]]:
        return _gold_runs(b"".join(self._below(self.catalog.tables["gold_runs"].location)))

    def decided(self) -> set[int]:
        return {n for n in range(1, 20) if places.manifest(n) in self.store.objects}

    def published_runs(self) -> set[int]:
        """Runs of which an object is in a table's folder, or of which the catalogue knows."""
        keys = [key for key in self.store.objects if key.startswith((places.SILVER, places.GOLD))]
        keys += self.catalog._locations.get("silver_events", {}).values()
        keys += [table.location for table in self.catalog.tables.values() if "/run=" in table.location]
        return {int(key.partition("/run=")[2][:10]) for key in keys}

    def documents(self) -> dict[str, Any]:
        """All that the state table remembers, but for the lock."""
        rows = {key: json.loads(body) for key, (_, body) in self.state._rows.items() if key != LOCK}
        return {key: value for key, value in rows.items() if key != HEAD or value}

    def result(self) -> dict[str, Any]:
        """All that should be the same however a run came to its end."""
        return {
            "silver": self.silver(),
            "gold": self.gold(),
            "gold_runs": self.gold_runs(),
            "documents": self.documents(),
            "tables": self.catalog.tables,
            "partitions": self.catalog._locations,
            "view": self.catalog.views,
            "published": {
                key: body
                for key, body in self.store.objects.items()
                if key.startswith((places.SILVER, places.GOLD, "failed_")) and "gold_runs" not in key
            },
        }

    def _below(self, location: str) -> Iterator[bytes]:
        prefix = location.removeprefix("s3://b/")
        return (body for key, body in sorted(self.store.objects.items()) if key.startswith(prefix))


@functools.lru_cache(1000)
def _gold_runs(body: bytes) -> list[tuple[Any, ...]]:
    names = ("table_name", "run", "rows", "bytes")
    return [tuple(row[name] for name in names) for row in pq.read_table(io.BytesIO(body)).to_pylist()]


def below(world: World, *prefixes: str) -> list[str]:
    return [key for key in world.store.objects if key.startswith(prefixes)]
