"""Documents ↔ JSON, and their limit. Shared by the adapters, so that memory refuses what DynamoDB would."""

from typing import Any

import msgspec

from headrace.errors import RequestError

MAX_BYTES = 300 * 1024
"""Of a document's JSON; an item of DynamoDB holds 400 KB."""


def encode(key: str, value: dict[str, Any]) -> bytes:
    """A document → JSON. Raises `RequestError` when it is too large or no JSON."""
    try:
        body = msgspec.json.encode(value)
    except (TypeError, ValueError) as error:
        raise RequestError(f"document {key}: {error}") from error
    if len(body) > MAX_BYTES:
        raise RequestError(f"document {key}: {len(body)} bytes, {MAX_BYTES} are allowed")
    return body


def decode(body: bytes | str) -> dict[str, Any]:
    """JSON → document."""
    return msgspec.json.decode(body, type=dict[str, Any])
