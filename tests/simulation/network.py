"""Between a worker and its ports: every call passes here, takes a little time, and can go wrong.

A write, once sent, lands whatever becomes of its sender: it is carried by a task of the world's, not of the worker's.
"""

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from headrace.errors import HeadraceError, UnavailableError
from headrace.lake.ports import StagedObject
from headrace.leases.model import Lease
from tests.simulation.faults import DELAYS, ERRORS, JUMP_SECONDS, READS, STALL_SECONDS, Fault

if TYPE_CHECKING:
    from tests.simulation.worker import Worker
    from tests.simulation.world import World

LATENCY_SECONDS = 0.02
"""At most, one way, unless a world says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A call to a port, to be made once."""

    name: str
    target: Callable[..., Awaitable[Any]]
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    async def __call__(self) -> Any:
        """Make it."""
        return await self.target(*self.args, **self.kwargs)

    @property
    def subject(self) -> str:
        """What it is about, for people."""
        match self.args[0] if self.args else None:
            case Lease() as lease:
                return f"{lease.shard_id} epoch {lease.epoch} batch {lease.batch_no}"
            case StagedObject() as staged:
                return f"{staged.key} ({staged.upload_id})"
            case str() as text:
                batch = self.args[1] if self.name == "counters.apply" else ""
                return f"{text} {batch}".rstrip()
            case _:
                return ""


class Ported:
    """A port as one worker sees it. Coroutine methods pass through the network, the rest is as it is."""

    def __init__(self, inner: Any, port: str, network: "Network") -> None:
        self._inner = inner
        self._port = port
        self._network = network

    def __getattr__(self, method: str) -> Any:
        target = getattr(self._inner, method)
        name = f"{self._port}.{method}"
        if inspect.isasyncgenfunction(target):
            through: Any = partial(self._network.iterate, name, target)
        elif inspect.iscoroutinefunction(target):
            through = partial(self._network.call, name, target)
        else:
            through = target
        setattr(self, method, through)
        return through


class Network:
    """One worker's way to its ports."""

    def __init__(self, world: "World", worker: "Worker") -> None:
        self._world = world
        self._worker = worker

    async def call(self, name: str, target: Callable[..., Awaitable[Any]], *args: Any, **kwargs: Any) -> Any:
        """One call, with whatever the world has decided shall happen to it."""
        request = Request(name=name, target=target, args=args, kwargs=kwargs)
        fault = await self._begin(request)
        return await (self._read(fault, request) if name in READS else self._write(fault, request))

    async def iterate(self, name: str, target: Callable[..., AsyncIterator[Any]], *args: Any, **kwargs: Any) -> Any:
        """A listing: one call, then items."""

        async def everything(*args: Any, **kwargs: Any) -> list[Any]:
            return [item async for item in target(*args, **kwargs)]

        for item in await self.call(name, everything, *args, **kwargs):
            yield item

    async def local(self, name: str, target: Callable[..., Awaitable[Any]], *args: Any) -> Any:
        """An await that leaves the process alone: the worker can be stopped or vanish there, the call cannot fail."""
        request = Request(name=name, target=target, args=args)
        await self._begin(request)
        result = await request()
        await self._worker.awake()
        return result

    async def _begin(self, request: Request) -> Fault | None:
        await self._worker.awake()
        fault = self._world.announce(self._worker, request)
        match fault:
            case Fault.PAUSE:
                self._worker.pause(STALL_SECONDS)
                await self._worker.awake()
            case Fault.CRASH:
                self._worker.crash()
                await self._worker.awake()
            case Fault.BACK:
                self._worker.clock.jump(-JUMP_SECONDS)
            case Fault.AHEAD:
                self._worker.clock.jump(JUMP_SECONDS)
            case Fault.TERM:
                self._worker.terminate()
            case Fault.DEPLOY:
                self._world.deploy(self._worker)
            case Fault.FAIL | Fault.THROTTLE | Fault.DENY:
                await self._travel()
                raise ERRORS[fault](f"simulated: {fault}")
        return fault

    async def _read(self, fault: Fault | None, request: Request) -> Any:
        await asyncio.sleep(DELAYS[Fault.HANG] if fault is Fault.HANG else self._world.latency())
        result = await request()
        await self._return(fault)
        return result

    async def _write(self, fault: Fault | None, request: Request) -> Any:
        delay = (fault and DELAYS.get(fault)) or self._world.latency()
        sent = self._world.carrier.send(request, delay, torn=fault is Fault.TEAR)
        if fault in {Fault.LATE, Fault.OVERDUE}:
            await self._travel()
            raise UnavailableError(f"simulated: {fault}")
        if fault in {Fault.CRASH_LATE, Fault.CRASH_OVERDUE}:
            self._worker.crash()
            await self._worker.awake()
        outcome = await asyncio.shield(sent)
        await self._return(fault)
        if fault in {Fault.LOSE, Fault.TEAR}:
            raise UnavailableError(f"simulated: {fault}")
        if isinstance(outcome, HeadraceError):
            raise outcome
        if request.name == "leases.take":
            self._worker.taken.add((outcome.key, outcome.epoch))
        return outcome

    async def _return(self, fault: Fault | None) -> None:
        if fault is Fault.CRASH_AFTER:
            self._worker.crash()
        if fault is Fault.STALL:
            self._worker.pause(STALL_SECONDS)
        await self._travel()

    async def _travel(self) -> None:
        await asyncio.sleep(self._world.latency())
        await self._worker.awake()
