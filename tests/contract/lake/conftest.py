"""The object stores that the suites run on."""

from collections.abc import AsyncIterator

import pytest

from headrace.lake.memory import MemoryStore
from headrace.lake.ports import ObjectStore
from tests.contract.lake.world import PART, Bucket, Lake, fresh_bucket


@pytest.fixture(params=["memory", "s3"])
async def lake(request: pytest.FixtureRequest) -> AsyncIterator[Lake]:
    if request.param == "memory":
        memory = MemoryStore(part_bytes=PART)
        yield Lake(memory, memory)
        return
    request.getfixturevalue("aws_environment")
    async with fresh_bucket() as bucket:
        yield Lake(bucket.store(), bucket.remover())


@pytest.fixture
def store(lake: Lake) -> ObjectStore:
    return lake.store


@pytest.fixture
async def bucket(aws_environment: str) -> AsyncIterator[Bucket]:
    async with fresh_bucket() as bucket:
        yield bucket
