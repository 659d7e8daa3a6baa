"""What a shard did in each hour: the sums that `headrace job reconcile` compares."""

from headrace.counters.dynamodb import DynamoCounterWriter
from headrace.counters.ports import HourLedger
from tests.contract.counters.world import LEDGER, NOW, THIS_HOUR, Counters, product
from tests.contract.dynamodb_engines import Table


async def test_the_ledger_is_the_sum_of_the_batches_of_an_hour(counters: Counters) -> None:
    for batch_no, minutes in enumerate((-60, -59, 0, 24, 25)):
        await counters.writer.apply("o1", batch_no, {}, now=NOW + minutes * 60, ledger={"received": 2**batch_no})
    assert await counters.ledger.hours("o1", THIS_HOUR - 1, THIS_HOUR + 1) == {
        THIS_HOUR - 1: HourLedger(last=1, numbers={"received": 3}),
        THIS_HOUR: HourLedger(last=3, numbers={"received": 12}),
        THIS_HOUR + 1: HourLedger(last=4, numbers={"received": 16}),
    }
    assert await counters.ledger.hours("o1", THIS_HOUR + 1, THIS_HOUR + 5) == {
        THIS_HOUR + 1: HourLedger(last=4, numbers={"received": 16})
    }
    assert await counters.ledger.hours("o1", THIS_HOUR + 2, THIS_HOUR + 5) == {}


async def test_every_number_of_the_ledger_is_kept_under_its_name(counters: Counters) -> None:
    for batch_no in (0, 1):
        await counters.writer.apply("o1", batch_no, product("p1", views=1), now=NOW, ledger=LEDGER)
    twice = {name: 2 * count for name, count in LEDGER.items()}
    assert await counters.ledger.hours("o1", THIS_HOUR, THIS_HOUR) == {THIS_HOUR: HourLedger(last=1, numbers=twice)}


async def test_a_repeated_or_older_batch_leaves_the_ledger_as_it_is(counters: Counters) -> None:
    for batch_no, writer in (
        (5, counters.writer),
        (5, counters.writer),
        (5, counters.other_writer),
        (4, counters.writer),
    ):
        await writer.apply("o1", batch_no, product("p1", views=1), now=NOW, ledger=LEDGER)
    assert await counters.ledger.hours("o1", 0, THIS_HOUR) == {THIS_HOUR: HourLedger(last=5, numbers=LEDGER)}


async def test_origins_have_ledgers_of_their_own(counters: Counters) -> None:
    for origin in ("o1", "o1-2", "o2"):
        await counters.writer.apply(origin, 0, {}, now=NOW, ledger={"received": len(origin)})
    assert await counters.ledger.hours("o1", THIS_HOUR, THIS_HOUR) == {
        THIS_HOUR: HourLedger(last=0, numbers={"received": 2})
    }


async def test_a_batch_without_ledger_makes_no_hour(counters: Counters) -> None:
    await counters.writer.apply("o1", 0, product("p1", views=1), now=NOW, ledger={})
    assert await counters.ledger.hours("o1", THIS_HOUR, THIS_HOUR) == {}


async def test_a_ledger_item_expires_a_quarter_after_its_hour(table: Table) -> None:
    await DynamoCounterWriter(*table).apply("o1", 1, {}, now=NOW, ledger=LEDGER)
    [item] = (await table.client.scan(TableName=table.name))["Items"]
    assert int(item["ttl"]["N"]) == (THIS_HOUR + 1 + 90 * 24) * 3600
