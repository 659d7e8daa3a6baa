"""What was compared, and what did not agree."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

Facts = Mapping[str, object]
"""Named numbers and texts."""


class Check(StrEnum):
    """What is proved, from the way in to the table."""

    SOURCE = "sources"
    """polled = accepted + rejected and accepted = put + spooled, in all and by hour."""
    CONTROL = "control rows"
    """Checkpoint and totals of a shard's row are those of its last manifest."""
    MANIFEST = "manifests"
    """Each is there, begins where the one before it ends, and its sums are those of its objects."""
    LEDGER = "ledger hours"
    """read = rows + dead letters + duplicates, by hour: the counter item is the sum of the manifests."""
    OBJECT = "objects"
    """Each is there, with the size and the digest that was decided."""
    ROWS = "rows"
    """The footer, or the lines, of each object have as many as the manifest says."""
    FOLDER = "folders"
    """Every object of ours in the folders touched is one that a manifest names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatch:
    """One thing that is not as it has to be."""

    check: Check
    where: str
    expected: str
    found: str


class Audit:
    """Collects comparisons."""

    def __init__(self) -> None:
        self.compared: Counter[Check] = Counter()
        self.mismatches: list[Mismatch] = []
        self.in_flight: list[str] = []
        """Manifests of batches that are decided and not committed yet: whoever holds the lease is about to."""

    def compare(self, check: Check, where: str, *, expected: Facts, found: Facts | None) -> None:
        """Note one comparison; `found` has the names of `expected`, or is None for what is not there at all."""
        self.compared[check] += 1
        if found is None:
            self._differ(check, where, _text(expected, expected), "missing")
        elif differing := [name for name in expected if found.get(name) != expected[name]]:
            self._differ(check, where, _text(expected, differing), _text(found, differing))

    def unreadable(self, check: Check, where: str, why: Exception) -> None:
        """Note that something is there and cannot be read."""
        self.compared[check] += 1
        self._differ(check, where, "readable", str(why))

    def _differ(self, check: Check, where: str, expected: str, found: str) -> None:
        self.mismatches.append(Mismatch(check=check, where=where, expected=expected, found=found))


def _text(facts: Facts, names: Facts | list[str]) -> str:
    return ", ".join(f"{name} {facts.get(name)}" for name in names)
