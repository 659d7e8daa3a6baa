"""Engines for the contract suites: MiniStack always, kinesis-local and DynamoDB Local under `make test-engines`."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.conftest import point_aws_at
from tests.contract import engines
from tests.contract.engines import FOLDER
from tests.contract.stream_world import MEMORY, Stream, open_stream
from tests.harness import engines as processes


@pytest.fixture(scope="session")
def kinesis_local_url() -> Iterator[str]:
    """kinesis-local: one process for the whole session."""
    with processes.kinesis_local(FOLDER) as url:
        yield url


@pytest.fixture(scope="session")
def dynamodb_local_url() -> Iterator[str]:
    """DynamoDB Local: one process for the whole session, in memory."""
    with processes.dynamodb_local(FOLDER) as url:
        yield url


@pytest.fixture
def kinesis_local(kinesis_local_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Point the AWS SDK of this process at kinesis-local, and nowhere else."""
    return point_aws_at(kinesis_local_url, monkeypatch)


@pytest.fixture
def dynamodb_local(dynamodb_local_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Point the AWS SDK of this process at DynamoDB Local, and nowhere else."""
    return point_aws_at(dynamodb_local_url, monkeypatch)


@pytest.fixture(params=[*MEMORY, *engines.KINESIS])
async def stream(request: pytest.FixtureRequest) -> AsyncIterator[Stream]:
    async with open_stream(request) as stream:
        yield stream


@pytest.fixture(params=engines.KINESIS)
def kinesis(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param))
