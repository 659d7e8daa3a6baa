"""A fresh bucket on the emulator, and stores over it."""

import contextlib
import hashlib
from collections.abc import AsyncIterator
from typing import Any, NamedTuple
from uuid import uuid4

from headrace.aws.session import AwsSession
from headrace.lake.ports import ObjectStore, Remover
from headrace.lake.s3 import S3Store
from headrace.lake.s3_remover import S3Remover

PART = 10
"""Bytes of a part here, so that small bodies have many. S3 would find them too small (`engines.Gap.SMALL_PARTS`)."""


class Bucket(NamedTuple):
    client: Any
    name: str

    def store(self, part_bytes: int = PART) -> S3Store:
        return S3Store(self.client, self.name, page_keys=2, part_bytes=part_bytes)

    def remover(self) -> S3Remover:
        return S3Remover(self.client, self.name, keys_at_once=2)


class Lake(NamedTuple):
    """One bucket through both ports."""

    store: ObjectStore
    remover: Remover


@contextlib.asynccontextmanager
async def fresh_bucket() -> AsyncIterator[Bucket]:
    async with AwsSession("us-east-1") as aws:
        bucket = Bucket(await aws.client("s3"), f"lake-{uuid4().hex}")
        await bucket.client.create_bucket(Bucket=bucket.name)
        yield bucket


def sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
