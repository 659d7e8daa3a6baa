"""An event loop whose time passes only when nobody has anything to do, and then at once to the next timer.

One thread, no sockets, no real clock: what runs on it runs the same way each time.
"""

import asyncio
import itertools
from collections.abc import Coroutine
from contextvars import Context
from typing import Any, TypeVar

T = TypeVar("T")

STEPS_WITHOUT_TIME = 50_000
"""Turns of the loop during which time may stand still."""


class DeadlockError(Exception):
    """Everybody waits and no timer will wake them."""


class LivelockError(Exception):
    """Tasks keep each other busy and time does not pass."""


class OrderedTask(asyncio.Task[Any]):
    """A task that hashes by its place in the order of creation.

    By default that is its address, and sets of tasks (in asyncio itself) would be walked in another order each time.
    """

    _numbers = itertools.count()

    def __init__(self, coro: Coroutine[Any, Any, Any], **options: Any) -> None:
        self._number = next(self._numbers)
        super().__init__(coro, **options)

    def __hash__(self) -> int:
        return self._number

    def __eq__(self, other: object) -> bool:
        return self is other


class VirtualLoop(asyncio.BaseEventLoop):
    """`asyncio.timeout`, `asyncio.wait(timeout=…)` and sleeps are all in virtual seconds on it."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self._steps = 0
        self._selector = self  # BaseEventLoop asks its selector how to wait
        OrderedTask._numbers = itertools.count()
        self.set_task_factory(_new_task)

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._now

    def select(self, timeout: float | None) -> list[object]:
        """Nothing ever comes from outside, so waiting is skipping to the next timer."""
        if timeout is None:
            raise DeadlockError(f"at {self._now:.3f} s")
        if timeout > 0:
            self._now += timeout
            self._steps = 0
        self._steps += 1
        if self._steps > STEPS_WITHOUT_TIME:
            raise LivelockError(f"at {self._now:.3f} s")
        return []

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run until `work` is done; other tasks stay where they are then."""
        self._steps = 0
        return self.run_until_complete(work)

    def end(self) -> None:
        """Cancel whatever is left and close."""
        for _ in range(3):  # a cleanup may start a task
            tasks = sorted(asyncio.all_tasks(self), key=hash)
            if not tasks:
                break
            for task in tasks:
                task.cancel()
            self.run(_gather(tasks))
        self.run(self.shutdown_asyncgens())
        self.close()

    def _process_events(self, event_list: list[object]) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        """There is no other thread that could need to wake this one."""


async def _gather(tasks: list[asyncio.Task[Any]]) -> None:
    await asyncio.gather(*tasks, return_exceptions=True)


def _new_task(
    loop: asyncio.AbstractEventLoop, coro: Any, *, context: Context | None = None, **options: Any
) -> asyncio.Future[Any]:
    return OrderedTask(coro, loop=loop, context=context, **options)
