"""`--until-drained`: when is all of a source in the table, and how much was it.

Everything is read from durable state, so the answer does not depend on which process lived how long.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from operator import attrgetter
from typing import Any, Protocol

from headrace.aws.faults import aws_errors
from headrace.aws.retry import retry
from headrace.aws.session import AwsSession
from headrace.clock import Clock
from headrace.errors import NotFoundError
from headrace.lake.layout import EVENTS, HourPartition, partition_of
from headrace.lake.s3 import S3Store
from headrace.leases.dynamodb import DynamoLeaseStore
from headrace.leases.model import Lease, LeaseKey, lease_prefix
from headrace.settings import Settings
from headrace.state.dynamodb import DynamoStateStore
from headrace.state.sources import PREFIX as CURSORS
from headrace.stream.kinesis.shards import describe, list_shards
from headrace.stream.ports import ShardId

OBSERVE_SECONDS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Counts since the first event ever: polled = accepted + rejected.

    received = committed + dead_lettered + duplicates.
    """

    polled: int = 0
    accepted: int = 0
    extra_columns: int = 0
    rejected: int = 0
    put: int = 0
    received: int = 0
    committed: int = 0
    dead_lettered: int = 0
    duplicates: int = 0
    objects: int = 0
    partitions: int = 0

    def since(self, before: "Totals") -> "Totals":
        """What was added after `before`."""
        return Totals(**{f.name: getattr(self, f.name) - getattr(before, f.name) for f in fields(self)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """The pipeline's durable state at one moment."""

    cursors: Mapping[str, Mapping[str, Any]]
    """The pollers' state documents by key."""
    shards: frozenset[ShardId]
    leases: tuple[Lease, ...]
    registered: frozenset[HourPartition]

    @property
    def totals(self) -> Totals:
        """The sums over all sources and shards."""
        polled = [document.get("totals", {}) for document in self.cursors.values()]
        ledgers = [lease.ledger for lease in self.leases]
        return Totals(
            **{name: sum(int(part.get(name, 0)) for part in polled) for name in _POLLED},
            **{name: sum(map(attrgetter(name), ledgers)) for name in _CARRIED},
            partitions=len(self.registered),
        )

    def exhausted(self, sources: Iterable[str]) -> bool:
        """Whether each of these sources was read to its end."""
        return all(self.cursors.get(key, {}).get("exhausted") for key in sources)

    def caught_up(self, since: float) -> bool:
        """Whether every shard was read to its tip, with nothing left in memory, after `since` (seconds since 1970)."""
        done = {
            lease.shard_id
            for lease in self.leases
            if lease.ended or (lease.caught_up_at is not None and lease.caught_up_at > since)
        }
        return self.shards <= done


_POLLED = ("polled", "accepted", "extra_columns", "rejected", "put")
_CARRIED = ("received", "committed", "dead_lettered", "duplicates", "objects")


class Observer(Protocol):
    """Sees the pipeline's durable state."""

    async def observe(self) -> Observation:
        """The state now."""
        ...

    async def landed(self) -> frozenset[HourPartition]:
        """The partitions that have objects."""
        ...


class Rows:
    """The rows as each was seen last: one that was removed, its shard long done, has delivered no less."""

    def __init__(self) -> None:
        self._seen: dict[LeaseKey, Lease] = {}

    def see(self, rows: Iterable[Lease]) -> tuple[Lease, ...]:
        """All that were ever there, after another look."""
        self._seen |= {row.key: row for row in rows}
        return tuple(self._seen.values())


class AwsObserver:
    """Reads it where the services keep it."""

    def __init__(self, aws: AwsSession, settings: Settings) -> None:
        self._rows = Rows()
        self._aws = aws
        self._settings = settings

    async def observe(self) -> Observation:
        """The state now. Cursors are read before shards and shards before partitions, in the order of the flow."""
        settings = self._settings
        dynamodb = await self._aws.client("dynamodb")
        kinesis = await self._aws.client("kinesis")
        documents = await DynamoStateStore(dynamodb, settings.state_table).list(CURSORS)
        info = await describe(kinesis, settings.stream_name)
        shards = await list_shards(kinesis, settings.stream_name)
        leases = await DynamoLeaseStore(dynamodb, settings.control_table).list(lease_prefix(info))
        return Observation(
            cursors={key: document.value for key, document in documents.items()},
            shards=frozenset(shard.shard_id for shard in shards),
            leases=self._rows.see(leases),
            registered=frozenset([part async for part in self._registered()]),
        )

    async def landed(self) -> frozenset[HourPartition]:
        """The partitions that have objects."""
        store = S3Store(await self._aws.client("s3"), self._settings.bucket)
        found = {partition_of(item.key) async for item in store.list(f"{EVENTS}/")}
        return frozenset(part for part in found if part is not None)

    async def _registered(self) -> AsyncIterator[HourPartition]:
        glue = await self._aws.client("glue")
        table: dict[str, str] = {"DatabaseName": self._settings.database, "TableName": self._settings.table}

        async def page(token: str | None) -> Any:
            with aws_errors():
                return await glue.get_partitions(**table, **({"NextToken": token} if token else {}))

        token = None
        while True:
            try:
                reply = await retry(partial(page, token))
            except NotFoundError:  # no table yet
                return
            for partition in reply["Partitions"]:
                yield HourPartition(*partition["Values"])
            if not (token := reply.get("NextToken")):
                return


async def wait_drained(
    observer: Observer, sources: Sequence[str], clock: Clock, on_progress: Callable[[Totals], None]
) -> Totals:
    """Wait until the sources are exhausted, everything is committed and every partition registered."""
    exhausted_at: float | None = None
    while True:
        seen = await observer.observe()
        on_progress(seen.totals)
        if exhausted_at is None:
            exhausted_at = clock.now() if seen.exhausted(sources) else None
        elif seen.caught_up(exhausted_at) and await observer.landed() <= seen.registered:
            return seen.totals
        await clock.sleep(OBSERVE_SECONDS)
