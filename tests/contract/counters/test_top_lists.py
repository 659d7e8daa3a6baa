"""The products with the most, over a window."""

from decimal import Decimal

from headrace.counters.ports import CountKey, Counts, Entity, Metric, Window
from tests.contract.counters.world import HOUR, LEDGER, MINUTE, NOW, Counters, product, values


async def test_the_top_is_ordered_by_value_then_by_id(counters: Counters) -> None:
    batch: dict[CountKey, Counts] = {}
    for product_id, count in {"b": 3, "a": 3, "d": 9, "c": 1, "none": 0}.items():
        batch |= product(product_id, views=count, add_to_carts=10 - count, purchases=1)
    await counters.writer.apply("o1", 1, batch, now=NOW, ledger=LEDGER)
    by_views = await counters.reader.top(Metric.VIEWS, Window.HOUR, limit=3, now=NOW)
    assert values(by_views) == [("d", Decimal(9)), ("a", Decimal(3)), ("b", Decimal(3))]
    by_carts = await counters.reader.top(Metric.ADD_TO_CARTS, Window.HOUR, limit=2, now=NOW)
    assert values(by_carts) == [("none", Decimal(10)), ("c", Decimal(9))]
    everything = await counters.reader.top(Metric.VIEWS, Window.HOUR, limit=50, now=NOW)
    assert "none" not in {item.entity_id for item in everything.items}
    assert everything.exact
    assert everything.currency is None


async def test_pages_are_in_no_top_list(counters: Counters) -> None:
    await counters.writer.apply("o1", 1, {CountKey(Entity.PAGE, "/p", MINUTE): Counts(views=5)}, now=NOW, ledger=LEDGER)
    assert values(await counters.reader.top(Metric.VIEWS, Window.ALL, limit=5, now=NOW)) == []


async def test_top_revenue_is_in_one_currency(counters: Counters) -> None:
    batch = {
        **product("a", purchases=3, revenue={"EUR": Decimal("5.25")}),
        **product("b", purchases=1, revenue={"EUR": Decimal(6), "USD": Decimal(1000)}),
    }
    await counters.writer.apply("o1", 1, batch, now=NOW, ledger=LEDGER)
    by_default = await counters.reader.top(Metric.REVENUE, Window.WEEK, limit=5, now=NOW)
    assert (by_default.currency, values(by_default)) == ("EUR", [("b", Decimal(6)), ("a", Decimal("5.25"))])
    in_dollars = await counters.reader.top(Metric.REVENUE, Window.WEEK, limit=5, now=NOW, currency="USD")
    assert (in_dollars.currency, values(in_dollars)) == ("USD", [("b", Decimal(1000))])


async def test_a_list_that_had_to_let_products_go_says_so(counters: Counters) -> None:
    many: dict[CountKey, Counts] = {}
    for n in range(501):
        many |= product(f"p{n:04}", MINUTE - 2 * HOUR, views=1000 - n)
    await counters.writer.apply("o1", 1, many, now=NOW, ledger=LEDGER)
    day = await counters.reader.top(Metric.VIEWS, Window.DAY, limit=500, now=NOW)
    assert not day.exact
    assert values(day)[::499] == [("p0000", Decimal(1000)), ("p0499", Decimal(501))]
    assert (await counters.reader.top(Metric.VIEWS, Window.HOUR, limit=5, now=NOW)).exact
