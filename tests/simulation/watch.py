"""I1 to I9, checked after every call that landed, from the state of the stores alone."""

import hashlib
import io
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from headrace.delivery.manifest import Manifest, decode
from headrace.lake.layout import EVENTS, INTENTS
from headrace.leases.model import SHARD_END, TRIM_HORIZON, Lease, LeaseKey, lease_key
from headrace.quarantine import from_jsonl_gz
from headrace.stream.ports import ShardId
from tests.simulation.counting import Expected
from tests.simulation.network import Request
from tests.simulation.rules import Judge, Rule

if TYPE_CHECKING:
    from tests.simulation.world import World

FENCED = frozenset({"leases.renew", "leases.declare", "leases.commit", "leases.end", "leases.adopt"})


def shard_of(key: str) -> str:
    """The shard that an object's key names."""
    name = key.rpartition("/")[2]
    return "shardId-" + name.partition("-shardId-")[2].split("-")[0]


@lru_cache(maxsize=4096)
def contents(key: str, body: bytes) -> list[str]:
    """What identifies each row (shard and event id) or dead letter (shard and sequence number) in an object.

    Worlds that differ in one fault have most objects in common, so what was read once is kept.
    """
    if key.startswith(EVENTS):
        ids = pq.ParquetFile(io.BytesIO(body)).read(["event_id"], use_threads=False)["event_id"].to_pylist()
        return [f"{shard_of(key)}/{event_id}" for event_id in ids]
    return [f"{key.partition('/')[0]}:{letter.position}" for letter in from_jsonl_gz(body)]


