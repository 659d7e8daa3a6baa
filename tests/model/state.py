"""What a state of the model is made of: the durable world, what a worker knows, what is still on its way."""

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import NamedTuple


class Mutant(StrEnum):
    """The protocol with one rule taken out. Each must be found out."""

    NO_INTENT = "no_intent"
    RANDOM_KEYS = "random_keys"
    COMMIT_BEFORE_COUNTERS = "commit_before_counters"
    INTENT_WITHOUT_CHECKPOINT = "intent_without_checkpoint"
    UNCONDITIONAL_COUNTERS = "unconditional_counters"
    IGNORE_PENDING_INTENT = "ignore_pending_intent"
    COMMIT_WITHOUT_INTENT = "commit_without_intent"
    COUNTERS_BY_EQUALITY = "counters_by_equality"
    KEYS_WITHOUT_BATCH = "keys_without_batch"
    OVERWRITING_KEYS = "overwriting_keys"
    INTENT_BEFORE_MANIFEST = "intent_before_manifest"
    REPLAN_AFTER_TIMEOUT = "replan_after_timeout"
    GUESS_AFTER_TIMEOUT = "guess_after_timeout"
    ABORT_UPLOADS = "abort_uploads"
    ERASE_UNCOMMITTED = "erase_uncommitted"


MEANING = {
    Mutant.NO_INTENT: "objects are completed without an intent",
    Mutant.RANDOM_KEYS: "a new owner stages the pending batch again, under keys of its own",
    Mutant.COMMIT_BEFORE_COUNTERS: "the commit comes before the counters",
    Mutant.INTENT_WITHOUT_CHECKPOINT: "the intent has no condition on checkpoint and batch_no",
    Mutant.UNCONDITIONAL_COUNTERS: "counters are added to without a condition",
    Mutant.IGNORE_PENDING_INTENT: "a new owner overlooks the pending intent and replaces it",
    Mutant.COMMIT_WITHOUT_INTENT: "the commit has no condition on intent.batch_no",
    Mutant.COUNTERS_BY_EQUALITY: "counters ask for last <> b instead of last < b",
    Mutant.KEYS_WITHOUT_BATCH: "keys do not contain batch_no",
    Mutant.OVERWRITING_KEYS: "keys do not contain batch_no, and no If-None-Match",
    Mutant.INTENT_BEFORE_MANIFEST: "the intent is written before its manifest",
    Mutant.REPLAN_AFTER_TIMEOUT: "after an intent without an answer the same worker cuts the batch anew",
    Mutant.GUESS_AFTER_TIMEOUT: "an intent without an answer is taken for written",
    Mutant.ABORT_UPLOADS: "a worker that lost its lease aborts its uploads",
    Mutant.ERASE_UNCOMMITTED: "erasure touches objects of a batch that is not committed",
}


class Spare(StrEnum):
    """Rules that safety can do without: each alone may go and nothing breaks."""

    NO_FENCING = "no_fencing"
    NO_IF_NONE_MATCH = "no_if_none_match"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How much world there is. Everything else (crashes, lost answers, waiting) is unbounded."""

    workers: int = 2
    records: int = 3
    parts: int = 2
    """Objects of a batch, and counter items: record r belongs to number r mod parts."""
    cuts: tuple[int, ...] = (2, 1)
    """Records in a batch, any of these each time: two workers may cut the same records differently."""
    takes: int = 3
    """How often the lease is taken, from whomever, at any moment."""
    in_flight: int = 1
    """Requests given up by their sender that can still land."""
    erasures: int = 1


class Phase(IntEnum):
    """Where a worker stands. `…_UNSURE`: the write was refused or not answered, and the item is read next."""

    IDLE = 0
    PLAN = 1
    STAGED = 2
    INTENT_UNSURE = 3
    MANIFEST = 4
    COMPLETE = 5
    HEAD = 6
    COUNT = 7
    COMMIT = 8
    COMMIT_UNSURE = 9
    STOPPED = 10


class Kind(IntEnum):
    """The requests whose effect can come late."""

    INTENT = 0
    COMPLETE = 1
    COUNT = 2
    COMMIT = 3


class Intent(NamedTuple):
    """Batch `batch` is the records start ≤ r < stop, as the worker of epoch `staged_in` staged them."""

    batch: int
    start: int
    stop: int
    staged_in: int


NOTHING = Intent(-1, 0, 0, 0)


class Stored(NamedTuple):
    """A visible object: part number `part` of an intent. Erased ones stay listed, their upload being used up."""

    intent: Intent
    part: int
    key: tuple[int, ...]
    erased: bool = False


class Counter(NamedTuple):
    """A counter item: the last batch, and bit sets of the records counted at least once and twice."""

    last: int = -1
    once: int = 0
    twice: int = 0


class Durable(NamedTuple):
    """The control item, the bucket and the counters. `history` is the checker's own: every intent ever accepted."""

    epoch: int
    checkpoint: int
    batch: int
    pending: Intent
    history: tuple[Intent, ...]
    objects: tuple[Stored, ...]
    counters: tuple[Counter, ...]
    unreadable: tuple[Intent, ...]
    """Intents whose manifest is not there, or says something else."""
    aborted: tuple[Intent, ...]


class Session(NamedTuple):
    """What one worker believes since it took the lease: its epoch, its place, the batch and the part it is at."""

    epoch: int
    phase: Phase
    intent: Intent
    part: int


IDLE = Session(0, Phase.IDLE, NOTHING, 0)


class Request(NamedTuple):
    """A conditional write, or CompleteMultipartUpload, on its way."""

    kind: Kind
    intent: Intent
    part: int
    epoch: int


class Move(NamedTuple):
    """One step in words, with the world and the worker after it, and the request that it leaves behind."""

    words: str
    durable: Durable
    session: Session
    late: Request | None = None


def records(intent: Intent) -> int:
    """The intent's records, as a bit set."""
    return (1 << intent.stop) - (1 << intent.start)
