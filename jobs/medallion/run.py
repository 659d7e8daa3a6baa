"""A run, step by step. What a step leaves to the next ones is in the bucket and the lock's document, nowhere else."""

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from headrace.clock import Clock
from headrace.errors import ConflictError
from headrace.lake.ports import ObjectStore
from headrace.state.ports import StateStore
from headrace.telemetry.log import get_logger
from jobs.medallion import gold_runs, places
from jobs.medallion.bookmarks import Bookmarks
from jobs.medallion.clean import Cleaner
from jobs.medallion.lock import Lock, OnWait, Underway
from jobs.medallion.manifest import Manifest, manifest_of, with_table
from jobs.medallion.model import GoldReport, GoldTable, Plan, SilverReport, Source, Tables
from jobs.medallion.pages import DamagedBookmarksError
from jobs.medallion.plan import Request, is_empty, plan_next
from jobs.medallion.ports import Engine, OnRows
from jobs.medallion.publish import Publisher
from jobs.medallion.steps import Step, check_turn, declared
from jobs.medallion.tables import GOLD_RUNS

T = TypeVar("T")

Progress = Callable[[str, int | None], AbstractContextManager[OnRows]]
"""Shows that something is being done: what, and how much of it there is."""


class OvertakenError(ConflictError):
    """Another job has decided a run of this number."""


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What a run, or a step of one, came to."""

    seconds: dict[Step, float] = field(default_factory=dict)
    """By step that was taken."""
    plan: Plan | None = None
    silver: SilverReport | None = None
    manifest: Manifest | None = None
    """Of the run that is decided or applied."""
    idle: bool = False
    """There was nothing to do."""
    deleted: int = 0
    """Objects that nobody needed any more."""

    def figures(self) -> dict[str, object]:
        """In numbers, for a line of the log."""
        totals = {} if self.manifest is None or self.silver is None else msgspec.structs.asdict(self.manifest.totals)
        seconds = {f"{step}_seconds": round(took, 3) for step, took in self.seconds.items()}
        return {"run": self.manifest and self.manifest.run, "idle": self.idle, **totals, **seconds}

    @property
    def shown(self) -> Tables | None:
        """What is published, if it was looked at to the end: not after a step that only leads there."""
        looked = self.idle or Step.PUBLISH in self.seconds or Step.REGISTER in self.seconds
        return self.manifest.tables if self.manifest and looked else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Medallion:
    """The job. `attempt` is unique to this process; `engine` is only made for a step that takes one."""

    store: ObjectStore
    state: StateStore
    publisher: Publisher
    cleaner: Cleaner
    lock: Lock
    engine: Callable[[], Engine]
    engine_name: str
    attempt: str
    clock: Clock
    progress: Progress

    async def run(
        self,
        request: Request,
        steps: Sequence[Step] = tuple(Step),
        *,
        wait: bool = False,
        on_wait: OnWait = lambda _: None,
    ) -> Outcome:
        """Take these steps under the lock.

        Raises `LockedError` and `LockLostError` (`Lock.held`), `StepOrderError`, `RefusedRunError` when the sources do
        not allow what is asked for, `OvertakenError` when another run was decided meanwhile, and `RetryableError`.
        Whatever it raises: what was decided is finished by the next run, all else is as if it had never been.
        """
        outcome = Outcome()
        take: dict[Step, Callable[[Outcome], Awaitable[None]]] = {
            Step.PLAN: lambda outcome: self._plan(request, outcome),
            Step.SILVER: self._silver,
            Step.GOLD: self._gold,
            Step.PUBLISH: self._publish,
            Step.REGISTER: self._register,
            Step.CLEAN: self._clean,
        }
        async with self.lock.held(wait=wait, on_wait=on_wait):
            for step in steps:
                underway = self.lock.underway
                if underway is not None and underway.idle and declared(step).needs is not None:
                    outcome.idle = True
                    continue
                check_turn(step, underway.done if underway else ())
                started = time.monotonic()
                await take[step](outcome)
                outcome.seconds[step] = time.monotonic() - started
        get_logger().info("medallion.finished", **outcome.figures())
        return outcome

    async def _plan(self, request: Request, outcome: Outcome) -> None:
        before = await self.publisher.settle()
        run = before.run + 1 if before else 1
        started = self.clock.now()
        if not request.sources:
            request = dataclasses.replace(request, sources=before.sources if before else (Source.EVENTS,))
        async with self._bookmarks(run):
            plan = await plan_next(self.store, self.state, request, run=run, attempt=self.attempt, started=started)
        plan = replace(plan, partial=not request.scope.is_everything)
        outcome.plan, outcome.idle, outcome.manifest = plan, is_empty(plan), before
        await self.lock.note(Underway(run=run, attempt=self.attempt, idle=outcome.idle))
        await self._leave(Step.PLAN, None if outcome.idle else plan)

    async def _silver(self, outcome: Outcome) -> None:
        before = await self._before()
        plan = outcome.plan = await self._read(Step.PLAN, Plan)
        ours, engine = replace(plan, attempt=self.attempt), self.engine()
        with self.progress("rows", None) as on_rows:
            outcome.silver = await in_thread(engine, lambda: engine.silver(ours, _counted(plan, before), on_rows))
        await self._leave(Step.SILVER, outcome.silver)

    async def _gold(self, outcome: Outcome) -> None:
        before = await self._before()
        plan = outcome.plan = await self._read(Step.PLAN, Plan)
        silver = outcome.silver = await self._read(Step.SILVER, SilverReport)
        ours, engine = replace(plan, attempt=self.attempt), self.engine()
        with self.progress("rows of silver", None) as on_rows:
            gold = await in_thread(engine, lambda: engine.gold(ours, silver, _counted(plan, before), on_rows))
        await self._leave(Step.GOLD, gold)

    async def _publish(self, outcome: Outcome) -> None:
        underway = self._underway()
        decided = await self.publisher.find(underway.run)
        if decided is None:
            decided = await self.publisher.decide(await self._manifest(outcome))
        outcome.manifest = self._ours(decided)
        with self.progress("objects", len(decided.copies)) as on_copy:
            await self.publisher.show(decided, on_copy)
        await self._leave(Step.PUBLISH, None)

    async def _register(self, outcome: Outcome) -> None:
        underway = self._underway()
        decided = await self.publisher.find(underway.run)
        outcome.manifest = await self.publisher.register(self._ours(decided))
        await self._leave(Step.REGISTER, None)

    async def _clean(self, outcome: Outcome) -> None:
        outcome.deleted = await self.cleaner.clean()

    async def _manifest(self, outcome: Outcome) -> Manifest:
        """What the steps so far come to, and the table that tells of it."""
        before = await self._before()
        plan = outcome.plan = await self._read(Step.PLAN, Plan)
        silver = outcome.silver = await self._read(Step.SILVER, SilverReport)
        gold = await self._read(Step.GOLD, GoldReport)
        async with self._bookmarks(plan.run):
            bookmarks = await Bookmarks(self.state).after(plan, silver.files)
        manifest = manifest_of(
            plan, silver, gold, before, bookmarks=bookmarks, engine=self.engine_name, decided_at=self.clock.now()
        )
        earlier = (
            next((each.key for each in before.tables.gold if each.name == GOLD_RUNS.name), None) if before else None
        )
        body, rows = gold_runs.add(await self.store.get(earlier) if earlier else None, gold_runs.rows(manifest))
        key = places.work_gold(plan.run, self.attempt, GOLD_RUNS.name)
        await self.store.put(key, body)
        table = GoldTable(name=GOLD_RUNS.name, key=key, size=len(body), rows=rows)
        return with_table(manifest, table, before)

    @contextlib.asynccontextmanager
    async def _bookmarks(self, run: int) -> AsyncIterator[None]:
        """While they are read. That they do not fit together is no wonder while the same run of another writes them."""
        try:
            yield
        except DamagedBookmarksError as error:
            if await self.publisher.find(run) is None:
                raise
            raise OvertakenError(f"run {run} was decided by another job meanwhile") from error

    async def _before(self) -> Manifest | None:
        """The run that this one builds on. Raises `OvertakenError` when that is not the last one any more."""
        underway = self._underway()
        if (await self.publisher.head()).run != underway.run - 1:
            raise OvertakenError(f"run {underway.run} is decided by now: begin with `headrace job medallion plan`")
        return await self.publisher.find(underway.run - 1)

    def _underway(self) -> Underway:
        assert self.lock.underway is not None, "its turn was checked"
        return self.lock.underway

    def _ours(self, decided: Manifest | None) -> Manifest:
        underway = self._underway()
        if decided is None or decided.attempt != underway.attempt:
            raise OvertakenError(
                f"run {underway.run} was decided by another job: begin with `headrace job medallion plan`"
            )
        return decided

    async def _read(self, step: Step, kind: type[T]) -> T:
        """What a step has left."""
        return msgspec.json.decode(await self.store.get(self._underway().done[step]), type=kind)

    async def _leave(self, step: Step, result: msgspec.Struct | None) -> None:
        """Note a step as done, and all that come after it as not; leave its result to those."""
        underway, key = self._underway(), ""
        if result is not None:
            key = places.work_document(underway.run, self.attempt, step)
            await self.store.put(key, msgspec.json.encode(result))
        before = {each: underway.done[each] for each in tuple(Step)[: tuple(Step).index(step)] if each in underway.done}
        await self.lock.note(replace(underway, done={**before, step: key}))


def _counted(plan: Plan, before: Manifest | None) -> Tables:
    """The tables of which rows still count."""
    return Tables() if plan.full or before is None else before.tables


async def in_thread(engine: Engine, call: Callable[[], T]) -> T:
    """Run a call of an engine in a thread. Cancelled, it stops the engine and waits for the thread to end."""
    working = asyncio.ensure_future(asyncio.to_thread(call))
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        engine.stop()
        await asyncio.wait({working})
        if not working.cancelled():
            working.exception()  # it is told that way: nobody else looks
        raise
