"""A producer whose PutRecords take effect and are never answered puts its records again: no row is doubled by it."""

from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.harness.actions import Action
from tests.harness.pipeline import Pipeline, wait_until
from tests.harness.proxy import FaultProxy, Rule
from tests.harness.traffic import Traffic
from tests.harness.verdict import drain, examine, totals

EVENTS = 2_000
PAGE_EVENTS = 200
PATIENCE = 30.0
PUT = frozenset({"PutRecords"})


@pytest.mark.parametrize("killed", [False, True], ids=["while it lives", "and is killed in between"])
def test_a_put_that_times_out_after_its_effect_doubles_no_row_for_a_transformer(
    killed: bool, ministack_url: str, tmp_path: Path, seed: int, again: str, table: list[str]
) -> None:
    source = tmp_path / "source.jsonl"
    traffic = Traffic(source, seed, EVENTS, datetime.now(UTC))
    with ExitStack() as stack:
        proxy = stack.enter_context(FaultProxy(ministack_url, seed=seed))
        name = "producer-killed" if killed else "producer"
        pipeline = Pipeline(ministack_url, {}, proxy, tmp_path, name=name)
        transformer = pipeline.service("transformer", HEADRACE_BATCH_AGE="0.5s")
        poller = pipeline.service("api_consumer", files=[source], HEADRACE_PAGE_LIMIT=str(PAGE_EVENTS))
        for service in (transformer, poller):
            stack.callback(service.kill)
        lost = Rule(action=Action.DROP_AFTER, service="kinesis", operations=PUT, chance=0.3)
        muted = Rule(action=Action.MUTE, service="kinesis", operations=PUT, limit=1)
        transformer.start()
        with proxy.rules(muted, lost) as (never_answered, answers_lost):
            poller.start(ready=False)
            # The poller waits for an answer as long as it may; the rows of its first page are there before that.
            wait_until(lambda: totals(pipeline).committed >= PAGE_EVENTS, PATIENCE, transformer.tail)
            assert totals(pipeline).put == 0
            if killed:
                transformer.kill()
                transformer.start(ready=False)
            drain(pipeline, [str(source)], EVENTS)
        verdict = examine(pipeline, traffic)
        reconciled = pipeline.headrace("job", "reconcile", "--format", "csv")
    repeated = PAGE_EVENTS * (never_answered.total() + answers_lost.total())
    table.append(
        f"a producer whose puts time out{', transformer killed' if killed else ''}: {verdict.landed} rows, "
        f"{verdict.duplicates} repeats dropped, {verdict.lost.total()} lost, {verdict.doubled.total()} doubled"
    )
    verdict.require_exactly_once(again)
    assert reconciled.returncode == 0, reconciled.stdout + reconciled.stderr
    assert never_answered.total() == 1
    assert verdict.duplicates == repeated
