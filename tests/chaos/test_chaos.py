"""Two transformers and a poller are killed, stopped past their leases and lied to, while events pass: exactly once."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.chaos.schedule import FAILOVER_SECONDS, Way, plan_blows
from tests.chaos.traffic import Traffic
from tests.chaos.verdict import Verdict, drain, examine, totals
from tests.chaos.victim import Victim
from tests.faults.actions import Action
from tests.faults.pipeline import Pipeline
from tests.faults.proxy import Call, FaultProxy, Rule

SHARDS = 4
PAGE_EVENTS = 250
BATCH_ROWS = 400
"""Few, so that there are many batches to be hit in."""
EVENTS_PER_BLOW = 2_500
EVENTS_A_SECOND = 550
"""What is let through, so that there is work at every blow."""
POLLER_SHARE = 10
"""Blows at the transformers to one at the poller."""
PROGRESS_SECONDS = 10.0

TABLES = frozenset({"kinesis", "dynamodb"})
FAULTS = (
    Rule(action=Action.DROP_AFTER, chance=0.02),
    Rule(action=Action.DROP_BEFORE, chance=0.01),
    Rule(action=Action.ERROR, chance=0.01),
    Rule(action=Action.THROTTLE, chance=0.01),
    *(Rule(action=Action.CORRUPT, service=service, chance=0.005) for service in sorted(TABLES)),
    Rule(action=Action.MUTE, service="kinesis", operations=frozenset({"PutRecords"}), chance=0.02, limit=2),
    Rule(action=Action.DELAY, seconds=0.3, chance=0.03),
)
"""Of all calls of all three, all the time. Nothing garbles S3 here: its answers carry their length and a digest."""


class Chaos:
    """The processes, each behind a proxy of its own."""

    def __init__(self, pipeline: Pipeline, upstream: str, source: Path, seed: int, stack: ExitStack) -> None:
        settings = {
            "HEADRACE_FAILOVER": f"{FAILOVER_SECONDS:g}s",
            "HEADRACE_BATCH_AGE": "0.5s",
            "HEADRACE_BATCH_ROWS": str(BATCH_ROWS),
        }

        def victim(name: str, number: int, files: Sequence[Path] = (), **more: str) -> Victim:
            proxy = stack.enter_context(FaultProxy(upstream, seed=seed + number))
            service = pipeline.service(name, files=files, proxy=proxy, **settings, **more)
            stack.callback(service.kill)
            return Victim(service, proxy)

        self.transformers = (victim("transformer", 1), victim("transformer-2", 2))
        self.poller = victim("api_consumer", 3, [source], HEADRACE_PAGE_LIMIT=str(PAGE_EVENTS))
        self.injected: Counter[Action] = Counter()

    @property
    def victims(self) -> tuple[Victim, ...]:
        return (*self.transformers, self.poller)

    @contextmanager
    def faults(self) -> Iterator[None]:
        """Every proxy lies now and then, and the poller's lets records through at a bounded rate."""
        pace = Rule(
            action=Action.DELAY,
            service="kinesis",
            operations=frozenset({"PutRecords"}),
            seconds=PAGE_EVENTS / EVENTS_A_SECOND,
        )
        with ExitStack() as rules:
            for victim in self.victims:
                held = (*FAULTS, pace) if victim is self.poller else FAULTS
                rules.callback(self._note, rules.enter_context(victim.proxy.rules(*held)))
            yield

    def _note(self, injected: Sequence[Counter[Call]]) -> None:
        for rule, calls in zip(FAULTS, injected, strict=False):  # the pace is no fault
            self.injected[rule.action] += calls.total()

    def logged(self, event: str) -> int:
        """How often the transformers have said it."""
        return sum(victim.service.logged(event) for victim in self.transformers)

    def tails(self) -> str:
        return "\n".join(victim.service.tail() for victim in self.victims)


