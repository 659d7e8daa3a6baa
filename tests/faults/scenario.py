"""A load of known events, and the check that all of it arrives."""

import itertools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from tests.harness.pipeline import Pipeline, entry

STEP_SECONDS = 0.1
STEP_EVENTS = 20

_hours = itertools.count()


class Load:
    """Events of one scenario: ids `{name}-{n}`, all in an hour of their own."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.hour = next(_hours)
        self.product = f"P-{self.hour}"
        self._numbers = itertools.count()
        self.ids: list[str] = []
        """Of all that was put, and acknowledged."""

    def fresh(self, count: int) -> list[str]:
        """New ids, not yet put."""
        return [f"{self.name}-{n}" for n in itertools.islice(self._numbers, count)]

    @contextmanager
    def running(self, put: Callable[[Sequence[str]], bool]) -> Iterator[None]:
        """Put a few events every tenth of a second while the block runs; what is not acknowledged is put again."""
        stopped = threading.Event()

        def run() -> None:
            due: list[str] = []
            while True:
                due = due or self.fresh(STEP_EVENTS)
                if put(due):
                    self.ids += due
                    due = []
                if stopped.is_set() and not due:
                    return
                time.sleep(STEP_SECONDS)

        with ThreadPoolExecutor(1) as pool:
            done = pool.submit(run)
            try:
                yield
            finally:
                stopped.set()
                done.result(timeout=60)


def to_stream(pipeline: Pipeline, load: Load) -> Callable[[Sequence[str]], bool]:
    """Puts straight on the stream."""

    def put(ids: Sequence[str]) -> bool:
        pipeline.put(entry(event_id, load.hour, product=load.product) for event_id in ids)
        return True

    return put
