"""What the supervisor is told: which processes, in which order they stop, and when one is started again."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum


class Stage(IntEnum):
    """Who stops when: sources first, so that what they have put is still carried through."""

    SOURCE = 0
    TRANSFORM = 1
    SERVE = 2
    QUERY = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """One process to keep running."""

    name: str
    module: str
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    """The whole environment, not an addition to ours."""
    ready_url: str
    """Answers 200 once the process is ready."""
    stage: Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartPolicy:
    """When a process that ended is started again."""

    first_seconds: float = 0.5
    most_seconds: float = 10.0
    stable_seconds: float = 30.0
    """Having run so long, an end counts as the first in a row."""
    give_up_after: int = 5
    """Ends in a row of a process that never was ready."""
    forgiving: bool = True
    """Never give up one that was ready once."""

    def delay(self, ends: int) -> float:
        """Seconds to wait after the `ends`-th end in a row, doubling."""
        return float(min(self.most_seconds, self.first_seconds * 2 ** min(ends - 1, 16)))
