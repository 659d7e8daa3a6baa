"""A process that is hit again and again, behind a proxy of its own that sees which step it is at."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from signal import Signals
from typing import Any

from tests.harness.actions import Action
from tests.harness.blows import Aim, Blow, Moment, Way, late
from tests.harness.proxy import FaultProxy, Rule
from tests.harness.service import Service

AIM_SECONDS = 4.0
"""A worker without leases comes to no step; then it is hit where it stands."""
RESPITE_SECONDS = 4.0
"""Until a worker has done something again; one without leases does nothing."""

STEPS: Mapping[Aim, Mapping[str, Any]] = {
    Aim.STAGE: {"service": "s3", "operations": frozenset({"UploadPart"})},
    Aim.MANIFEST: {"service": "s3", "operations": frozenset({"PutObject"}), "says": b'"planned_at"'},
    Aim.DECLARE: {"service": "dynamodb", "operations": frozenset({"UpdateItem"}), "says": b"#intent = :intent"},
    Aim.COMPLETE: {"service": "s3", "operations": frozenset({"CompleteMultipartUpload"})},
    Aim.COUNT: {"service": "dynamodb", "operations": frozenset({"TransactWriteItems"})},
    Aim.COMMIT: {"service": "dynamodb", "operations": frozenset({"UpdateItem"}), "says": b"REMOVE #intent"},
    Aim.TAKE: {"service": "dynamodb", "operations": frozenset({"UpdateItem"}), "says": b"ADD #epoch :one"},
}
"""How the calls of a step are told from others."""
MOMENTS = {Moment.NEVER: Action.DROP_BEFORE, Moment.DONE: Action.PASS, Moment.LATE: Action.DELAY}
SIGNALS = {Way.KILL: Signals.SIGKILL, Way.TERM: Signals.SIGTERM, Way.STOP: Signals.SIGSTOP}
DRAIN_SECONDS = 30.0
"""A process that was told to end and has not by then hangs."""


@dataclass(frozen=True, slots=True)
class Hit:
    """What a blow came to."""

    way: Way
    aim: Aim | None
    """None: at no particular step."""
    moment: Moment


class Victim:
    """One service, and what was done to it. `before_birth` is called ahead of each life but the first."""

    def __init__(
        self, service: Service, proxy: FaultProxy, *, failover: float, before_birth: Callable[[], None] = lambda: None
    ) -> None:
        self.service = service
        self.proxy = proxy
        self.hits: list[Hit] = []
        self.drains: list[float] = []
        """Seconds from each SIGTERM to the end of the process."""
        self._failover = failover
        self._before_birth = before_birth
        self._done = 0

    @property
    def ways(self) -> Counter[Way]:
        """How often it was hit in which way."""
        return Counter(hit.way for hit in self.hits)

    def suffer(self, blows: Sequence[Blow], wait: Callable[[float], bool], over: threading.Event) -> None:
        """All blows in turn, until it is `over`; `wait` returns when a blow's time has come, True when it is over."""
        for blow in blows:
            if wait(blow.at) or self._respite(over):
                return
            assert not self.service.failed(), f"it has ended by itself: {self.service.tail()}"
            aim = self._strike(blow)
            self.hits.append(Hit(blow.way, aim, blow.moment))
            if blow.way is Way.TERM:
                self.drains.append(self.service.end(DRAIN_SECONDS))
            over.wait(blow.seconds)  # how long it is away is the scenario
            self._done = self._achieved()
            if blow.way is Way.STOP:
                self.service.signal(Signals.SIGCONT)
            else:
                self.service.kill()  # buries it
                self._before_birth()
                self.service.start(ready=False)

    def _respite(self, over: threading.Event) -> bool:
        """Let it come to work first, since blows in a row hit nothing but starts. Whether it is over meanwhile."""
        until = time.monotonic() + RESPITE_SECONDS
        while time.monotonic() < until and self._achieved() == self._done:
            if over.wait(0.1):
                return True
        return False

    def _achieved(self) -> int:
        return self.service.logged("batch.committed")

    def _strike(self, blow: Blow) -> Aim | None:
        """Hit it at the step that is aimed at, or else where it stands; returns the step."""
        trigger = _Trigger(lambda: self.service.signal(SIGNALS[blow.way]))
        if blow.aim is not None:
            seconds = late(self._failover)  # of a delay; no other action heeds it
            rule = Rule(**STEPS[blow.aim], action=MOMENTS[blow.moment], seconds=seconds, limit=1, then=trigger.pull)
            with self.proxy.rules(rule):
                trigger.pulled.wait(AIM_SECONDS)
        aimed = trigger.pulled.is_set()
        trigger.pull()
        return blow.aim if aimed else None


class _Trigger:
    """Goes off once, whoever pulls it first: the proxy's thread, or the victim's when it has waited long enough."""

    def __init__(self, fire: Callable[[], None]) -> None:
        self._fire = fire
        self._lock = threading.Lock()
        self.pulled = threading.Event()

    def pull(self) -> None:
        """Fire, unless it was."""
        with self._lock:
            if not self.pulled.is_set():
                self._fire()
                self.pulled.set()
