"""Tables of leases: the port's in memory and on every engine, and one on every engine with a network that fails."""

from collections.abc import AsyncIterator

import pytest

from headrace.leases.dynamodb import DynamoLeaseStore, table_definition
from headrace.leases.memory import MemoryLeaseStore
from headrace.leases.ports import LeaseStore
from tests.contract.dynamodb_engines import ENGINES, LossyClient, Table, fresh_table


@pytest.fixture(params=["memory", *ENGINES])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[LeaseStore]:
    if request.param == "memory":
        yield MemoryLeaseStore()
        return
    async with fresh_table(request, table_definition) as table:
        yield DynamoLeaseStore(table.client, table.name)


@pytest.fixture(params=ENGINES)
async def table(request: pytest.FixtureRequest) -> AsyncIterator[Table]:
    async with fresh_table(request, table_definition) as table:
        yield table


@pytest.fixture
def client(table: Table) -> LossyClient:
    return LossyClient(table.client)


@pytest.fixture
def lossy(client: LossyClient, table: Table) -> DynamoLeaseStore:
    return DynamoLeaseStore(client, table.name)
