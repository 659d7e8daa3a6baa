"""Deletion of objects on S3, apart from the store, so that what never deletes holds nothing that could."""

from collections.abc import Iterable, Sequence
from functools import partial
from http import HTTPStatus
from itertools import islice
from typing import Any

from headrace.aws.faults import aws_errors, classify
from headrace.aws.retry import retry
from headrace.errors import UnavailableError

KEYS_AT_ONCE = 1000
"""Most keys of one DeleteObjects (S3's own limit)."""


class S3Remover:
    """`Remover` over one bucket and an aiobotocore S3 client, which stays the caller's to close."""

    def __init__(self, client: Any, bucket: str, *, keys_at_once: int = KEYS_AT_ONCE) -> None:
        self._client = client
        self._bucket = bucket
        self._keys_at_once = keys_at_once

    async def delete(self, keys: Iterable[str]) -> None:
        """See `Remover`. Of a request that failed in part all keys are asked for again: those that are gone stay so."""
        rest = iter(keys)
        while some := list(islice(rest, self._keys_at_once)):
            await retry(partial(self._delete, some))

    async def _delete(self, keys: Sequence[str]) -> None:
        with aws_errors():
            answer = await self._client.delete_objects(
                Bucket=self._bucket, Delete={"Objects": [{"Key": key} for key in keys]}
            )
        if failures := answer.get("Errors"):
            code, message = failures[0].get("Code", ""), failures[0].get("Message", "")
            raise classify(code, HTTPStatus.OK, f"{failures[0].get('Key')} cannot be deleted: {message}")
        # S3 names all that it was asked for, whether it was there or not; it does not when its answer was cut off
        if missing := set(keys) - {each["Key"] for each in answer.get("Deleted", ())}:
            raise UnavailableError(f"S3 did not say what became of {min(missing)} and {len(missing) - 1} more")
