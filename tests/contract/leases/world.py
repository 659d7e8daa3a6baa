"""Rows in the states that the suites start from, and each write of a batch with the state it is for."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from botocore.exceptions import ReadTimeoutError

from headrace.aws.dynamodb import to_item
from headrace.aws.faults import aws_errors
from headrace.leases.model import Intent, Lease, Ledger, lease_key
from headrace.leases.ports import LeaseStore
from headrace.stream.ports import ShardId, StreamInfo
from tests.contract.dynamodb_engines import Table

STREAM = StreamInfo(name="events", account="000000000000", created=1_775_000_000)
OTHER_STREAM = replace(STREAM, created=STREAM.created + 1)
LEDGER = Ledger(received=10, committed=7, dead_lettered=2, duplicates=1, objects=3)
SEQUENCE = "4" * 56
NOW = 1_775_900_000.5


def row(n: int = 0, stream: StreamInfo = STREAM) -> Lease:
    return Lease(key=lease_key(stream, ShardId(f"shardId-{n:012}")))


async def created(store: LeaseStore, lease: Lease | None = None) -> Lease:
    lease = lease or row()
    await store.create([lease])
    found = await store.get(lease.key)
    assert found is not None
    return found


async def taken(store: LeaseStore, n: int = 0) -> Lease:
    return await store.take(await created(store, row(n)), "me")


def intent(batch_no: int = 0, manifest: str = "_intents/a.json") -> Intent:
    return Intent(batch_no=batch_no, manifest=manifest, sha256="5" * 64)


async def declared(store: LeaseStore, n: int = 0) -> Lease:
    return await store.declare(await taken(store, n), intent())


async def commit(store: LeaseStore, held: Lease, checkpoint: str = SEQUENCE) -> Lease:
    return await store.commit(
        held, checkpoint=checkpoint, ledger=LEDGER, complete_through=1_775_721_600.25, caught_up_at=None
    )


async def committed(store: LeaseStore, n: int = 0) -> Lease:
    return await commit(store, await declared(store, n))


FOUND = replace(
    row(),
    checkpoint="7" * 56,
    batch_no=9,
    epoch=5,
    manifest="_intents/8.json",
    ledger=LEDGER,
    complete_through=1_775_721_600.25,
)
"""What the bucket's manifests say of a row that is older than they are."""

Start = Callable[[LeaseStore, int], Awaitable[Lease]]
Write = Callable[[LeaseStore, Lease], Awaitable[Lease]]

WRITES: tuple[tuple[Start, Write], ...] = (
    (taken, lambda store, held: store.declare(held, intent())),
    (declared, commit),
    (committed, lambda store, held: store.end(held, caught_up_at=6.0)),
    (declared, lambda store, held: store.adopt(held, FOUND)),
    (declared, lambda store, held: store.adopt(held, replace(held, intent=None))),
)
"""Every write of a batch, and how the n-th row comes into the state for it."""


async def item_of(table: Table, key: str) -> dict[str, Any]:
    """A row as it lies in the table."""
    found = await table.client.get_item(TableName=table.name, Key=to_item({"leaseKey": key}), ConsistentRead=True)
    return dict(found["Item"])


class SlowClient:
    """Hands every call on to `client`, but the next update, which stays on its way until it `land`s."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._late: dict[str, Any] | None = None
        self.delays = False

    async def land(self) -> None:
        """Raises what DynamoDB says to the call that nobody waits for any more."""
        assert self._late is not None
        with aws_errors():
            await self._client.update_item(**self._late)

    async def update_item(self, **arguments: Any) -> Any:
        if not self.delays:
            return await self._client.update_item(**arguments)
        self.delays = False
        self._late = arguments
        raise ReadTimeoutError(endpoint_url="http://127.0.0.1")

    def __getattr__(self, operation: str) -> Any:
        return getattr(self._client, operation)
