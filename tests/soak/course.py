"""What happens in a run, and when: blows, reshards and lives of the poller, all timed by how many events are put."""

import contextlib
import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from headrace.errors import RetryableError
from tests.harness.actions import Action
from tests.harness.blows import Blow, Way, plan_blows
from tests.harness.crowd import Crowd
from tests.harness.pipeline import Pipeline
from tests.harness.proxy import Call, FaultProxy, Rule
from tests.harness.verdict import totals
from tests.soak.resharding import Resharder, plan_reshards

TRANSFORMERS = 3
FAILOVER_SECONDS = 5.0
SHARDS = 12
PAGE_EVENTS = 500
SETTINGS = {"HEADRACE_BATCH_AGE": "4s", "HEADRACE_BATCH_ROWS": "2000", "HEADRACE_DEDUP_WINDOW": "2m"}
"""Small batches, to be hit in; who takes a shard over reads those of the window first, so that is shorter, too."""
SPAN = 0.95
"""Of all events, in which everything happens."""
FEWEST_BLOWS, EVENTS_A_BLOW = 12, 5_500
FEWEST_RESHARDS, EVENTS_A_RESHARD = 6, 12_500
POLLER_SHARE = 6
"""Blows at the transformers to one at the poller. Each begins another life of it, and every other one aggregates."""
REBIRTHS = (Way.KILL, Way.TERM)
PLAIN = 0.06
"""Of all events, in a life that does not: what kinesis-local takes for a record grows with what its shard holds."""
LOOK_SECONDS = 2.0
PROGRESS_SECONDS = 10.0
STALLED_SECONDS = 90.0
"""Nothing at all is put for so long: it hangs."""

PUT = frozenset({"PutRecords"})
PACE = (
    Rule(action=Action.DELAY, service="kinesis", operations=PUT, says=b'"84maw', seconds=0.25),
    Rule(action=Action.DELAY, service="kinesis", operations=PUT, seconds=0.2),
)
"""What lets the poller through at a bounded rate: puts of aggregates (their magic number in base64), and all others."""


@dataclass(slots=True)
class Progress:
    """How many events are put: blows and reshards wait for that, so that they meet the load on any machine."""

    put: int = 0
    over: threading.Event = field(default_factory=threading.Event)

    def wait(self, at: float) -> bool:
        """Return when so many are put; True when it is over."""
        while self.put < at:
            if self.over.wait(0.2):
                return True
        return self.over.is_set()


class Course:
    """One run of `events` events from `source` on a stream of its own; `engines` stand in for the cloud's services."""

    def __init__(
        self,
        stack: ExitStack,
        *,
        cloud: str,
        engines: Mapping[str, str],
        logs: Path,
        source: Path,
        events: int,
        seed: int,
    ) -> None:
        proxy = stack.enter_context(FaultProxy(cloud, others=engines))
        self.pipeline = Pipeline(cloud, engines, proxy, logs, name="soak", shards=SHARDS)
        aggregates = itertools.cycle("01")
        self.crowd = Crowd(
            self.pipeline,
            stack,
            cloud=cloud,
            others=engines,
            source=source,
            seed=seed,
            transformers=TRANSFORMERS,
            failover=FAILOVER_SECONDS,
            page_events=PAGE_EVENTS,
            settings={**SETTINGS, "HEADRACE_AGGREGATE": "1"},
            reborn=lambda configure: configure(HEADRACE_AGGREGATE=next(aggregates)),
        )
        self.resharder = Resharder(self.pipeline.client("kinesis"), self.pipeline.settings.stream_name)
        span = SPAN * events
        plan = partial(plan_blows, span=span, failover=FAILOVER_SECONDS)
        count = max(FEWEST_BLOWS, events // EVENTS_A_BLOW)
        poller = plan(seed + 1, victims=1, count=count // POLLER_SHARE // 2 * 2, ways=REBIRTHS)
        self.blows = [
            *plan(seed, victims=TRANSFORMERS, count=count, ways=tuple(Way)),
            *(_lives(planned, PLAIN * events) for planned in poller),
        ]
        self.reshards = plan_reshards(seed, count=max(FEWEST_RESHARDS, events // EVENTS_A_RESHARD), span=span)
        self._events = events
        self._progress = Progress()

    def run(self, say: Callable[[str], None]) -> Sequence[Counter[Call]]:
        """Return when every event is put and everything has happened, with the puts of aggregates and all others.

        Fails when a process ends by itself, and when nothing is put any more.
        """
        for victim in self.crowd.victims:
            victim.service.start(ready=False)
        over, wait = self._progress.over, self._progress.wait
        with ThreadPoolExecutor(len(self.blows) + 1) as pool, self.crowd.faults(*PACE) as paced, ExitStack() as ending:
            ending.callback(over.set)  # before the pool waits for its threads
            happening = [
                pool.submit(victim.suffer, its, wait, over)
                for victim, its in zip(self.crowd.victims, self.blows, strict=True)
            ]
            happening.append(pool.submit(self.resharder.run, self.reshards, wait))
            self._watch(happening, say)
        return paced

    def _watch(self, happening: Sequence[Future[None]], say: Callable[[str], None]) -> None:
        progress = self._progress
        started = told = moved = time.monotonic()
        while progress.put < self._events or not all(each.done() for each in happening):
            _require(happening)
            with contextlib.suppress(RetryableError):  # an engine that is busy for long; the next look may tell
                now = totals(self.pipeline)
                if now.put > progress.put:
                    moved = time.monotonic()
                progress.put = now.put
                if time.monotonic() - told >= PROGRESS_SECONDS:
                    told = time.monotonic()
                    say(f"{told - started:4.0f} s: {now.put:,} events put, {now.committed:,} landed; {self._so_far()}")
            assert progress.put >= self._events or time.monotonic() - moved < STALLED_SECONDS, self.crowd.tails()
            progress.over.wait(LOOK_SECONDS)
        _require(happening)

    def _so_far(self) -> str:
        ways = [f"{number} {way}" for way, number in sorted(self.crowd.ways.items())]
        resumed = self.crowd.logged("intent.resumed")
        return ", ".join([*ways, f"{self.resharder.done.total()} reshards", f"{resumed} intents resumed"])


def _lives(blows: Sequence[Blow], span: float) -> Sequence[Blow]:
    """Of each two blows the second comes within `span` of the first. None is aimed: the steps are the transformers'."""
    return [
        replace(blow, aim=None, at=blows[number - 1].at + span if number % 2 else blow.at)
        for number, blow in enumerate(blows)
    ]


def _require(happening: Sequence[Future[None]]) -> None:
    """Raise what went wrong so far."""
    for each in happening:
        if each.done():
            each.result()
