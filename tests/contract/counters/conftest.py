"""The counters that the suites run on."""

from collections.abc import AsyncIterator

import pytest

from headrace.counters.dynamodb import DynamoCounterReader, DynamoCounterWriter, table_definition
from headrace.counters.dynamodb_ledger import DynamoLedgerReader
from headrace.counters.memory import MemoryCounters
from tests.contract.counters.world import Counters
from tests.contract.dynamodb_engines import ENGINES, Table, fresh_table


@pytest.fixture(params=["memory", *ENGINES])
async def counters(request: pytest.FixtureRequest) -> AsyncIterator[Counters]:
    if request.param == "memory":
        memory = MemoryCounters()
        yield Counters(memory, memory, memory, memory)
        return
    async with fresh_table(request, table_definition) as table:
        yield Counters(
            DynamoCounterWriter(*table),
            DynamoCounterReader(*table),
            DynamoCounterWriter(*table),
            DynamoLedgerReader(*table),
        )


@pytest.fixture(params=ENGINES)
async def table(request: pytest.FixtureRequest) -> AsyncIterator[Table]:
    async with fresh_table(request, table_definition) as table:
        yield table
