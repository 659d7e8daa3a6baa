"""One pipeline for all scenarios, and the table of what they found."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.harness.pipeline import Pipeline
from tests.harness.proxy import FaultProxy
from tests.harness.service import Service

SEED = 20261122


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a fault."""

    fault: str
    injected: int
    """Calls that were hit, or processes killed."""
    put: int
    lost: int
    duplicates: int
    """Rows beyond the first of their event id."""
    recovery: float
    """Seconds from the end of the fault until everything put was in the table."""


OUTCOMES: pytest.StashKey[list[Outcome]] = pytest.StashKey()
NOTES: pytest.StashKey[list[str]] = pytest.StashKey()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[OUTCOMES] = []
    config.stash[NOTES] = []


@pytest.fixture(scope="session")
def outcomes(pytestconfig: pytest.Config) -> list[Outcome]:
    """To be added to."""
    return pytestconfig.stash[OUTCOMES]


@pytest.fixture(scope="session")
def notes(pytestconfig: pytest.Config) -> list[str]:
    """Lines to be printed below the table."""
    return pytestconfig.stash[NOTES]


@pytest.fixture(scope="session")
def proxy(ministack_url: str, athena_url: str) -> Iterator[FaultProxy]:
    """Between the services and the local cloud."""
    with FaultProxy(ministack_url, others={"athena": athena_url}, seed=SEED) as proxy:
        yield proxy


@pytest.fixture(scope="session")
def pipeline(
    ministack_url: str, athena_url: str, proxy: FaultProxy, tmp_path_factory: pytest.TempPathFactory
) -> Pipeline:
    """Stream, bucket, queue and tables, and no service yet."""
    return Pipeline(ministack_url, {"athena": athena_url}, proxy, tmp_path_factory.mktemp("pipeline"))


@pytest.fixture(scope="session")
def transformer(pipeline: Pipeline) -> Iterator[Service]:
    """The one transformer, at work."""
    yield from _running(pipeline.service("transformer"))


@pytest.fixture(scope="session")
def partitioner(pipeline: Pipeline) -> Iterator[Service]:
    """The partitioner, at work."""
    yield from _running(pipeline.service("partitioner"))


@pytest.fixture(scope="session")
def stats_api(pipeline: Pipeline) -> Iterator[Service]:
    """The stats API, at work."""
    yield from _running(pipeline.service("stats_api"))


def _running(service: Service) -> Iterator[Service]:
    try:
        service.start()
        yield service
    finally:
        service.kill()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """fault, injected, put, lost, duplicates, recovery."""
    outcomes, notes = config.stash[OUTCOMES], config.stash[NOTES]
    if not outcomes and not notes:
        return
    terminalreporter.section("faults")
    line = "{:<44}{:>9}{:>9}{:>6}{:>12}{:>12}".format
    terminalreporter.write_line(line("fault", "injected", "put", "lost", "duplicates", "recovery s"))
    for each in outcomes:
        numbers = (each.injected, each.put, each.lost, each.duplicates, f"{each.recovery:.1f}")
        terminalreporter.write_line(line(each.fault, *numbers))
    for note in notes:
        terminalreporter.write_line(note)
