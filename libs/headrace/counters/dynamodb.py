"""Counts in one DynamoDB table; `headrace.counters.layout` says how its items are keyed.

Every item carries `last`, the number of the last batch it has. An addition is conditional on an older `last`, so a
failed condition means that this batch is already there. Additions travel in transactions of 100: measured against the
local cloud, single updates reach 700 items/s for 800 µs of our own CPU each, transactions 2,800 items/s for 100 µs. On
AWS they cost two write units an item in place of one (docs/adr/0004-counter-writes.md). Nothing relies on a transaction
being all or nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from itertools import chain, islice
from typing import Any

from botocore.exceptions import ClientError

from headrace.aws.dynamodb import from_item, query_between, request, to_item
from headrace.aws.faults import aws_errors, classify
from headrace.aws.retry import retry
from headrace.concurrency import for_each
from headrace.counters import top
from headrace.counters.layout import (
    BUCKETS,
    Addition,
    Bucket,
    ItemKey,
    Range,
    entity_partitions,
    fold,
    is_kept,
    item_range,
    plan,
    range_of,
    sort_range,
    top_key,
    top_partition,
)
from headrace.counters.ledger import plan_ledger
from headrace.counters.ports import Counts, Deltas, Entity, Metric, TopList, Window
from headrace.errors import ConflictError, UnavailableError

TRANSACTION_ITEMS = 100
CONCURRENCY = 4
"""More did not make the local cloud faster."""

TTL_ATTRIBUTE = "ttl"

HOUSEKEEPING = frozenset({"pk", "sk", "last", TTL_ATTRIBUTE})
"""Attributes of an item that are no numbers to add up."""

_ALREADY_APPLIED = "ConditionalCheckFailed"
_NO_FAULT = "None"

_Write = Callable[[], Awaitable[None]]


def table_definition(name: str) -> dict[str, Any]:
    """Arguments of CreateTable. Expiry by `TTL_ATTRIBUTE` is switched on apart."""
    return {
        "TableName": name,
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        "AttributeDefinitions": [
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "sk", "AttributeType": "S"},
        ],
        "BillingMode": "PAY_PER_REQUEST",
    }


@dataclass(frozen=True, slots=True)
class _Kept:
    """A top list as it is stored."""

    last: int | None
    """The last batch it has; None before the first."""
    best: top.BestOf


class DynamoCounterWriter:
    """The consumer's side: one call per origin at a time. Remembers the top lists that still grow."""

    def __init__(self, client: Any, table: str) -> None:
        self._client = client
        self._table = table
        self._lists: dict[tuple[str, Bucket], _Kept] = {}

    async def apply(self, origin: str, batch_no: int, deltas: Deltas, *, now: float, ledger: Mapping[str, int]) -> None:
        """Add a batch's deltas once. After a `RetryableError` some of it may be there: call again with the same."""
        writes = self._writes(origin, batch_no, deltas, ledger, now)
        await for_each(writes, lambda write: write(), limit=CONCURRENCY)
        for stale in [key for key in self._lists if not is_kept(key[1], now)]:
            del self._lists[stale]

    def _writes(
        self, origin: str, batch_no: int, deltas: Deltas, ledger: Mapping[str, int], now: float
    ) -> Iterator[_Write]:
        additions = chain(plan_ledger(origin, ledger, now).items(), plan(origin, deltas, now).items())
        while chunk := list(islice(additions, TRANSACTION_ITEMS)):
            yield partial(self._add, chunk, batch_no)
        for bucket, products in top.by_bucket(deltas, now).items():
            yield partial(self._add_to_list, origin, bucket, batch_no, products)

    async def _add(self, additions: Sequence[tuple[ItemKey, Addition]], batch_no: int) -> None:
        updates: Sequence[Mapping[str, Any]] = [self._update(key, added, batch_no) for key, added in additions]
        while updates:
            updates = await retry(partial(self._transact, updates))

    async def _transact(self, updates: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
        """Write all; or none, when some are already applied. Returns those that are still to be written then."""
        try:
            with aws_errors():
                await self._client.transact_write_items(TransactItems=updates)
        except ConflictError as error:
            return _not_applied(updates, error)
        return ()

    def _update(self, key: ItemKey, addition: Addition, batch_no: int) -> dict[str, Any]:
        names = {"#last": "last"}
        values: dict[str, Any] = {":last": batch_no}
        sets = "#last = :last"
        if addition.expires is not None:
            names["#ttl"] = TTL_ATTRIBUTE
            values[":ttl"] = addition.expires
            sets += ", #ttl = :ttl"
        names |= {f"#{name}": name for name in addition.numbers}
        values |= {f":{name}": value for name, value in addition.numbers.items()}
        adds = ", ".join(f"#{name} :{name}" for name in addition.numbers)
        return {
            "Update": {
                "TableName": self._table,
                "Key": to_item(key._asdict()),
                "UpdateExpression": f"SET {sets} ADD {adds}",
                "ConditionExpression": "attribute_not_exists(#last) OR #last < :last",
                "ExpressionAttributeNames": names,
                "ExpressionAttributeValues": to_item(values),
            }
        }

    async def _add_to_list(self, origin: str, bucket: Bucket, batch_no: int, products: Mapping[str, Counts]) -> None:
        """The whole list is replaced, so the condition is that it is still the one we know."""
        key = top_key(bucket, origin)
        while True:
            kept = self._lists.get((origin, bucket)) or await self._load(key)
            if kept.last is not None and kept.last >= batch_no:
                self._lists[origin, bucket] = kept
                return
            new = _Kept(batch_no, top.add(kept.best, products))
            try:
                await self._replace(key, bucket, kept, new)
            except ConflictError:
                self._lists.pop((origin, bucket), None)
                continue
            self._lists[origin, bucket] = new
            return

    async def _load(self, key: ItemKey) -> _Kept:
        reply = await request(
            self._client.get_item, TableName=self._table, Key=to_item(key._asdict()), ConsistentRead=True
        )
        if not (found := reply.get("Item")):
            return _Kept(None, top.NOTHING)
        item = from_item(found)
        return _Kept(item["last"], top.decode(item["best"]))

    async def _replace(self, key: ItemKey, bucket: Bucket, old: _Kept, new: _Kept) -> None:
        item = {**key._asdict(), "last": new.last, "best": top.encode(new.best)}
        if bucket.expires is not None:
            item[TTL_ATTRIBUTE] = bucket.expires
        condition: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(pk)"}
        if old.last is not None:
            condition = {
                "ConditionExpression": "#last = :last",
                "ExpressionAttributeNames": {"#last": "last"},
                "ExpressionAttributeValues": to_item({":last": old.last}),
            }
        await request(self._client.put_item, TableName=self._table, Item=to_item(item), **condition)


class DynamoCounterReader:
    """The API's side. Reads are eventually consistent and ask for the window only: what has expired lies outside."""

    def __init__(self, client: Any, table: str) -> None:
        self._client = client
        self._table = table

    async def counts(self, entity: Entity, entity_id: str, window: Window, *, now: float) -> Counts:
        """Counts of one entity; all zero when it is unknown."""
        covered = range_of(window, now)
        items = await self._query(entity_partitions(entity, entity_id), item_range(covered))
        return fold(
            ((item["sk"], {name: value for name, value in item.items() if name not in HOUSEKEEPING}) for item in items),
            covered,
        )

    async def top(
        self, metric: Metric, window: Window, *, limit: int, now: float, currency: str | None = None
    ) -> TopList:
        """The products with the most."""
        items = await self._query([top_partition(number) for number in range(BUCKETS)], range_of(window, now))
        return top.merge((top.decode(item["best"]) for item in items), metric, limit=limit, currency=currency)

    async def _query(self, partitions: Sequence[str], covered: Range) -> list[dict[str, Any]]:
        pages = await asyncio.gather(*(self._query_one(partition, covered) for partition in partitions))
        return [item for page in pages for item in page]

    async def _query_one(self, partition: str, covered: Range) -> list[dict[str, Any]]:
        first, last = sort_range(covered)
        return await query_between(self._client, self._table, (partition, first, last))


def _not_applied(updates: Sequence[Mapping[str, Any]], error: ConflictError) -> list[Mapping[str, Any]]:
    """The updates of a cancelled transaction that are not to blame for it. Raises when something else was."""
    cause = error.__cause__
    reasons = cause.response.get("CancellationReasons", []) if isinstance(cause, ClientError) else []
    codes = [str(reason["Code"]) for reason in reasons]
    if faults := [code for code in codes if code not in {_ALREADY_APPLIED, _NO_FAULT}]:
        raise classify(f"{faults[0].removesuffix('Error')}Exception", HTTPStatus.BAD_REQUEST) from error
    if _ALREADY_APPLIED not in codes:
        raise UnavailableError("a transaction was cancelled without a reason") from error
    return [update for update, code in zip(updates, codes, strict=True) if code == _NO_FAULT]
