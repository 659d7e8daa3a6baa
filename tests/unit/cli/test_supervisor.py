"""The supervisor on tiny stand-in processes: they answer on a port, and end as they are told."""

import asyncio
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from rich.console import Console

from cli.logview import LogView
from cli.program import Program, RestartPolicy, Stage
from cli.supervisor import ServiceFailedError, Supervisor, problems_in
from headrace.errors import ConfigError
from tests.conftest import free_port

STAND_IN = """
import signal, sys, threading
from http.server import BaseHTTPRequestHandler, HTTPServer

name, port, behaviour, journal = sys.argv[1:]

def note(what):
    with open(journal, "a") as file:
        file.write(f"{name} {what}\\n")

class Ready(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
    def log_message(self, *args):
        pass

def stop(*_):
    note("stopped")
    sys.exit(0)

note("started")
if behaviour == "crash":
    sys.exit(3)
if behaviour == "misconfigured":
    print("service: wrong configuration\\n  S3_BUCKET: must not be empty", flush=True)
    sys.exit(2)
if behaviour == "finish":
    sys.exit(0)
signal.signal(signal.SIGTERM, signal.SIG_IGN if behaviour == "stubborn" else stop)
if behaviour == "silent":
    signal.pause()
HTTPServer(("127.0.0.1", int(port)), Ready).serve_forever()
"""

Make = Callable[..., Program]


class Journal:
    """What the stand-ins wrote down: one `name started` or `name stopped` a line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.path.touch()

    def lines(self) -> list[str]:
        return self.path.read_text().splitlines()


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal")


@pytest.fixture
def make(tmp_path: Path, journal: Journal) -> Make:
    (tmp_path / "stand_in.py").write_text(STAND_IN)

    def program(name: str, behaviour: str = "serve", stage: Stage = Stage.SOURCE) -> Program:
        port = free_port()
        return Program(
            name=name,
            module="stand_in",
            args=(name, str(port), behaviour, str(journal.path)),
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
            ready_url=f"http://127.0.0.1:{port}/",
            stage=stage,
        )

    return program


@pytest.fixture
def output() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
async def supervisor(output: io.StringIO) -> AsyncIterator[Supervisor]:
    policy = RestartPolicy(first_seconds=0.05, most_seconds=0.1, give_up_after=3)
    made = Supervisor(LogView(Console(file=output)), policy=policy)
    yield made
    made.kill()
    await made.stop(within=5)


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


async def test_processes_stop_in_the_order_of_their_stages(
    supervisor: Supervisor, make: Make, journal: Journal
) -> None:
    programs = [make("query", stage=Stage.QUERY), make("source"), make("transform", stage=Stage.TRANSFORM)]
    supervisor.start(programs)
    await supervisor.wait_ready([program.name for program in programs], within=10)
    assert sorted(supervisor.pids) == ["query", "source", "transform"]
    assert await supervisor.stop(within=10)
    stopped = [line.split()[0] for line in journal.lines() if line.endswith("stopped")]
    assert stopped == ["source", "transform", "query"]
    assert supervisor.pids == {}


async def test_a_killed_process_is_started_again(supervisor: Supervisor, make: Make, output: io.StringIO) -> None:
    supervisor.start([make("service")])
    await supervisor.wait_ready(["service"], within=10)
    first = supervisor.pids["service"]
    os.kill(first, signal.SIGKILL)
    await until(lambda: supervisor.pids.get("service", first) != first)
    await supervisor.wait_ready(["service"], within=10)
    assert "killed by SIGKILL; starting it again in 0.05 s" in output.getvalue()


async def test_an_exit_with_status_0_that_nobody_asked_for_is_a_crash(
    supervisor: Supervisor, make: Make, journal: Journal
) -> None:
    supervisor.start([make("service", "finish")])
    await until(lambda: journal.lines().count("service started") >= 2)


async def test_a_process_that_keeps_crashing_fails_the_run_with_its_name_and_status(
    supervisor: Supervisor, make: Make, journal: Journal
) -> None:
    supervisor.start([make("service", "crash")])
    async with asyncio.timeout(10):
        failure = await supervisor.failed()
    assert isinstance(failure, ServiceFailedError)
    assert str(failure) == "service ended 3 times in a row, the last time: ended with status 3"
    assert journal.lines() == ["service started"] * 3


async def test_a_process_that_was_ready_once_is_never_given_up(
    supervisor: Supervisor, make: Make, journal: Journal
) -> None:
    supervisor.start([make("service")])
    for starts in range(1, 6):  # give up would be after 3
        await supervisor.wait_ready(["service"], within=10)
        os.kill(supervisor.pids["service"], signal.SIGKILL)
        await until(lambda more=starts: journal.lines().count("service started") > more)


async def test_a_wrong_configuration_is_not_retried_and_told_in_the_words_of_the_process(
    supervisor: Supervisor, make: Make, journal: Journal
) -> None:
    supervisor.start([make("service", "misconfigured")])
    async with asyncio.timeout(10):
        failure = await supervisor.failed()
    assert isinstance(failure, ConfigError)
    assert failure.problems == ("service: S3_BUCKET: must not be empty",)
    assert journal.lines() == ["service started"]


async def test_who_is_not_ready_in_time_is_named(supervisor: Supervisor, make: Make) -> None:
    supervisor.start([make("quick"), make("silent", "silent")])
    with pytest.raises(ServiceFailedError, match=r"not ready after 2 s: silent$"):
        await supervisor.wait_ready(["quick", "silent"], within=2)


async def test_a_process_that_ignores_sigterm_is_killed_when_the_time_is_up(
    supervisor: Supervisor, make: Make, output: io.StringIO
) -> None:
    supervisor.start([make("stubborn", "stubborn")])
    await supervisor.wait_ready(["stubborn"], within=10)
    assert not await supervisor.stop(within=0.2)
    assert "did not stop in time, killed" in output.getvalue()


async def test_a_stop_during_the_back_off_does_not_wait_for_it(make: Make, journal: Journal) -> None:
    supervisor = Supervisor(LogView(Console(file=io.StringIO())), policy=RestartPolicy(first_seconds=60))
    supervisor.start([make("service", "crash")])
    await until(lambda: not supervisor.pids and journal.lines() == ["service started"])
    started = time.monotonic()
    assert await supervisor.stop(within=30)
    assert time.monotonic() - started < 5


def test_children_die_with_a_parent_that_is_killed(tmp_path: Path, make: Make, journal: Journal) -> None:
    program = make("orphan")
    parent = f"""
