"""What a search hands back, and the numbering that it works with."""

from dataclasses import dataclass
from typing import Generic, TypeVar

BITS = 20
LOW = (1 << BITS) - 1

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Counterexample:
    """A broken rule, and the shortest way there: steps with faults, then those of a worker left in peace."""

    rule: str
    steps: tuple[str, ...]
    healing: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.steps) + len(self.healing)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a search found. `complete`: there is no state within the bounds that it has not seen."""

    states: int
    transitions: int
    depth: int
    complete: bool
    seconds: float
    worlds: int
    """Distinct durable worlds, each healed and checked."""
    found: Counterexample | None


class Numbered(Generic[T]):
    """Values ↔ small numbers."""

    def __init__(self) -> None:
        self.values: list[T] = []
        self._numbers: dict[T, int] = {}

    def number(self, value: T) -> int:
        """The value's number, a new one for a new value."""
        found = self._numbers.get(value)
        if found is None:
            found = self._numbers[value] = len(self.values)
            self.values.append(value)
            if found > LOW:
                raise OverflowError(f"more than {LOW} parts of states; the bounds are too wide")
        return found
