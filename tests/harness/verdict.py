"""What is in the lake, the counters and the control table at the end, held against what was put in."""

import asyncio
import hashlib
import io
import itertools
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field

import pyarrow.parquet as pq
import pytest

from cli.cloud import environment
from cli.drained import AwsObserver, Totals, wait_drained
from headrace.aws.session import AwsSession
from headrace.clock import SystemClock
from headrace.concurrency import for_each
from headrace.counters.dynamodb import DynamoCounterReader
from headrace.counters.dynamodb_ledger import DynamoLedgerReader
from headrace.counters.ports import Counts, Entity, Window
from headrace.delivery.manifest import Manifest, decode
from headrace.lake.layout import EVENTS, HourPartition
from headrace.lake.s3 import S3Store
from headrace.leases.dynamodb import DynamoLeaseStore
from headrace.leases.model import Lease, lease_prefix, lineage
from headrace.stream.kinesis.shards import describe
from services.api_consumer.app import cursor_keys
from tests.harness.long_run import line
from tests.harness.pipeline import REGION, Pipeline
from tests.harness.traffic import Row, Traffic

DRAIN_SECONDS = 60.0
DRAIN_EVENTS_A_SECOND = 1_000
"""Slower than that is a hang."""
CONCURRENT = 8
EXAMPLES = 10


@dataclass(slots=True, kw_only=True)
class Verdict:
    """What was found."""

    landed: int = 0
    lost: Counter[str] = field(default_factory=Counter)
    doubled: Counter[str] = field(default_factory=Counter)
    """Rows beyond those of the input, be they repeats or foreign; by key, as those that are lost."""
    where: list[str] = field(default_factory=list)
    """Some of those as they are, with the objects that hold them."""
    duplicates: int = 0
    """Records dropped as repeats."""
    batches: int = 0
    faults: list[str] = field(default_factory=list)
    """Whatever else is not as it should be, in words."""

    def report(self) -> Iterator[str]:
        """What was found, in numbers."""
        yield line("batches", self.batches)
        yield line("repeats dropped", self.duplicates)
        yield line("rows", self.landed)
        yield line("lost", self.lost.total())
        yield line("doubled", self.doubled.total())

    def require_exactly_once(self, again: str) -> None:
        """Fail unless rows, counts and books are those of the input; `again` is the command that shows it once more."""
        rows = {"lost": self.lost, "doubled or foreign": self.doubled}
        wrong = [f"{some.total()} {what}, such as {next(iter(some))}" for what, some in rows.items() if some]
        wrong += self.where
        wrong += [f"{len(self.faults)} more is not as it should be:", *self.faults[:EXAMPLES]] if self.faults else []
        if wrong:
            pytest.fail("\n".join([*wrong, again]), pytrace=False)


def totals(pipeline: Pipeline) -> Totals:
    """How far all is."""

    async def ask() -> Totals:
        async with AwsSession(REGION) as aws:
            return (await AwsObserver(aws, pipeline.settings).observe()).totals

    with environment(pipeline.env):
        return asyncio.run(ask())


def drain(pipeline: Pipeline, sources: Sequence[str], events: int) -> None:
    """Wait until these files of so many events are at their end and all is committed. Raises `TimeoutError`."""

    async def wait() -> None:
        settings = pipeline.settings.model_copy(update={"source_files": list(sources)})
        seconds = DRAIN_SECONDS + events / DRAIN_EVENTS_A_SECOND
        async with AwsSession(REGION) as aws, asyncio.timeout(seconds):
            observer = _Unregistered(aws, settings)
            await wait_drained(observer, cursor_keys(settings), SystemClock(), lambda _: None)

    with environment(pipeline.env):
        asyncio.run(wait())


def examine(pipeline: Pipeline, traffic: Traffic) -> Verdict:
    """The state of a pipeline at rest, from every side."""

    async def look() -> Verdict:
        async with AwsSession(REGION) as aws:
            return await _Examination(aws, pipeline, traffic).run()

    with environment(pipeline.env):
        return asyncio.run(look())


class _Unregistered(AwsObserver):
    """Without a partitioner: what is committed is at its end."""

    async def landed(self) -> frozenset[HourPartition]:
        return frozenset()


