"""Each of our services killed with -9 under load, and started again: every event is one row."""

import json
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from http.client import HTTPException
from pathlib import Path

import pytest

from tests.faults.conftest import Outcome
from tests.faults.scenario import Load, to_stream
from tests.harness.pipeline import Pipeline, event, wait_until
from tests.harness.service import Service

BEFORE_SECONDS = 2.0
DOWN_SECONDS = 1.0
KILLS = 2
RECOVERY_SECONDS = 20.0
PATIENCE = 60.0
FILE_EVENTS = 60_000


@contextmanager
def killed(service: Service) -> Iterator[None]:
    """Kill it in the middle of its work, more than once; it runs again when the block begins."""
    for _ in range(KILLS):
        time.sleep(BEFORE_SECONDS)  # how long it works before it dies is the scenario
        service.kill()
        time.sleep(DOWN_SECONDS)
        service.start(ready=False)
    yield


def account(
    fault: str, load: Load, pipeline: Pipeline, since: float, outcomes: list[Outcome], tail: Callable[[], str]
) -> None:
    """Wait until all is there, and write down what came of it."""
    wait_until(lambda: set(load.ids) <= pipeline.landed(load.hour).keys(), PATIENCE, tail)
    wait_until(lambda: pipeline.registered(load.hour), PATIENCE, tail)
    recovery = time.monotonic() - since
    rows = pipeline.landed(load.hour)
    outcomes.append(
        Outcome(
            fault=fault,
            injected=KILLS,
            put=len(load.ids),
            lost=len(set(load.ids) - rows.keys()),
            duplicates=rows.total() - len(rows),
            recovery=recovery,
        )
    )
    assert rows == Counter(load.ids)
    assert recovery <= RECOVERY_SECONDS


@pytest.mark.parametrize("name", ["transformer", "partitioner"])
def test_a_killed_consumer_goes_on_where_it_had_committed(
    name: str,
    pipeline: Pipeline,
    transformer: Service,
    partitioner: Service,
    outcomes: list[Outcome],
) -> None:
    service = {"transformer": transformer, "partitioner": partitioner}[name]
    load = Load(f"{name}-killed")
    with load.running(to_stream(pipeline, load)), killed(service):
        since = time.monotonic()
    account(f"{name} killed", load, pipeline, since, outcomes, service.tail)


def test_a_killed_stats_api_has_put_on_the_stream_what_it_accepted(
    pipeline: Pipeline, transformer: Service, partitioner: Service, stats_api: Service, outcomes: list[Outcome]
) -> None:
    load = Load("stats_api-killed")

    def collect(ids: Sequence[str]) -> bool:
        body = json.dumps([event(each, load.hour, product=load.product) for each in ids]).encode()
        request = urllib.request.Request(
            f"{stats_api.url}/v1/collect", data=body, headers={"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return int(json.load(answer)["accepted"]) == len(ids)
        except (OSError, HTTPException):
            return False  # not accepted: the client keeps it

    with load.running(collect), killed(stats_api):
        wait_until(lambda: stats_api.status("/readyz") == 200, PATIENCE, stats_api.tail)
        since = time.monotonic()
    account("stats_api killed", load, pipeline, since, outcomes, stats_api.tail)


def test_a_killed_poller_goes_on_behind_the_page_it_had_finished(
    pipeline: Pipeline, transformer: Service, partitioner: Service, outcomes: list[Outcome], tmp_path: Path
) -> None:
    load = Load("api_consumer-killed")
    load.ids = load.fresh(FILE_EVENTS)
    source = tmp_path / "source.jsonl"
    with source.open("w") as lines:
        for event_id in load.ids:
            lines.write(json.dumps(event(event_id, load.hour, product=load.product)) + "\n")
    poller = pipeline.service("api_consumer", files=[source], HEADRACE_PAGE_LIMIT="200")
    with ExitStack() as stack:
        stack.callback(poller.kill)
        poller.start()
        with killed(poller):
            seen = len(pipeline.landed(load.hour))
            assert seen < FILE_EVENTS, "it was done before it was killed"
            since = time.monotonic()
        account("api_consumer killed", load, pipeline, since, outcomes, poller.tail)
