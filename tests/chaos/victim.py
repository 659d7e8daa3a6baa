"""A process that is hit again and again, behind a proxy of its own that sees which step it is at."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from signal import Signals
from typing import Any

from tests.chaos.schedule import LATE_SECONDS, Aim, Blow, Moment, Way
from tests.faults.actions import Action
from tests.faults.proxy import FaultProxy, Rule
from tests.faults.service import Service

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
MOMENTS: Mapping[Moment, Mapping[str, Any]] = {
    Moment.NEVER: {"action": Action.DROP_BEFORE},
    Moment.DONE: {"action": Action.PASS},
    Moment.LATE: {"action": Action.DELAY, "seconds": LATE_SECONDS},
}


@dataclass(frozen=True, slots=True)
class Hit:
    """What a blow came to."""

    way: Way
    aim: Aim | None
    """None: at no particular step."""
    moment: Moment


class Victim:
    """One service, and what was done to it."""

    def __init__(self, service: Service, proxy: FaultProxy) -> None:
        self.service = service
        self.proxy = proxy
        self.hits: list[Hit] = []
        self._done = 0

    @property
    def ways(self) -> Counter[Way]:
        """How often it was hit in which way."""
        return Counter(hit.way for hit in self.hits)

    def suffer(self, blows: Sequence[Blow], *, started: float, over: threading.Event) -> None:
        """All blows in turn, each at its time (`started` is monotonic seconds), until it is `over`."""
        for blow in blows:
            if over.wait(max(0.0, started + blow.at - time.monotonic())) or self._respite(over):
                return
            aim = self._strike(blow)
            self.hits.append(Hit(blow.way, aim, blow.moment))
            over.wait(blow.seconds)  # how long it is away is the scenario
            self._done = self._achieved()
            if blow.way is Way.KILL:
                self.service.kill()  # buries it
                self.service.start(ready=False)
            else:
                self.service.signal(Signals.SIGCONT)

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
        number = Signals.SIGKILL if blow.way is Way.KILL else Signals.SIGSTOP
        trigger = _Trigger(lambda: self.service.signal(number))
        if blow.aim is not None:
            rule = Rule(**STEPS[blow.aim], **MOMENTS[blow.moment], limit=1, then=trigger.pull)
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