class _Examination:
    def __init__(self, aws: AwsSession, pipeline: Pipeline, traffic: Traffic) -> None:
        self._aws = aws
        self._settings = pipeline.settings
        self._traffic = traffic
        self._found = Verdict()

    async def run(self) -> Verdict:
        self._store = S3Store(await self._aws.client("s3"), self._settings.bucket)
        self._dynamodb = await self._aws.client("dynamodb")
        info = await describe(await self._aws.client("kinesis"), self._settings.stream_name)
        leases = await DynamoLeaseStore(self._dynamodb, self._settings.control_table).list(lease_prefix(info))
        await self._rows(leases)
        await self._counts()
        for lease in leases:
            await self._ledger(lease, f"{lineage(self._settings.application, info)}-{lease.shard_id}")
        return self._found

    async def _rows(self, leases: Sequence[Lease]) -> None:
        """Objects are those of the manifests, byte for byte, and no others; rows are those of the input."""
        promised: dict[str, str] = {}
        for lease in leases:
            for manifest in await self._chain(lease):
                promised |= {each.key: each.sha256 for each in manifest.objects}
        bodies: dict[str, bytes] = {}

        async def fetch(key: str) -> None:
            bodies[key] = await self._store.get(key)

        visible = [each.key async for each in self._store.list(f"{EVENTS}/")]
        await for_each(visible, fetch, limit=CONCURRENT)
        digests = {key: hashlib.sha256(body).hexdigest() for key, body in bodies.items()}
        self._complain("objects that no manifest knows, or of other bytes", digests.items() - promised.items())
        self._complain("objects that are missing", promised.items() - digests.items())
        rows = Counter(row.key for body in bodies.values() for row in _rows_of(body))
        self._found.landed = rows.total()
        self._found.lost = self._traffic.rows - rows
        self._found.doubled = rows - self._traffic.rows
        shown = set(itertools.islice(self._found.doubled, EXAMPLES))
        self._found.where = [
            f"{key}: {row}" for key, body in bodies.items() if shown for row in _rows_of(body) if row.key in shown
        ]

    async def _chain(self, lease: Lease) -> Sequence[Manifest]:
        """All manifests of a shard, the last first; each begins where the one before it ends."""
        chain: list[Manifest] = []
        key = lease.manifest
        while key:
            manifest = decode(key, await self._store.get(key))
            if chain and (chain[-1].start, chain[-1].batch_no) != (manifest.end, manifest.batch_no + 1):
                self._found.faults.append(f"{key} does not lead to the next batch")
            chain.append(manifest)
            key = manifest.previous
        if lease.batch_no != len(chain):
            self._found.faults.append(f"{lease.shard_id} has {lease.batch_no} batches and {len(chain)} manifests")
        self._found.batches += len(chain)
        return chain

    async def _counts(self) -> None:
        """Every product and page; since the first event, and by the days of the last week."""
        reader = DynamoCounterReader(self._dynamodb, self._settings.counters_table)
        now = time.time()

        async def compare(what: tuple[tuple[Entity, str], Window]) -> None:
            (entity, name), window = what
            found = await reader.counts(entity, name, window, now=now)
            expected = self._traffic.counts[entity, name]
            if _plain(found) != _plain(expected):
                self._found.faults.append(f"{entity} {name} ({window}): {found}, not {expected}")

        asked = [(key, window) for key in self._traffic.counts for window in (Window.ALL, Window.WEEK)]
        await for_each(asked, compare, limit=CONCURRENT)

    async def _ledger(self, lease: Lease, origin: str) -> None:
        """The hours add up to the row's totals, and nothing is pending or thrown away."""
        self._found.duplicates += lease.ledger.duplicates
        if lease.intent is not None:
            self._found.faults.append(f"{lease.shard_id} has an open intent of batch {lease.intent.batch_no}")
        if lease.ledger.dead_lettered:
            self._found.faults.append(f"{lease.shard_id} has dead letters")
        now = int(time.time() // 3600)
        hours = (await DynamoLedgerReader(self._dynamodb, self._settings.counters_table).hours(origin, 0, now)).values()
        expected = asdict(lease.ledger)
        sums = {name: sum(hour.numbers.get(name, 0) for hour in hours) for name in expected}
        if sums != expected:
            self._found.faults.append(f"{lease.shard_id}: the hours have {sums}, the row {lease.ledger}")

    def _complain(self, what: str, keys: set[tuple[str, str]]) -> None:
        if keys:
            self._found.faults.append(f"{what}: {len(keys)}, such as {min(keys)}")


def _rows_of(body: bytes) -> Sequence[Row]:
    table = pq.read_table(io.BytesIO(body), columns=list(Row._fields))
    return [Row(*values) for values in zip(*(table[name].to_pylist() for name in Row._fields), strict=True)]


def _plain(counts: Counts) -> Mapping[str, object]:
    numbers = {name: getattr(counts, name) for name in ("views", "add_to_carts", "purchases", "quantity")}
    return numbers | {"revenue": dict(counts.revenue)}
