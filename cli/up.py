"""`headrace up`: the local cloud and every service, each its own process, from start to drain."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Coroutine
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
import typer
from rich.console import Console

from cli import plan, ports, welcome
from cli.cloud import DEFAULT_DATA, athena_program, environment, local_environment
from cli.drained import AwsObserver, Observer, Totals, wait_drained
from cli.folder import Cloud, DataFolder
from cli.logview import LogView
from cli.program import RestartPolicy
from cli.supervisor import Supervisor
from deploy.local.emulator import Emulator
from deploy.local.resources import ensure_resources, ensure_workgroup
from headrace.aws.session import AwsSession
from headrace.clock import SystemClock
from headrace.errors import ConfigError, HeadraceError, UnavailableError
from headrace.settings import Settings, load
from services.api_consumer.app import cursor_keys

T = TypeVar("T")

READY_SECONDS = 60.0
DRAIN_SECONDS = 12.0
"""For all services together; the emulator then saves its state, as long as that takes."""
ME = "up"


def up(
    files: Annotated[list[str] | None, typer.Argument(hidden=True)] = None,
    *,
    source: Annotated[
        list[str] | None,
        typer.Option(
            metavar="URL|FILE…",
            help="A web traffic API, or files: .jsonl .json .csv, each also .gz. Default: a simulator.",
        ),
    ] = None,
    mapping: Annotated[Path | None, typer.Option(metavar="FILE", help="TOML: how foreign events become ours.")] = None,
    until_drained: Annotated[
        bool,
        typer.Option("--until-drained", help="End once all files are in the table; print counts as JSON."),
    ] = False,
    data: Annotated[Path, typer.Option(metavar="DIR", help="Where the local cloud keeps its state.")] = DEFAULT_DATA,
    scale: Annotated[list[str] | None, typer.Option(metavar="transformer=N", help="Run so many transformers.")] = None,
    stream: Annotated[str, typer.Option(metavar="kinesis|kafka", help="What carries the events.")] = "kinesis",
    shards: Annotated[int, typer.Option(min=1, max=64, help="Of the stream, when it is first made.")] = 2,
    rate: Annotated[float, typer.Option(min=0.01, help="Events a second from the simulator.")] = 50.0,
    seed: Annotated[int, typer.Option(help="Of the simulator.")] = 0,
) -> None:
    """Start the local cloud and every service; Ctrl-C drains and stops them.

    Example: [bold]headrace up[/bold]

    Example: [bold]headrace up --source day.jsonl.gz --mapping shop.toml --until-drained[/bold]

    Ports are moved by HEADRACE_LOCAL_AWS_PORT (4566), HEADRACE_LOCAL_ATHENA_PORT (4567), HEADRACE_STATS_PORT (8080),
    HEADRACE_SIMULATOR_PORT (8079) and HEADRACE_METRICS_PORT_BASE (9101); 0 takes any free one.
    """
    options = plan.check_options(
        data=data,
        source=[*(source or []), *(files or [])],
        mapping=mapping,
        until_drained=until_drained,
        scale=scale or [],
        stream=stream,
        shards=shards,
        rate=rate,
        seed=seed,
    )
    settings = load(api_url=options.url or "", source_files=list(map(str, options.files)))
    if not settings.stream_url.startswith("kinesis://"):
        raise ConfigError(["HEADRACE_STREAM: only kinesis:// runs here yet"])
    folder = DataFolder(data)
    with folder.hold() as lock:
        chosen = ports.choose(plan.process_names(options), os.environ)
        raise typer.Exit(asyncio.run(_run(options, settings, folder, lock, chosen)))


async def _run(options: plan.Options, settings: Settings, folder: DataFolder, lock: int, chosen: dict[str, int]) -> int:
    return await _Up(options, settings, folder, lock, chosen).run()


class _Up:
    """One run: start → ready → (drained | interrupted | failed) → drain → saved."""

    def __init__(
        self, options: plan.Options, settings: Settings, folder: DataFolder, lock: int, chosen: dict[str, int]
    ) -> None:
        self._options = options
        self._settings = settings
        self._folder = folder
        self._chosen = chosen
        self._started = time.monotonic()
        self._console = Console(stderr=True)
        self._view = LogView(self._console, raw=settings.log_format == "json")
        for name in (ME, *plan.process_names(options)):
            self._view.introduce(name)
        self._emulator = Emulator(chosen[ports.AWS], folder.path, lock)
        self._supervisor = Supervisor(self._view, policy=RestartPolicy(forgiving=not options.until_drained))
        self._cloud = Cloud(
            pid=os.getpid(),
            aws=self._emulator.url,
            athena=_url(chosen[ports.ATHENA]),
            region=settings.region,
            services={name: _url(port) for name, port in chosen.items() if name not in {ports.AWS, ports.ATHENA}},
        )

    async def run(self) -> int:
        """The exit status. Raises `HeadraceError` when something failed for good, after all is stopped."""
        interrupts = _Interrupts(self._on_interrupt)
        with environment(local_environment(os.environ, self._cloud)):
            try:
                summary = await _first(self._work(), interrupts.wait(), self._failed())
            finally:
                await self._stop()
        if summary is None:
            if self._options.until_drained:
                raise HeadraceError("interrupted before everything was in the table")
            return 1 if interrupts.count > 1 else 0
        sys.stdout.write(msgspec.json.encode(summary).decode() + "\n")
        return 0

    async def _work(self) -> dict[str, Any] | None:
        self._view.say(ME, f"starting the local cloud on {self._options.data}")
        env = plan.service_environment(os.environ, self._folder.anonymous_key())
        self._supervisor.start([athena_program(self._chosen[ports.ATHENA], env)])
        if self._options.simulated:
            self._supervisor.start([plan.plan_simulator(self._options, self._chosen[ports.SIMULATOR], env)])
        await self._emulator.start()
        return await _first(self._serve(env), self._emulator_ended())

    async def _serve(self, env: dict[str, str]) -> dict[str, Any] | None:
        options, chosen = self._options, self._chosen
        async with AwsSession(self._settings.region) as aws:
            await ensure_resources(aws, self._settings, shards=options.shards)
            await self._supervisor.wait_ready([ports.ATHENA], READY_SECONDS)
            await ensure_workgroup(aws, self._settings)
            observer = AwsObserver(aws, self._settings)
            before = (await observer.observe()).totals
            self._supervisor.start(plan.plan_services(options, chosen, env))
            self._folder.announce(self._cloud)
            await self._supervisor.wait_ready([name for name in chosen if name != ports.AWS], READY_SECONDS)
            self._folder.announce(msgspec.structs.replace(self._cloud, pids=self._supervisor.pids))
            seconds = time.monotonic() - self._started
            if not options.until_drained:
                welcome.show(self._console, self._cloud, options.data, DEFAULT_DATA, seconds)
                await asyncio.get_running_loop().create_future()  # until interrupted
            self._view.say(ME, f"ready after {seconds:.1f} s, reading to the end")
            after = await self._drained(observer, before)
            return {**asdict(after.since(before)), "seconds": round(time.monotonic() - self._started, 3)}

    async def _drained(self, observer: Observer, before: Totals) -> Totals:
        sources = cursor_keys(self._settings)
        with self._console.status("reading the source …") as status:

            def show(totals: Totals) -> None:
                now = totals.since(before)
                status.update(
                    f"polled {now.polled:,} · committed {now.committed:,} · dead letters {now.dead_lettered:,} · "
                    f"{time.monotonic() - self._started:.0f} s"
                )

            return await wait_drained(observer, sources, SystemClock(), show)

    async def _failed(self) -> None:
        raise await self._supervisor.failed()

    async def _emulator_ended(self) -> None:
        status = await self._emulator.wait()
        raise UnavailableError(
            f"the local cloud ended by itself with status {status}; see {self._folder.path}/emulator.log"
        )

    async def _stop(self) -> None:
        started = time.monotonic()
        self._folder.retract()
        await self._supervisor.stop(DRAIN_SECONDS)
        self._view.say(ME, "saving the local cloud")
        await self._emulator.stop()
        self._view.say(ME, f"stopped, all is saved ({time.monotonic() - started:.1f} s)")

    def _on_interrupt(self, count: int) -> None:
        match count:
            case 1:
                self._view.say(ME, "draining: sources first, the local cloud last; once more to stop at once")
            case 2:
                self._view.say(ME, "killing the services; the local cloud still saves its state", level="warning")
                self._supervisor.kill()
            case _:
                self._view.say(ME, "killing the local cloud: what it held since its last start is lost", level="error")
                self._emulator.kill()


class _Interrupts:
    """SIGINT and SIGTERM, counted: the first asks for a drain, each further one for more haste.

    A terminal that is closed (SIGHUP) asks for a drain, too, in silence.
    """

    def __init__(self, on_interrupt: Callable[[int], None]) -> None:
        self._on_interrupt = on_interrupt
        self.count = 0
        """How often so far."""
        self._first = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self._interrupted)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as under nohup
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._hung_up)

    async def wait(self) -> None:
        """Return at the first one."""
        await self._first.wait()

    def _hung_up(self) -> None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in (sys.stdout, sys.stderr):
            if stream.isatty():
                os.dup2(nowhere, stream.fileno())
        if self.count == 0:
            self._interrupted()

    def _interrupted(self) -> None:
        self.count += 1
        self._first.set()
        self._on_interrupt(self.count)


async def _first(*runs: Coroutine[Any, Any, T]) -> T:
    """The result, or the error, of what ends first; the others are cancelled and awaited."""
    tasks = [asyncio.create_task(run) for run in runs]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return next(task for task in tasks if task in done).result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _url(port: int) -> str:
    return f"http://127.0.0.1:{port}"
