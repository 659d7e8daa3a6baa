"""What can go wrong with a call to a port, which calls it can happen to, and who decides that it does."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum, auto
from typing import Protocol

from headrace.errors import AccessError, HeadraceError, ThrottledError, UnavailableError

LATE_SECONDS = 1.7
"""After the caller has tried again and gone on."""
OVERDUE_SECONDS = 45.0
"""After another worker has taken over."""
HANG_SECONDS = 8.0
"""Longer than a renewal may take, shorter than a lease lasts."""
STALL_SECONDS = 25.0
"""A stopped process: longer than a lease lasts."""
JUMP_SECONDS = 3600.0


class Fault(StrEnum):
    """What happens to one call, or to the worker that makes it."""

    FAIL = auto()
    """Nothing happens; no answer."""
    THROTTLE = auto()
    """Nothing happens; too many calls."""
    DENY = auto()
    """Nothing happens; not allowed."""
    LOSE = auto()
    """It happens; no answer."""
    LATE = auto()
    """No answer; it happens a little later, when the caller has tried again."""
    OVERDUE = auto()
    """No answer; it happens much later, when another worker may have taken over."""
    TEAR = auto()
    """A part of it happens; no answer."""
    HANG = auto()
    """It happens, after a long while; whoever gives up before does not stop it."""
    PAUSE = auto()
    """The worker is stopped past its lease; the call is sent when it wakes."""
    STALL = auto()
    """It happens; the worker is stopped past its lease before it sees the answer."""
    CRASH = auto()
    """The worker vanishes before the call is sent."""
    CRASH_AFTER = auto()
    """It happens; the worker vanishes before it sees the answer."""
    CRASH_LATE = auto()
    """The worker vanishes; it happens a little later."""
    CRASH_OVERDUE = auto()
    """The worker vanishes; it happens when another one has taken over."""
    BACK = auto()
    """The worker's wall clock jumps back an hour."""
    AHEAD = auto()
    """The worker's wall clock jumps ahead an hour."""
    TERM = auto()
    """SIGTERM."""
    DEPLOY = auto()
    """SIGTERM, and a worker of another version starts beside it."""


ERRORS: Mapping[Fault, type[HeadraceError]] = {
    Fault.FAIL: UnavailableError,
    Fault.THROTTLE: ThrottledError,
    Fault.DENY: AccessError,
}
DELAYS: Mapping[Fault, float] = {
    Fault.LATE: LATE_SECONDS,
    Fault.OVERDUE: OVERDUE_SECONDS,
    Fault.HANG: HANG_SECONDS,
    Fault.CRASH_LATE: LATE_SECONDS,
    Fault.CRASH_OVERDUE: OVERDUE_SECONDS,
}
_WORKER = (Fault.PAUSE, Fault.CRASH, Fault.BACK, Fault.AHEAD, Fault.TERM, Fault.DEPLOY)
_READ = (Fault.FAIL, Fault.THROTTLE, Fault.DENY, Fault.HANG, Fault.STALL)
_WRITE = (Fault.LOSE, Fault.LATE, Fault.OVERDUE, Fault.CRASH_AFTER, Fault.CRASH_LATE, Fault.CRASH_OVERDUE)
_TORN = frozenset({"counters.apply", "leases.create"})
_LOCAL = frozenset({"clock.sleep", "cpu.plan"})
"""Awaits that leave the process alone."""
READS = frozenset({
    "leases.list", "leases.get", "store.get", "store.head", "store.list", "store.prefixes",
    "stream.info", "stream.shards", "reader.read",
})  # fmt: skip


def faults_of(name: str) -> tuple[Fault, ...]:
    """All that can happen to a call by this name."""
    if name in _LOCAL:
        return _WORKER
    if name in READS:
        return (*_READ, *_WORKER)
    return (*_READ, *_WRITE, *((Fault.TEAR,) if name in _TORN else ()), *_WORKER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of one worker to one of its ports."""

    index: int
    """Of all calls of all workers, from 0."""
    worker: str
    name: str
    """`port.method`."""
    subject: str
    """What it is about: a shard, an object's key."""


class Hook(Protocol):
    """Asked once per call."""

    def __call__(self, call: Call) -> Fault | None:
        """What happens to it."""
        ...


def nothing(call: Call) -> None:
    """No fault ever."""


def at(faults: Mapping[int, Fault]) -> Hook:
    """Faults by the number of the call; none where an earlier fault has put a call that cannot meet it."""

    def hook(call: Call) -> Fault | None:
        fault = faults.get(call.index)
        return fault if fault in faults_of(call.name) else None

    return hook


class Weather:
    """Faults by chance: a rate that can be changed, and a forecast of what must happen next.

    A storm that goes on makes progress impossible, so each fault costs time before the next may come.
    """

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._expected: list[tuple[Callable[[Call], bool], Fault]] = []
        self.rate = 0.0
        """Chance of a fault per call, 0 to 1."""

    def expect(self, matches: Callable[[Call], bool], fault: Fault) -> None:
        """`fault` happens to the next call that matches, once."""
        self._expected.append((matches, fault))

    def clear(self) -> None:
        """No more faults."""
        self._expected.clear()
        self.rate = 0.0

    def __call__(self, call: Call) -> Fault | None:
        """See `Hook`."""
        possible = faults_of(call.name)
        for n, (matches, fault) in enumerate(self._expected):
            if fault in possible and matches(call):
                del self._expected[n]
                return fault
        if self.rate and self._rng.random() < self.rate:
            return self._rng.choice(possible)
        return None
