"""Three transformers and a poller die, drain, stop and are lied to while the stream is resharded: exactly once."""

import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.harness.blows import Way
from tests.harness.long_run import line
from tests.harness.proxy import Call
from tests.harness.traffic import Traffic
from tests.harness.verdict import drain, examine, totals
from tests.soak.course import Course
from tests.soak.handovers import hand_overs
from tests.soak.resharding import Change

PRODUCTS = 3
"""Few: a batch counts each and its page, and DynamoDB Local makes some two hundred conditional updates a second."""

ENOUGH = 100_000
"""Events in which all that can happen does."""


def test_whatever_dies_lies_or_is_resharded_every_event_is_one_row_and_counted_once(
    ministack_url: str,
    engines: Mapping[str, str],
    logs: Path,
    tmp_path: Path,
    events: int,
    seed: int,
    again: str,
    say: Callable[[str], None],
    table: list[str],
) -> None:
    told = f"{again} (logs: {logs})"
    say(told)
    source = tmp_path / "source.jsonl"
    traffic = Traffic(source, seed, events, datetime.now(UTC), products=PRODUCTS)
    with ExitStack() as stack:
        course = Course(
            stack, cloud=ministack_url, engines=engines, logs=logs, source=source, events=events, seed=seed
        )  # fmt: skip
        pipeline, crowd = course.pipeline, course.crowd
        started = time.monotonic()
        try:
            paced = course.run(say)
            healed = time.monotonic()
            say("healed; waiting for the rest")
            drain(pipeline, [str(source)], events)
        except TimeoutError:
            pytest.fail(f"not drained: {totals(pipeline)}\n{crowd.tails()}\n{told}")
        except AssertionError as error:
            pytest.fail(f"{error}\n{told}")
        drained = time.monotonic()
        verdict = examine(pipeline, traffic)
        reconciled = pipeline.headrace("job", "reconcile", "--format", "csv")
    passed = hand_overs([victim.service.lines() for victim in crowd.transformers])
    table += [
        *crowd.report(),
        *_report(course, passed, paced),
        *verdict.report(),
        line("seconds under fire", round(healed - started)),
        line("seconds from healing to the last commit", round(drained - healed)),
        line("events a second", round(events / (drained - started))),
        f"reconcile: {reconciled.stderr.strip()}",
    ]
    verdict.require_exactly_once(told)
    assert verdict.landed == events, told
    assert reconciled.returncode == 0, f"{reconciled.stdout}{reconciled.stderr}{told}"
    assert crowd.ways.total() == sum(map(len, course.blows)), told
    assert set(crowd.ways) == set(Way)
    assert set(course.resharder.done) == set(Change)
    assert course.resharder.done.total() == len(course.reshards), told
    assert all(calls.total() for calls in paced), f"all or nothing was aggregated: {told}"
    assert crowd.logged("shard.halted") == 0, told
    if events >= ENOUGH:
        refused = crowd.logged("shard.dropped") + crowd.logged("lease.lost")
        assert passed, f"no lease was handed over: {told}"
        assert refused > 0, f"no zombie was refused: {told}"
        assert crowd.logged("intent.resumed") > 0, f"nothing was hit between intent and commit: {told}"


def _report(course: Course, passed: Sequence[float], paced: Sequence[Counter[Call]]) -> Iterator[str]:
    yield line("leases handed over", len(passed))
    yield line("  seconds without an owner, the median", f"{statistics.median(passed or [0]):.1f}")
    yield line("  seconds without an owner, at most", f"{max(passed, default=0):.1f}")
    yield line("seconds from SIGTERM to the end, at most", f"{max(course.crowd.drains):.1f}")
    for change, number in sorted(course.resharder.done.items()):
        yield line(change, number)
    for what, calls in zip(("of aggregates", "of plain records"), paced, strict=True):
        yield line(f"puts {what}", calls.total())
