"""Keeps processes running: start, wait until ready, restart what crashes, stop in order.

stopped ──start──▶ running ──ends by itself──▶ waiting ──back-off is over──▶ running
                      │                           │
                      └──────────stop─────────────┴──▶ stopped
"""

import asyncio
import contextlib
import json
import signal
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable

import aiohttp

from cli.logview import LogView
from cli.program import Program, RestartPolicy
from deploy.local import child
from headrace.clock import Clock, SystemClock
from headrace.errors import ConfigError, HeadraceError

LINE_BYTES = 1 << 16
LAST_LINES = 20
"""Kept of each process, to tell what was wrong with it."""
PROBE_SECONDS = 0.1
PROBE_TIMEOUT = aiohttp.ClientTimeout(total=6)
"""A service gives each of its own checks 5 s."""
CONFIGURATION = 2
"""The exit status of a service whose configuration is wrong."""


class ServiceFailedError(HeadraceError):
    """A process that restarting does not mend."""


class _Child:
    """A program and the process that runs it now."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.process: asyncio.subprocess.Process | None = None
        self.stopping = asyncio.Event()
        self.was_ready = False
        self.last_lines: deque[str] = deque(maxlen=LAST_LINES)

    def send(self, number: signal.Signals) -> None:
        if self.process is not None and self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(number)


class Supervisor:
    """A set of running programs. Use it from the main thread: children are tied to the thread that starts them."""

    def __init__(self, view: LogView, *, policy: RestartPolicy | None = None, clock: Clock | None = None) -> None:
        self._view = view
        self._policy = policy or RestartPolicy()
        self._clock = clock or SystemClock()
        self._children: dict[str, _Child] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._failure: asyncio.Future[HeadraceError] = asyncio.get_running_loop().create_future()

    @property
    def pids(self) -> dict[str, int]:
        """Process ids of what runs now, by name."""
        running = ((name, kept.process) for name, kept in self._children.items())
        return {name: process.pid for name, process in running if process and process.returncode is None}

    def start(self, programs: Iterable[Program]) -> None:
        """Start the programs, all at once, and keep them running from now on."""
        for program in programs:
            self._view.introduce(program.name)
            kept = self._children[program.name] = _Child(program)
            self._tasks[program.name] = asyncio.create_task(self._keep(kept), name=program.name)

    async def failed(self) -> HeadraceError:
        """Wait until a process is beyond help: `ConfigError` or `ServiceFailedError`, as a value."""
        return await asyncio.shield(self._failure)

    async def wait_ready(
        self, names: Iterable[str], within: float, on_ready: Callable[[str], None] = lambda _: None
    ) -> None:
        """Wait until each answers; `on_ready` hears of it. Raises `ServiceFailedError` when the time is up."""
        waiting = set(names)

        async def wait(http: aiohttp.ClientSession, name: str) -> None:
            await self._ready(http, self._children[name])
            self._children[name].was_ready = True
            waiting.remove(name)
            on_ready(name)

        try:
            async with (
                asyncio.timeout(within),
                aiohttp.ClientSession(timeout=PROBE_TIMEOUT) as http,
                asyncio.TaskGroup() as group,
            ):
                for name in sorted(waiting):
                    group.create_task(wait(http, name))
        except TimeoutError:
            late = ", ".join(sorted(waiting))
            raise ServiceFailedError(f"not ready after {within:.0f} s: {late}") from None

    async def stop(self, within: float) -> bool:
        """SIGTERM, stage by stage; what is left when the time is up is killed. False when something had to be."""
        deadline = self._clock.monotonic() + within
        clean = True
        for stage in sorted({kept.program.stage for kept in self._children.values()}):
            names = [name for name, kept in self._children.items() if kept.program.stage == stage]
            for name in names:
                self._children[name].stopping.set()
                self._children[name].send(signal.SIGTERM)
            tasks = [self._tasks[name] for name in names]
            _, pending = await asyncio.wait(tasks, timeout=max(0.0, deadline - self._clock.monotonic()))
            for task in pending:
                clean = False
                self._view.say(task.get_name(), "did not stop in time, killed", level="warning")
                self._children[task.get_name()].send(signal.SIGKILL)
            await asyncio.gather(*tasks)
        self._children.clear()
        self._tasks.clear()
        return clean

    def kill(self) -> None:
        """SIGKILL to all, for the impatient; `stop` then has nothing to wait for."""
        for kept in self._children.values():
            kept.stopping.set()
            kept.send(signal.SIGKILL)

    async def _keep(self, kept: _Child) -> None:
        program, ends = kept.program, 0
        while not kept.stopping.is_set():
            started = self._clock.monotonic()
            status = await self._run(kept)
            if kept.stopping.is_set():
                if status not in (0, -signal.SIGTERM, -signal.SIGKILL):
                    self._view.say(program.name, f"{_ending(status)} while stopping", level="warning")
                return
            if status == CONFIGURATION:
                problems = problems_in(kept.last_lines) or ["see above"]
                self._fail(ConfigError([f"{program.name}: {problem}" for problem in problems]))
                return
            ends = 1 if self._clock.monotonic() - started >= self._policy.stable_seconds else ends + 1
            hopeless = not (kept.was_ready and self._policy.forgiving)
            if hopeless and ends >= self._policy.give_up_after:
                message = f"{program.name} ended {ends} times in a row, the last time: {_ending(status)}"
                self._fail(ServiceFailedError(message))
                return
            delay = self._policy.delay(ends)
            self._view.say(program.name, f"{_ending(status)}; starting it again in {delay:g} s", level="warning")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await kept.stopping.wait()

    async def _run(self, kept: _Child) -> int:
        program = kept.program
        kept.process = process = await asyncio.create_subprocess_exec(
            *child.command(program.module, *program.args, when_orphaned=signal.SIGKILL),
            env=program.env,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,  # a Ctrl-C on the terminal reaches it through us, in order
        )
        if kept.stopping.is_set():  # asked while it was being started
            kept.send(signal.SIGTERM)
        assert process.stdout is not None
        async for line in _lines(process.stdout):
            kept.last_lines.append(line.decode("utf-8", "replace"))
            self._view.line(program.name, line)
        return await process.wait()

    async def _ready(self, http: aiohttp.ClientSession, kept: _Child) -> None:
        while True:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                async with http.get(kept.program.ready_url) as response:
                    if response.ok:
                        return
            await self._clock.sleep(PROBE_SECONDS)

    def _fail(self, error: HeadraceError) -> None:
        if not self._failure.done():
            self._failure.set_result(error)


def problems_in(lines: Iterable[str]) -> list[str]:
    """What a service says about its configuration, before its log is set up (indented lines) or after."""
    problems: list[str] = []
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            problems += [line.strip()] if line.startswith("  ") else []
            continue
        if isinstance(event, dict) and event.get("event") == "service.misconfigured":
            problems += map(str, event.get("problems", ()))
    return problems


def _ending(status: int) -> str:
    return f"killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"


async def _lines(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """Lines to the end of the stream; a longer one than `LINE_BYTES` comes in pieces, so that none can fill memory."""
    rest = b""
    while chunk := await reader.read(LINE_BYTES):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line
        if len(rest) >= LINE_BYTES:
            yield rest
            rest = b""
    if rest:
        yield rest
