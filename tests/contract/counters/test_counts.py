"""What both sides of the counters promise, held by the memory adapter and by DynamoDB on the emulator."""

from decimal import Decimal
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from headrace.counters.dynamodb import DynamoCounterReader, DynamoCounterWriter
from headrace.counters.dynamodb_ledger import DynamoLedgerReader
from headrace.counters.ports import CountKey, Counts, Entity, HourLedger, Metric, Window
from tests.contract.counters.world import DAY, HOUR, LEDGER, MINUTE, NOW, THIS_HOUR, Counters, product, values, views
from tests.contract.dynamodb_engines import Table


@pytest.mark.parametrize("window", Window)
async def test_an_unknown_entity_has_zeros(counters: Counters, window: Window) -> None:
    assert await counters.reader.counts(Entity.PRODUCT, "nobody", window, now=NOW) == Counts()
    top = await counters.reader.top(Metric.REVENUE, window, limit=10, now=NOW)
    assert (list(top.items), top.exact, top.currency) == ([], True, None)


@pytest.mark.parametrize("window", Window)
async def test_every_field_is_counted_in_every_window(counters: Counters, window: Window) -> None:
    counts = Counts(
        views=7, add_to_carts=3, purchases=2, quantity=5, revenue={"EUR": Decimal("12.5"), "JPY": Decimal(900)}
    )
    await counters.writer.apply("o1", 1, {CountKey(Entity.PAGE, "/p", MINUTE): counts}, now=NOW, ledger=LEDGER)
    assert await counters.reader.counts(Entity.PAGE, "/p", window, now=NOW) == counts
    assert await counters.reader.counts(Entity.PRODUCT, "/p", window, now=NOW) == Counts()


@pytest.mark.parametrize("name", ["a\0b", "../x", "%2F", "year=1", "\U0001f600"])
async def test_a_hostile_name_is_a_name_like_any_other(counters: Counters, name: str) -> None:
    await counters.writer.apply("o1", 1, product(name, views=2), now=NOW, ledger=LEDGER)
    assert await views(counters.reader, Window.ALL, product_id=name) == 2
    top = await counters.reader.top(Metric.VIEWS, Window.ALL, limit=5, now=NOW)
    assert values(top) == [(name, Decimal(2))]


async def test_a_repeated_batch_adds_once(counters: Counters) -> None:
    batch = product("p1", views=2)
    await counters.writer.apply("o1", 5, batch, now=NOW, ledger=LEDGER)
    await counters.writer.apply("o1", 5, batch, now=NOW, ledger=LEDGER)
    await counters.other_writer.apply("o1", 5, batch, now=NOW, ledger=LEDGER)
    assert [await views(counters.reader, window) for window in Window] == [2] * len(Window)
    top = await counters.reader.top(Metric.VIEWS, Window.ALL, limit=5, now=NOW)
    assert values(top) == [("p1", Decimal(2))]


async def test_an_older_batch_is_ignored(counters: Counters) -> None:
    await counters.writer.apply("o1", 5, product("p1", views=2), now=NOW, ledger=LEDGER)
    await counters.other_writer.apply("o1", 4, product("p1", views=100), now=NOW, ledger=LEDGER)
    assert await views(counters.reader, Window.ALL) == 2
    top = await counters.reader.top(Metric.VIEWS, Window.HOUR, limit=5, now=NOW)
    assert values(top) == [("p1", Decimal(2))]


async def test_the_first_batch_may_have_number_zero(counters: Counters) -> None:
    for _ in range(2):
        await counters.writer.apply("o1", 0, product("p1", views=1), now=NOW, ledger=LEDGER)
    assert await views(counters.reader, Window.ALL) == 1


async def test_a_batch_applied_in_part_is_completed(counters: Counters) -> None:
    first = product("p1", views=1)
    await counters.writer.apply("o1", 1, first, now=NOW, ledger=LEDGER)
    whole = {**first, **{key: count for n in range(150) for key, count in product(f"q{n:03}", views=n + 1).items()}}
    await counters.writer.apply("o1", 1, whole, now=NOW, ledger=LEDGER)
    assert await views(counters.reader, Window.ALL) == 1
    assert [await views(counters.reader, Window.DAY, product_id=f"q{n:03}") for n in (0, 149)] == [1, 150]


async def test_origins_add_up(counters: Counters) -> None:
    for number in range(6):
        await counters.writer.apply(f"shard-{number}", 9, product("p1", views=2**number), now=NOW, ledger=LEDGER)
    assert [await views(counters.reader, window) for window in Window] == [63] * len(Window)
    top = await counters.reader.top(Metric.VIEWS, Window.DAY, limit=5, now=NOW)
    assert values(top) == [("p1", Decimal(63))]


async def test_a_lease_that_goes_away_and_comes_back_loses_nothing(counters: Counters) -> None:
    for batch_no, writer in enumerate((counters.writer, counters.other_writer, counters.writer), start=1):
        await writer.apply("o1", batch_no, product("p1", views=1), now=NOW, ledger=LEDGER)
    top = await counters.reader.top(Metric.VIEWS, Window.ALL, limit=5, now=NOW)
    assert values(top) == [("p1", Decimal(3))]


