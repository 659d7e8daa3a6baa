"""Sources in memory, and runs over them without an engine: a file's body names the days of its rows."""

from collections import Counter
from typing import Any

from headrace.lake.memory import MemoryStore
from headrace.state.memory import MemoryStateStore
from headrace.state.ports import Document
from jobs.medallion.bookmarks import Bookmarks, write_documents
from jobs.medallion.model import FileReport, Plan, Source, SourceFile
from jobs.medallion.plan import Request, plan_next

UNREADABLE = b"!"
"""What the body of a file that cannot be read starts with."""


class CountingState(MemoryStateStore):
    """Counts the calls."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[str] = Counter()

    async def get(self, key: str) -> Document | None:
        self.calls["get"] += 1
        return await super().get(key)

    async def put(self, key: str, value: dict[str, Any], *, expected: int) -> int:
        self.calls["put"] += 1
        return await super().put(key, value, expected=expected)


def raw(day: int, name: str, month: int = 4, hour: int = 10) -> str:
    return f"raw/events/year=2026/month={month:02}/day={day:02}/hour={hour:02}/minute=00/{name}.jsonl.gz"


def landed(day: int, name: str) -> str:
    return f"events/year=2026/month=04/day={day:02}/hour=10/{name}.parquet"


def body_of(*days: str, version: int = 0) -> bytes:
    return ",".join([*days, f"v{version}"]).encode()


def days_in(body: bytes) -> tuple[str, ...]:
    return () if body.startswith(UNREADABLE) else tuple(sorted(body.decode().split(",")[:-1]))


def file(key: str, etag: str = "e", size: int = 1) -> SourceFile:
    source = Source.RAW if key.startswith("raw/") else Source.EVENTS
    return SourceFile(source=source, key=key, etag=etag, size=size)


class Bronze:
    """A bucket, a state table, and the rows of silver: (day, key, body) for each file with rows of a day."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.state = CountingState()
        self.runs = 0
        self.silver: set[tuple[str, str, bytes]] = set()

    async def put(self, key: str, *days: str, version: int = 0) -> None:
        await self.store.put(key, body_of(*days, version=version))

    async def plan(self, request: Request) -> Plan:
        return await plan_next(self.store, self.state, request, run=self.runs + 1, attempt="a", started=0.0)

    async def reports(self, plan: Plan) -> list[FileReport]:
        reports = []
        for each in plan.read:
            body = await self.store.get(each.file.key)
            days = [day for day in days_in(body) if each.only_days is None or day in each.only_days]
            error = "no gzip" if body.startswith(UNREADABLE) else None
            reports.append(FileReport(file=each.file, rows=len(days), rejected=0, days=tuple(days), error=error))
        return reports

    async def run(self, request: Request) -> Plan:
        """Plan, and do what an engine and the control plane do with the plan."""
        plan = await self.plan(request)
        reports = await self.reports(plan)
        documents = await Bookmarks(self.state).after(plan, reports)
        kept = set() if plan.full else {row for row in self.silver if row[0] not in plan.rebuild}
        bodies = {each.file.key: await self.store.get(each.file.key) for each in plan.read}
        fresh = {(day, each.file.key, bodies[each.file.key]) for each in reports for day in each.days}
        assert not kept & fresh, "a row is read twice"
        self.silver = kept | fresh
        self.runs += 1
        for _ in range(2):
            await write_documents(self.state, documents)
        return plan
