"""DynamoDB's typed JSON ↔ Python values, and what the adapters on it share.

| Python | AttributeValue |
|---|---|
| str, bytes, bool, None | S, B, BOOL, NULL |
| int, Decimal, float | N; read back as int when it is written like one, else as Decimal |
| set or frozenset of str, not empty | SS; read back as set |
| list, tuple | L; read back as list |
| mapping with str keys | M; read back as dict |
"""

import math
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from decimal import Decimal
from typing import Any

from headrace.aws.faults import aws_errors
from headrace.aws.retry import retry

Attribute = dict[str, Any]
"""One AttributeValue: `{"S": "text"}`."""


def to_item(values: Mapping[str, Any]) -> dict[str, Attribute]:
    """A mapping of Python values → an item, or the values of an expression. Raises `TypeError`, `ValueError`."""
    return {name: to_attribute(value) for name, value in values.items()}


def from_item(item: Mapping[str, Attribute]) -> dict[str, Any]:
    """An item → Python values."""
    return {name: from_attribute(attribute) for name, attribute in item.items()}


def to_attribute(value: Any) -> Attribute:  # noqa: PLR0911 - one line per type
    """One Python value → AttributeValue. Raises `TypeError` for other types, `ValueError` for NaN and infinities."""
    match value:
        case None:
            return {"NULL": True}
        case bool():
            return {"BOOL": value}
        case str():
            return {"S": value}
        case bytes():
            return {"B": value}
        case int() | float() | Decimal():
            if not math.isfinite(value):
                raise ValueError(f"DynamoDB has no number {value}")
            return {"N": str(value)}
        case set() | frozenset() if value and all(isinstance(part, str) for part in value):
            return {"SS": sorted(value)}
        case list() | tuple():
            return {"L": [to_attribute(part) for part in value]}
        case Mapping():
            return {"M": to_item(value)}
    raise TypeError(f"no AttributeValue for {type(value).__name__}: {value!r}")


def from_attribute(attribute: Attribute) -> Any:
    """One AttributeValue → Python value. Raises `TypeError` for number and binary sets, which nothing here writes."""
    [(kind, value)] = attribute.items()
    match kind:
        case "S" | "B" | "BOOL":
            return value
        case "NULL":
            return None
        case "N":
            return int(value) if value.removeprefix("-").isdecimal() else Decimal(value)
        case "SS":
            return set(value)
        case "L":
            return [from_attribute(part) for part in value]
        case "M":
            return from_item(value)
    raise TypeError(f"unexpected attribute type {kind}")


def hash_table(name: str, key: str) -> dict[str, Any]:
    """Arguments of CreateTable for an on-demand table whose whole key is the string `key`."""
    return {
        "TableName": name,
        "KeySchema": [{"AttributeName": key, "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": key, "AttributeType": "S"}],
        "BillingMode": "PAY_PER_REQUEST",
    }


async def request(operation: Callable[..., Awaitable[Any]], **arguments: Any) -> dict[str, Any]:
    """Call a client's method under `aws_errors` and `retry`.

    Fit for conditional writes too: an attempt that meets the effect of an earlier one raises `ConflictError`, and the
    caller reads to find out.
    """

    async def attempt() -> dict[str, Any]:
        with aws_errors():
            reply: dict[str, Any] = await operation(**arguments)
        return reply

    return await retry(attempt)


def names_in(*expressions: str) -> dict[str, str]:
    """ExpressionAttributeNames for every `#name` in the expressions: an alias each, so that none is a reserved word."""
    return {f"#{name}": name for expression in expressions for name in re.findall(r"#(\w+)", expression)}


async def scan_prefix(client: Any, table: str, key: str, prefix: str) -> AsyncIterator[dict[str, Any]]:
    """All items whose `key` starts with `prefix`, as Python values, read consistently, to the last page.

    For tables of some thousand rows at most: DynamoDB reads them all. Raises what `aws_errors` raises.
    """
    arguments: dict[str, Any] = {"TableName": table, "ConsistentRead": True}
    if prefix:
        condition = f"begins_with(#{key}, :prefix)"
        arguments |= {
            "FilterExpression": condition,
            "ExpressionAttributeNames": names_in(condition),
            "ExpressionAttributeValues": to_item({":prefix": prefix}),
        }
    while True:
        page = await request(client.scan, **arguments)
        for item in page["Items"]:
            yield from_item(item)
        if not (last := page.get("LastEvaluatedKey")):
            return
        arguments["ExclusiveStartKey"] = last


async def query_between(
    client: Any, table: str, keys: tuple[str, str, str], *, consistent: bool = False
) -> list[dict[str, Any]]:
    """Items of a table keyed by `pk` and `sk`, as Python values: partition, first and last sort key, both included.

    In order of `sk`, to the last page. Raises what `aws_errors` raises.
    """
    partition, first, last = keys
    arguments: dict[str, Any] = {
        "TableName": table,
        "KeyConditionExpression": "pk = :pk AND sk BETWEEN :first AND :last",
        "ExpressionAttributeValues": to_item({":pk": partition, ":first": first, ":last": last}),
        "ConsistentRead": consistent,
    }
    items: list[dict[str, Any]] = []
    while True:
        page = await request(client.query, **arguments)
        items += map(from_item, page["Items"])
        if not (after := page.get("LastEvaluatedKey")):
            return items
        arguments["ExclusiveStartKey"] = after
