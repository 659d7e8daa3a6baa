"""What the simulator finds wrong, by name: the protocol's invariants, and what a reader of the results would notice."""

from collections import Counter
from enum import StrEnum


class Rule(StrEnum):
    """I1 to I9 are those of docs/delivery.md."""

    ONE_INTENT = "I1"
    """One intent per shard, generation and batch number."""
    NOTHING_WITHOUT_INTENT = "I2"
    """No byte is visible without a durable intent."""
    CHECKPOINT_AFTER_EFFECTS = "I3"
    """The checkpoint only passes batches that are fully applied."""
    ONE_OBJECT = "I4"
    """Every record is in exactly one object."""
    COUNTER_IS_SUM = "I5"
    """A counter is the sum of the deltas of applied batches."""
    INTENT_IS_FINISHED = "I6"
    """A pending intent is finished before a new one."""
    NO_STALE_WRITER = "I7"
    """Safety depends on no clock and no lease: what an earlier owner sends changes no row, whatever its clocks say."""
    NOTHING_REWRITTEN = "I8"
    """What is visible in the lake stays as it is."""
    NO_UPLOAD_ABORTED = "I9"
    """Workers never abort uploads."""
    PARENTS_FIRST = "parents"
    """A shard made by a split or merge is read only once the end of every parent is committed."""
    COUNTS = "counts"
    """What the stats API reads is what was produced."""
    LEDGER = "ledger"
    """received = committed + dead letters + duplicates, and equal to what was produced."""
    PROGRESS = "progress"
    """Once the faults are over, all that was produced is delivered and no shard stands still."""
    RELEASE = "release"
    """A worker that was told to stop ends in time and leaves no lease behind."""
    DEFECT = "defect"
    """No worker ends by an error that nobody raised on purpose."""


HARM = frozenset({Rule.ONE_OBJECT, Rule.COUNTS, Rule.LEDGER, Rule.PROGRESS, Rule.DEFECT})
"""What a reader of rows and counts could notice. The others say how it is prevented."""
ALL = frozenset(Rule)


class ViolationError(Exception):
    """A rule is broken."""

    def __init__(self, rule: Rule, what: str) -> None:
        super().__init__(f"{rule} {rule.name.lower().replace('_', ' ')}: {what}")
        self.rule = rule
        self.what = what

    def __reduce__(self) -> tuple[type["ViolationError"], tuple[Rule, str]]:
        """Survive the way from one process to another."""
        return ViolationError, (self.rule, self.what)


class Judge:
    """Counts what is checked, by rule, and raises for what is broken, unless the rule is not enforced."""

    def __init__(self, enforced: frozenset[Rule] = ALL) -> None:
        self._enforced = enforced
        self.checked: Counter[Rule] = Counter()

    def check(self, rule: Rule, holds: bool, what: str) -> None:
        """`what` says how it is broken."""
        self.checked[rule] += 1
        if not holds and rule in self._enforced:
            raise ViolationError(rule, what)