class Watch:
    """Remembers what was so before, and compares."""

    def __init__(self, world: "World", judge: Judge) -> None:
        self._world = world
        self._judge = judge
        self._rows: dict[LeaseKey, Lease] = {}
        self._intents: dict[tuple[LeaseKey, int, int], str] = {}
        self._decided: dict[str, Manifest] = {}
        """By the manifest's key."""
        self._promised: dict[str, str] = {}
        """Key of an object → its sha256, of all that was ever decided."""
        self._objects: dict[str, bytes] = {}
        self._uploads: frozenset[str] = frozenset()
        self._expected = Expected()
        self.landed: dict[str, str] = {}
        """What identifies a row or dead letter → the object that holds it."""

    def after(self, request: Request) -> None:
        """Look at what a call may have changed. Raises `ViolationError`."""
        match request.name.partition(".")[0]:
            case "leases":
                self._removed(request)
                for row in self._touched(request):
                    before = self._rows.get(row.key)
                    if row is not before:
                        self._row(before or Lease(key=row.key), row, request)
                        self._rows[row.key] = row
            case "store":
                self._store(request)
            case "counters":
                self._adopted(*request.args[:2])
                self._expected.check(request.args[0], self._world.counters, self._judge)

    def last_row(self, shard_id: ShardId) -> Lease | None:
        """A shard's row as it is, or was before it was removed. None: since the last restore there was none."""
        return self._rows.get(lease_key(self._world.stream_info, shard_id))

    @property
    def up_to_date(self) -> bool:
        """Whether the rows know of all that was decided: not so after a restore, until somebody has looked."""
        for key, _, batch_no in self._intents:
            row = self._rows.get(key)
            if row is None or row.batch_no < batch_no + (row.intent is None):
                return False
        return True

    def decided(self, shard_id: ShardId) -> str:
        """The checkpoint behind all of a shard that will land, whoever reads it and when."""
        row = self.last_row(shard_id)
        if row is None:
            return TRIM_HORIZON
        return row.checkpoint if row.intent is None else self._decided[row.intent.manifest].end

    def _touched(self, request: Request) -> Iterable[Lease]:
        """The rows that a call may have changed."""
        rows = self._world.leases._rows
        match request.args[0]:
            case Lease() as lease:
                return [rows[lease.key]] if lease.key in rows else []
            case _:
                return list(rows.values())

    def _removed(self, request: Request) -> None:
        """A row may go when its shard has: all of it is done, and the stream does not have it any more."""
        if request.name != "leases.remove" or request.args[0].key in self._world.leases._rows:
            return
        row = self._rows.get(request.args[0].key)
        kept = {shard.shard_id for shard in self._world.stream._shards.kept(self._world.clock.now())}
        done = row is not None and row.ended and row.shard_id not in kept
        self._judge.check(Rule.CHECKPOINT_AFTER_EFFECTS, done, f"{row} is removed too soon")

    def forget_uploads(self) -> None:
        """They are gone, and it was no worker."""
        self._uploads = frozenset()

    def restored(self) -> None:
        """The control table is an older one now, and what was decided after it without any effect has not been."""
        self._rows = dict(self._world.leases._rows)
        for place, key in list(self._intents.items()):
            lease_key, _, batch_no = place
            row = self._rows.get(lease_key)
            if (manifest := self._decided.get(key)) is None:
                continue  # a mutant's intent came before its manifest, and with the rules off nobody said so
            pending = row is not None and row.intent is not None and row.intent.manifest == key
            committed = row is not None and row.batch_no > batch_no
            if not pending and not committed and not self._took_effect(manifest):
                del self._intents[place]
                self._expected.undecided(manifest)
                for each in manifest.objects:
                    self._promised.pop(each.key, None)

    def _adopted(self, origin: str, batch_no: int) -> None:
        """A batch of nothing but repeats shows nowhere but in its manifest: who finds that may decide it later."""
        if not self._expected.knows(origin, batch_no):
            prefix = f"{INTENTS}/{origin[:8]}/{origin[9:]}/{batch_no:010}-"
            found = (decode(key, body) for key, body in self._world.store.objects.items() if key.startswith(prefix))
            for manifest in found:
                if not manifest.objects:
                    self._expected.decided(manifest)

    def _took_effect(self, manifest: Manifest) -> bool:
        visible = any(each.key in self._objects for each in manifest.objects)
        return visible or self._expected.reached(manifest, self._world.counters)

    def _row(self, before: Lease, row: Lease, request: Request) -> None:
        check = self._judge.check
        if request.name in FENCED:
            held = request.args[0]
            check(
                Rule.NO_STALE_WRITER,
                (before.owner, before.epoch) == (held.owner, held.epoch),
                f"{request.name} of {held.owner}, epoch {held.epoch}, changed a row of {before.owner}, {before.epoch}",
            )
        if row.epoch > before.epoch:
            rows = self._world.leases._rows.values()
            open_parents = [each.shard_id for each in rows if each.shard_id in row.parents and not each.ended]
            check(Rule.PARENTS_FIRST, not open_parents, f"{row.shard_id} is taken before the end of {open_parents}")
        if row.intent is not None and row.intent != before.intent:
            self._declared(before, row)
        if before.intent is not None and row.intent != before.intent:
            done = row.intent is None and (
                (row.batch_no, row.manifest) == (before.batch_no + 1, before.intent.manifest)
                or row.generation > before.generation
            )
            check(Rule.INTENT_IS_FINISHED, done, f"{before.intent} gave way to {row.intent}, batch_no {row.batch_no}")
        if (row.checkpoint, row.batch_no) != (before.checkpoint, before.batch_no) and before.epoch:
            self._passed(before, row)

    def _declared(self, before: Lease, row: Lease) -> None:
        intent = row.intent
        assert intent is not None
        place = (row.key, row.generation, intent.batch_no)
        known = self._intents.setdefault(place, intent.manifest)
        self._judge.check(Rule.ONE_INTENT, known == intent.manifest, f"{place}: {known} and {intent.manifest}")
        self._judge.check(
            Rule.INTENT_IS_FINISHED,
            intent.batch_no == row.batch_no,
            f"{row.key}: an intent of batch {intent.batch_no} while {row.batch_no} is next",
        )
        body = self._world.store.objects.get(intent.manifest)
        self._judge.check(Rule.NOTHING_WITHOUT_INTENT, body is not None, f"{intent.manifest} is decided and not there")
        if body is None:
            return
        manifest = self._decided[intent.manifest] = decode(intent.manifest, body)
        self._judge.check(
            Rule.ONE_INTENT,
            manifest.start == before.checkpoint,
            f"{intent.manifest} begins at {manifest.start}, the checkpoint is {before.checkpoint}",
        )
        self._promised.update((each.key, each.sha256) for each in manifest.objects)
        self._expected.decided(manifest)

    def _passed(self, before: Lease, row: Lease) -> None:
        """The checkpoint moved: everything it passed must be there."""
        rule = Rule.CHECKPOINT_AFTER_EFFECTS
        self._judge.check(rule, row.batch_no >= before.batch_no, f"{row.key}: batch_no went back to {row.batch_no}")
        if row.checkpoint == SHARD_END:
            left = self._world.archive.behind(row.shard_id, before.checkpoint)
            self._judge.check(rule, not left, f"{row.shard_id} ended {left} records behind its checkpoint")
            return
        manifest = self._decided.get(row.manifest)
        known = manifest is not None and manifest.end == row.checkpoint and manifest.start == before.checkpoint
        self._judge.check(
            rule, known or row.generation > before.generation, f"{row.key}: {before.checkpoint} → {row.checkpoint}"
        )
        if manifest is not None:
            missing = [each.key for each in manifest.objects if each.key not in self._world.store.objects]
            self._judge.check(rule, not missing, f"batch {manifest.batch_no} is committed without {missing}")
            uncounted = self._expected.missing(manifest, self._world.counters)
            self._judge.check(rule, not uncounted, f"batch {manifest.batch_no} is committed and not in {uncounted}")

    def _store(self, request: Request) -> None:
        objects = self._world.store.objects
        for key, body in self._objects.items():
            self._judge.check(
                Rule.NOTHING_REWRITTEN, objects.get(key) is body, f"{key} has changed after it was visible"
            )
        for key in objects.keys() - self._objects.keys():
            if not key.startswith(INTENTS):
                self._objects[key] = objects[key]
                self._visible(key, objects[key])
        self._look_at_uploads(request)

    def _visible(self, key: str, body: bytes) -> None:
        self._judge.check(
            Rule.NOTHING_WITHOUT_INTENT,
            self._promised.get(key) == hashlib.sha256(body).hexdigest(),
            f"{key} is visible, and nobody decided on it",
        )
        for one in contents(key, body):
            other = self.landed.setdefault(one, key)
            self._judge.check(Rule.ONE_OBJECT, other == key, f"{one} is in {other} and in {key}")

    def _look_at_uploads(self, request: Request) -> None:
        uploads = frozenset(self._world.store.uploads)
        completed = {request.args[0].upload_id} if request.name == "store.complete" else set()
        gone = self._uploads - uploads - completed
        self._judge.check(Rule.NO_UPLOAD_ABORTED, not gone, f"{request.name} removed {sorted(gone)}")
        self._uploads = uploads
