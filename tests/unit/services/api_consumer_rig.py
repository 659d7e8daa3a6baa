"""A poller and everything around it in memory, for the tests of the api_consumer."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from headrace.clock import Clock, ManualClock
from headrace.events.mapping import Mapping
from headrace.events.parse import Policy
from headrace.lake.memory import MemoryStore
from headrace.quarantine import Envelope, from_jsonl_gz
from headrace.runtime import Shutdown
from headrace.state.memory import MemoryStateStore
from headrace.stream.memory import MemoryStream
from headrace.stream.ports import TrimHorizon
from headrace.telemetry.health import Health
from headrace.telemetry.metrics import Metrics
from services.api_consumer.insist import Insist
from services.api_consumer.intake import Intake
from services.api_consumer.outlet import Outlet
from services.api_consumer.pending import HoldPolicy
from services.api_consumer.poller import Poller
from services.api_consumer.ports import Page, Pages


def event(n: int, **more: Any) -> bytes:
    fields = {"session_id": f"s{n % 3}", "event_type": "click", "timestamp": 1_775_700_000, "product_id": str(n)}
    return json.dumps({**fields, **more}).encode()


class Script:
    """A source of given pages; a page may be an error to raise or a call to make first."""

    name = "script"

    def __init__(self, *steps: Sequence[bytes] | Exception | Callable[[], None], source_id: str = "test") -> None:
        self.source_id = source_id
        self.fetched = 0
        self._steps = steps

    async def pages(self, position: Any) -> Pages:
        at = position or 0
        for n, step in enumerate(self._steps[at:], start=at + 1):
            self.fetched = n
            if isinstance(step, Exception):
                raise step
            if callable(step):
                step()
            else:
                yield Page(payloads=step, place=str(n), after=n, exhausted=n == len(self._steps))


class Rig:
    """A poller and everything around it, in memory."""

    def __init__(
        self,
        *,
        mapping: Mapping | None = None,
        clock: Clock | None = None,
        size: int = 1,
        spool_after: float = 30.0,
        keep_originals: bool = False,
    ) -> None:
        self.clock = clock or ManualClock()
        self.stream = MemoryStream(self.clock)
        self.store = MemoryStore()
        self.state = MemoryStateStore()
        self.metrics = Metrics()
        self.shutdown = Shutdown(5.0, self.clock)
        self.intake = Intake(Policy(), mapping, b"key", keep_originals=keep_originals)
        self.size = size
        self.spool_after = spool_after
        self.reports: list[tuple[str, int, str]] = []

    def poller(self, *, producer: Any = None, store: Any = None, state: Any = None) -> Poller:
        def report(reason: str, count: int, example: str) -> None:
            self.reports.append((reason, count, example))

        health = Health(clock=self.clock)
        insist = Insist(self.clock, health)
        outlet = Outlet(
            producer=producer or self.stream, store=store or self.store, insist=insist, spool_after=self.spool_after,
            report=report, metrics=self.metrics, health=health, clock=self.clock,
        )  # fmt: skip
        return Poller(
            intake=self.intake, outlet=outlet, store=store or self.store, state=state or self.state,
            hold=HoldPolicy(size=self.size), insist=insist, report=report,
            metrics=self.metrics, health=health, shutdown=self.shutdown, clock=self.clock,
        )  # fmt: skip

    async def events(self) -> list[dict[str, Any]]:
        [shard] = await self.stream.shards()
        page = await self.stream.open(shard.shard_id, TrimHorizon()).read()
        return [json.loads(record.data) for record in page.records]

    async def quarantined(self, prefix: str) -> list[list[Envelope]]:
        return [from_jsonl_gz(await self.store.get(item.key)) async for item in self.store.list(prefix)]

    async def cursor(self, source_id: str = "test") -> dict[str, Any]:
        document = await self.state.get(f"cursor:{source_id}")
        assert document is not None
        return document.value

    def metric(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"headrace_{name}", labels) or 0.0


class Faulty:
    """An adapter whose method fails for the first calls, before or after its effect."""

    def __init__(self, adapter: Any, method: str, errors: Sequence[Exception], *, after: bool = False) -> None:
        self._adapter, self._method, self._errors, self._after = adapter, method, list(errors), after

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._adapter, name)
        if name != self._method:
            return call

        async def fail(*args: Any, **kwargs: Any) -> Any:
            if self._errors and self._after:
                await call(*args, **kwargs)
            if self._errors:
                raise self._errors.pop(0)
            return await call(*args, **kwargs)

        return fail
