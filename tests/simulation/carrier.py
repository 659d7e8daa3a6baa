"""Carries writes to their ports, whatever becomes of their senders."""

import asyncio
import copy
from collections.abc import Callable
from typing import Any

from headrace.counters.memory import MemoryCounters
from headrace.errors import HeadraceError
from tests.simulation.network import Request


class Carrier:
    """`landed(request, outcome)` is told of every write that had its effect, or was refused."""

    def __init__(self, counters: MemoryCounters, landed: Callable[[Request, Any], None]) -> None:
        self._counters = counters
        self._landed = landed
        self._under_way: set[asyncio.Task[Any]] = set()

    @property
    def busy(self) -> bool:
        """Whether something is under way."""
        return bool(self._under_way)

    def send(self, request: Request, delay: float, *, torn: bool) -> asyncio.Task[Any]:
        """Let a write land in so many seconds. The task's result is the answer; an error of Headrace's is one too."""
        task = asyncio.get_running_loop().create_task(self._land(request, delay, torn))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return task

    async def _land(self, request: Request, delay: float, torn: bool) -> Any:
        await asyncio.sleep(delay)
        try:
            outcome = await (self._tear(request) if torn else request())
        except HeadraceError as error:
            outcome = error
        self._landed(request, outcome)
        return outcome

    async def _tear(self, request: Request) -> Any:
        """About half of what a call would do: some of the items it writes, but not all."""
        if request.name == "leases.create":
            return await request.target(request.args[0][:1])
        before = copy.deepcopy(vars(self._counters))
        outcome = await request()
        for name, items in vars(self._counters).items():
            changed = [key for key in sorted(items) if before[name].get(key) != items[key]]
            for key in changed[::2]:
                if key in before[name]:
                    items[key] = before[name][key]
                else:
                    del items[key]
        return outcome
