"""Two transformers and a poller are killed, stopped past their leases and lied to, while events pass: exactly once."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from tests.harness.actions import Action
from tests.harness.blows import Way, plan_blows
from tests.harness.crowd import Crowd
from tests.harness.long_run import line
from tests.harness.pipeline import Pipeline
from tests.harness.proxy import FaultProxy, Rule
from tests.harness.traffic import Traffic
from tests.harness.verdict import drain, examine, totals

FAILOVER_SECONDS = 2.0
SHARDS = 4
PAGE_EVENTS = 250
TRANSFORMERS = 2
SETTINGS = {"HEADRACE_BATCH_AGE": "0.5s", "HEADRACE_BATCH_ROWS": "400"}
"""Few, so that there are many batches to be hit in."""
EVENTS_PER_BLOW = 2_500
EVENTS_A_SECOND = 550
"""What is let through, so that there is work at every blow."""
WAYS = (Way.KILL, Way.KILL, Way.STOP)
FEW = 4
"""Stops by which some zombie has met a lease that is another's."""
POLLER_SHARE = 10
"""Blows at the transformers to one at the poller."""
PROGRESS_SECONDS = 10.0
PACE = Rule(
    action=Action.DELAY,
    service="kinesis",
    operations=frozenset({"PutRecords"}),
    seconds=PAGE_EVENTS / EVENTS_A_SECOND,
)
"""What lets the poller through at a bounded rate."""


def test_whatever_dies_or_lies_every_event_is_one_row_and_counted_once(
    ministack_url: str,
    tmp_path: Path,
    events: int,
    seed: int,
    again: str,
    say: Callable[[str], None],
    table: list[str],
) -> None:
    say(f"chaos: {again}")
    source = tmp_path / "source.jsonl"
    traffic = Traffic(source, seed, events, datetime.now(UTC))
    count = events // EVENTS_PER_BLOW
    plan = partial(plan_blows, span=events / EVENTS_A_SECOND, failover=FAILOVER_SECONDS, ways=WAYS)
    started = time.monotonic()
    with ExitStack() as stack:
        proxy = stack.enter_context(FaultProxy(ministack_url))
        pipeline = Pipeline(ministack_url, {}, proxy, tmp_path, name="chaos", shards=SHARDS)
        chaos = Crowd(
            pipeline,
            stack,
            cloud=ministack_url,
            others={},
            source=source,
            seed=seed,
            transformers=TRANSFORMERS,
            failover=FAILOVER_SECONDS,
            page_events=PAGE_EVENTS,
            settings=SETTINGS,
        )
        for victim in chaos.victims:
            victim.service.start(ready=False)
        blows = [
            *plan(seed, victims=len(chaos.transformers), count=count),
            *plan(seed + 1, victims=1, count=count // POLLER_SHARE),
        ]
        over = threading.Event()
        began = time.monotonic()

        def due(at: float) -> bool:
            return over.wait(max(0.0, began + at - time.monotonic()))

        with ThreadPoolExecutor(len(chaos.victims)) as pool, chaos.faults(PACE), ExitStack() as ending:
            ending.callback(over.set)  # before the pool waits for its threads
            suffering = [
                pool.submit(victim.suffer, planned, due, over)
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
    table += [
        *chaos.report(),
        *verdict.report(),
        line("seconds", round(time.monotonic() - started)),
        f"reconcile: {reconciled.stderr.strip()}",
    ]
    verdict.require_exactly_once(again)
    assert verdict.landed == events
    assert reconciled.returncode == 0, f"{reconciled.stdout}{reconciled.stderr}{again}"
    assert hits.total() == count
    assert chaos.logged("intent.resumed") > 0, f"nothing was hit between intent and commit: {again}"
    refused = chaos.logged("shard.dropped") + chaos.logged("lease.lost")
    assert refused > 0 or hits[Way.STOP] < FEW, f"no zombie was refused: {again}"


def _watch(chaos: Crowd, pipeline: Pipeline, suffering: Sequence[Future[None]], say: Callable[[str], None]) -> None:
    """Say how far all is until the last blow has fallen."""
    started = time.monotonic()
    while wait(suffering, timeout=PROGRESS_SECONDS).not_done:
        hits = chaos.ways
        now = totals(pipeline)
        say(
            f"{time.monotonic() - started:4.0f} s: {hits[Way.KILL]} kills, {hits[Way.STOP]} stops, "
            f"{chaos.logged('intent.resumed')} intents resumed; {now.put:,} events put, {now.committed:,} landed"
        )
    for each in suffering:
        each.result()