@pytest.mark.parametrize(
    ("window", "age", "counted"),
    [
        (Window.HOUR, 59, True),
        (Window.HOUR, 60, False),
        (Window.DAY, 12 * HOUR, True),
        (Window.DAY, 23 * HOUR + 35, True),  # 13:00 the day before
        (Window.DAY, 23 * HOUR + 36, False),
        (Window.WEEK, 6 * DAY + 12 * HOUR + 35, True),  # midnight six days before
        (Window.WEEK, 6 * DAY + 12 * HOUR + 36, False),
        (Window.MONTH, 29 * DAY + 12 * HOUR + 35, True),
        (Window.MONTH, 29 * DAY + 12 * HOUR + 36, False),
        (Window.ALL, 3000 * DAY, True),
    ],
)
async def test_windows_reach_back_by_minute_hour_and_calendar_day(
    counters: Counters, window: Window, age: int, counted: bool
) -> None:
    await counters.writer.apply("o1", 1, product("p1", MINUTE - age, views=4), now=NOW, ledger=LEDGER)
    assert await views(counters.reader, window) == (4 if counted else 0)
    top = await counters.reader.top(Metric.VIEWS, window, limit=1, now=NOW)
    assert values(top) == ([("p1", Decimal(4))] if counted else [])


async def test_windows_roll_while_time_passes(counters: Counters) -> None:
    await counters.writer.apply("o1", 1, product("p1", views=1), now=NOW, ledger=LEDGER)
    seen = {
        after: [await views(counters.reader, window, NOW + after * 60) for window in Window]
        for after in (59, 60, 23 * HOUR, 24 * HOUR, 7 * DAY, 30 * DAY)
    }
    assert seen == {
        59: [1, 1, 1, 1, 1],
        60: [0, 1, 1, 1, 1],
        23 * HOUR: [0, 1, 1, 1, 1],
        24 * HOUR: [0, 0, 1, 1, 1],
        7 * DAY: [0, 0, 0, 1, 1],
        30 * DAY: [0, 0, 0, 0, 1],
    }


async def test_what_lies_ahead_counts_when_its_minute_comes(counters: Counters) -> None:
    await counters.writer.apply("o1", 1, product("p1", MINUTE + 30, views=1), now=NOW, ledger=LEDGER)
    assert [await views(counters.reader, Window.HOUR, NOW + after * 60) for after in (0, 29, 30, 89, 90)] == [
        0, 0, 1, 1, 0,
    ]  # fmt: skip


async def test_revenue_is_exact_and_apart_by_currency(counters: Counters) -> None:
    amounts = [Decimal("0.1"), Decimal("99999999999999.9999"), Decimal("0.0001"), Decimal("-0.2")]
    for batch_no, amount in enumerate(amounts):
        batch = product("p1", purchases=1, revenue={"EUR": amount, "USD": Decimal("0.3")})
        await counters.writer.apply("o1", batch_no, batch, now=NOW, ledger=LEDGER)
    for window in Window:
        counts = await counters.reader.counts(Entity.PRODUCT, "p1", window, now=NOW)
        assert counts.revenue == {"EUR": Decimal("99999999999999.9000"), "USD": Decimal("1.2")}


@pytest.mark.parametrize("product_id", ["ü/ö #%\x00", "x" * 5000, "é" * 451])
async def test_any_text_is_an_id(counters: Counters, product_id: str) -> None:
    await counters.writer.apply("o1", 1, product(product_id, views=1), now=NOW, ledger=LEDGER)
    assert await views(counters.reader, Window.ALL, product_id=product_id) == 1
    [(listed, _)] = values(await counters.reader.top(Metric.VIEWS, Window.ALL, limit=5, now=NOW))
    assert await views(counters.reader, Window.ALL, product_id=listed) == 1


async def test_a_prefix_of_an_id_is_another_entity(counters: Counters) -> None:
    await counters.writer.apply("o1", 1, product("p10", views=1), now=NOW, ledger=LEDGER)
    assert await views(counters.reader, Window.ALL, product_id="p1") == 0


class LosesAnswers:
    """A client whose every write reaches the table and whose first answer to each kind of write is lost."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._lost: set[str] = set()

    def __getattr__(self, operation: str) -> Any:
        async def call(**arguments: Any) -> Any:
            reply = await getattr(self._client, operation)(**arguments)
            if operation in {"transact_write_items", "put_item"} and operation not in self._lost:
                self._lost.add(operation)
                raise EndpointConnectionError(endpoint_url="gone")
            return reply

        return call


async def test_a_lost_answer_does_not_add_twice(table: Table) -> None:
    writer = DynamoCounterWriter(LosesAnswers(table.client), table.name)
    await writer.apply("o1", 1, product("p1", views=3), now=NOW, ledger=LEDGER)
    reader = DynamoCounterReader(*table)
    assert [await views(reader, window) for window in Window] == [3] * len(Window)
    assert values(await reader.top(Metric.VIEWS, Window.ALL, limit=1, now=NOW)) == [("p1", Decimal(3))]
    assert await DynamoLedgerReader(*table).hours("o1", THIS_HOUR, THIS_HOUR) == {
        THIS_HOUR: HourLedger(last=1, numbers=LEDGER)
    }
