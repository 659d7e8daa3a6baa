"""One stack for all tests here. scripts/compose_test.sh sees to the engine, the base image and Prometheus."""

import sys
from collections.abc import Iterator

import pytest

from tests.compose.stack import Stack


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    stack = Stack()
    stack.compose("--profile", "jobs", "build", "--quiet")
    try:
        stack.up()
        yield stack
    finally:
        sys.stderr.write(stack.compose("logs", "--tail", "40"))  # pytest shows it when something failed
        stack.compose("down", "--volumes", "--timeout", "60")
