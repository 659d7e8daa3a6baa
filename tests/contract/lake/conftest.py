"""The object stores that the suites run on."""

from collections.abc import AsyncIterator

import pytest

from headrace.lake.memory import MemoryStore
from headrace.lake.ports import ObjectStore
from tests.contract.lake.world import PART, Bucket, fresh_bucket


@pytest.fixture(params=["memory", "s3"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[ObjectStore]:
    if request.param == "memory":
        yield MemoryStore(part_bytes=PART)
        return
    request.getfixturevalue("aws_environment")
    async with fresh_bucket() as bucket:
        yield bucket.store()


@pytest.fixture
async def bucket(aws_environment: str) -> AsyncIterator[Bucket]:
    async with fresh_bucket() as bucket:
        yield bucket