def test_whatever_dies_or_lies_every_event_is_one_row_and_counted_once(
    ministack_url: str,
    athena_url: str,
    tmp_path: Path,
    events: int,
    seed: int,
    again: str,
    say: Callable[[str], None],
    table: list[str],
) -> None:
    say(f"chaos: {again}")
    traffic = Traffic(seed, events, datetime.now(UTC))
    source = tmp_path / "source.jsonl"
    traffic.write(source)
    count = events // EVENTS_PER_BLOW
    seconds = events / EVENTS_A_SECOND
    started = time.monotonic()
    with ExitStack() as stack:
        proxy = stack.enter_context(FaultProxy(ministack_url))
        pipeline = Pipeline(ministack_url, athena_url, proxy, tmp_path, name="chaos", shards=SHARDS)
        chaos = Chaos(pipeline, ministack_url, source, seed, stack)
        for victim in chaos.victims:
            victim.service.start(ready=False)
        blows = [
            *plan_blows(seed, victims=len(chaos.transformers), count=count, seconds=seconds),
            *plan_blows(seed + 1, victims=1, count=count // POLLER_SHARE, seconds=seconds),
        ]
        over = threading.Event()
        with ThreadPoolExecutor(len(chaos.victims)) as pool, chaos.faults(), ExitStack() as ending:
            ending.callback(over.set)  # before the pool waits for its threads
            suffering = [
                pool.submit(victim.suffer, planned, started=time.monotonic(), over=over)
                for victim, planned in zip(chaos.victims, blows, strict=True)
            ]
            _watch(chaos, pipeline, suffering, say)
        say("healed; waiting for the rest")
        try:
            drain(pipeline, [str(source)], events)
        except TimeoutError:
            pytest.fail(f"not drained: {totals(pipeline)}\n{chaos.tails()}\n{again}")
        verdict = examine(pipeline, traffic)
        reconciled = pipeline.headrace("job", "reconcile", "--format", "csv")
    hits = sum((victim.ways for victim in chaos.transformers), Counter[Way]())
    table += [*_report(chaos, verdict, time.monotonic() - started), f"reconcile: {reconciled.stderr.strip()}"]
    verdict.require_exactly_once(again)
    assert verdict.landed == events
    assert reconciled.returncode == 0, f"{reconciled.stdout}{reconciled.stderr}{again}"
    assert hits.total() == count
    assert chaos.logged("intent.resumed") > 0, f"nothing was hit between intent and commit: {again}"
    assert chaos.logged("shard.dropped") + chaos.logged("lease.lost") > 0, f"no zombie was refused: {again}"


def _watch(chaos: Chaos, pipeline: Pipeline, suffering: Sequence[Future[None]], say: Callable[[str], None]) -> None:
    """Say how far all is until the last blow has fallen."""
    started = time.monotonic()
    while wait(suffering, timeout=PROGRESS_SECONDS).not_done:
        hits = sum((victim.ways for victim in chaos.victims), Counter[Way]())
        now = totals(pipeline)
        say(
            f"{time.monotonic() - started:4.0f} s: {hits[Way.KILL]} kills, {hits[Way.STOP]} stops, "
            f"{chaos.logged('intent.resumed')} intents resumed; {now.put:,} events put, {now.committed:,} landed"
        )
    for each in suffering:
        each.result()


def _report(chaos: Chaos, verdict: Verdict, seconds: float) -> Iterator[str]:
    line = "{:<52}{:>10}".format
    for way in Way:
        transformers = sum(victim.ways[way] for victim in chaos.transformers)
        yield line(f"{way} of a transformer", transformers)
        yield line(f"{way} of the poller", chaos.poller.ways[way])
    steps = Counter((hit.aim, hit.moment) for victim in chaos.transformers for hit in victim.hits if hit.aim)
    for (aim, moment), number in sorted(steps.items()):
        yield line(f"  of them at the step {aim}, its effect {moment}", number)
    for action, number in sorted(chaos.injected.items()):
        yield line(f"fault: {action}", number)
    yield line("batches", verdict.batches)
    yield line("intents resumed", chaos.logged("intent.resumed"))
    yield line("leases lost, noticed by renewal", chaos.logged("lease.lost"))
    yield line("leases lost, noticed by a refused write", chaos.logged("shard.dropped"))
    yield line("repeats dropped", verdict.duplicates)
    yield line("rows", verdict.landed)
    yield line("lost", verdict.lost.total())
    yield line("doubled", verdict.doubled.total())
    yield line("seconds", round(seconds))