import asyncio, os, sys
from rich.console import Console
from cli.logview import LogView
from cli.program import Program, Stage
from cli.supervisor import Supervisor

async def main():
    supervisor = Supervisor(LogView(Console(stderr=True)))
    supervisor.start([Program(
        name="orphan", module="stand_in", args={program.args!r}, env=dict(os.environ),
        ready_url={program.ready_url!r}, stage=Stage.SOURCE,
    )])
    await supervisor.wait_ready(["orphan"], within=20)
    print(supervisor.pids["orphan"], flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""
    path = os.pathsep.join([str(tmp_path), str(Path.cwd())])
    env = {**os.environ, "PYTHONPATH": path}
    with subprocess.Popen([sys.executable, "-c", parent], env=env, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        process.kill()
    deadline = time.monotonic() + 10
    while Path(f"/proc/{child}").exists() and "zombie" not in Path(f"/proc/{child}/status").read_text():
        assert time.monotonic() < deadline, "the child outlived its parent"
        time.sleep(0.02)


def test_problems_are_found_in_a_log_line_as_well() -> None:
    lines = [
        '{"event": "service.started"}',
        '{"event": "service.misconfigured", "problems": ["A: wrong", "B: too"]}',
        "x",
    ]
    assert problems_in(lines) == ["A: wrong", "B: too"]


@pytest.mark.parametrize(("ends", "seconds"), [(1, 0.5), (2, 1), (3, 2), (5, 8), (6, 10), (500, 10)])
def test_the_back_off_doubles_up_to_its_limit(ends: int, seconds: float) -> None:
    assert RestartPolicy().delay(ends) == seconds
