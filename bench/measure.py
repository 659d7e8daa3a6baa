"""CPU time of a piece of work, per item."""

import time
from collections.abc import Callable, Coroutine
from typing import Any

from uvloop import run as run_loop

REPEATS = 5


def cpu_us(items: int, work: Callable[[], object], repeats: int = REPEATS) -> float:
    """Microseconds of CPU (all threads of this process) per item: the least of `repeats` runs."""
    return min(_once(work) for _ in range(repeats)) / items * 1e6


def cpu_us_async(items: int, work: Callable[[], Coroutine[Any, Any, object]], repeats: int = REPEATS) -> float:
    """The same for a coroutine, each run in a loop of its own."""
    return cpu_us(items, lambda: run_loop(work()), repeats)


def _once(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start
