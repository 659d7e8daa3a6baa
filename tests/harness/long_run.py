"""A pytest plugin for runs of minutes: how much and from which seed, and what is shown on the way and at the end."""

from collections.abc import Callable
from typing import Any

import pytest

line = "{:<52}{:>10}".format
"""Of a report: what, and how often."""

LINES: pytest.StashKey[list[str]] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("long run")
    group.addoption("--events", type=int, default=50_000, help="How many are put in.")
    group.addoption("--seed", type=int, default=1, help="Of events, blows and faults.")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[LINES] = []


@pytest.fixture(scope="session")
def events(pytestconfig: pytest.Config) -> int:
    return int(pytestconfig.getoption("--events"))


@pytest.fixture(scope="session")
def seed(pytestconfig: pytest.Config) -> int:
    return int(pytestconfig.getoption("--seed"))


@pytest.fixture(scope="session")
def table(pytestconfig: pytest.Config) -> list[str]:
    """Lines to be printed at the end."""
    return pytestconfig.stash[LINES]


@pytest.fixture
def say(pytestconfig: pytest.Config) -> Callable[[str], None]:
    """Prints a line at once: the run takes minutes."""
    capture: Any = pytestconfig.pluginmanager.get_plugin("capturemanager")
    terminal: Any = pytestconfig.pluginmanager.get_plugin("terminalreporter")

    def line(text: str) -> None:
        with capture.global_and_fixture_disabled():
            terminal.ensure_newline()
            terminal.write_line(text)

    return line


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if config.stash[LINES]:
        terminalreporter.section("what was done, and what came of it")
        for line in config.stash[LINES]:
            terminalreporter.write_line(line)
