from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from headrace.counters import top
from headrace.counters.layout import Span
from headrace.counters.ports import CountKey, Counts, Entity, Metric

counts = st.builds(
    Counts,
    views=st.integers(0, 50),
    add_to_carts=st.integers(0, 50),
    purchases=st.integers(0, 50),
    revenue=st.dictionaries(
        st.sampled_from(["EUR", "USD"]), st.decimals(0, 1000, places=4), max_size=2
    ),
)  # fmt: skip
products = st.dictionaries(st.sampled_from("abcdef"), counts, max_size=6)


def many(number: int, prefix: str = "p") -> dict[str, Counts]:
    return {f"{prefix}{n:05}": Counts(views=number - n) for n in range(number)}


@given(st.lists(products, max_size=5))
def test_a_list_that_kept_everything_is_exact(batches: list[dict[str, Counts]]) -> None:
    best = top.NOTHING
    sums: dict[str, int] = {}
    for batch in batches:
        best = top.decode(top.encode(top.add(best, batch)))
        for product_id, added in batch.items():
            sums[product_id] = sums.get(product_id, 0) + added.views
    found = top.merge([best], Metric.VIEWS, limit=10, currency=None)
    ordered = sorted(((value, key) for key, value in sums.items() if value), key=lambda pair: (-pair[0], pair[1]))
    assert [(item.value, item.entity_id) for item in found.items] == ordered
    assert found.exact


@given(st.lists(products, min_size=2, max_size=4))
def test_lists_of_several_origins_make_the_list_of_all(batches: list[dict[str, Counts]]) -> None:
    together = top.NOTHING
    for batch in batches:
        together = top.add(together, batch)
    apart = [top.add(top.NOTHING, batch) for batch in batches]
    for metric in Metric:
        merged = top.merge(apart, metric, limit=10, currency="EUR")
        assert merged == top.merge([together], metric, limit=10, currency="EUR")


def test_the_best_in_any_one_metric_are_kept() -> None:
    batch = many(1000)
    batch["cart"] = Counts(add_to_carts=1)
    batch["bought"] = Counts(purchases=1)
    batch["paid"] = Counts(revenue={"JPY": Decimal(1)})
    best = top.add(top.NOTHING, batch)
    assert len(best.ids) == top.KEPT
    assert {"p00000", "cart", "bought", "paid"} <= set(best.ids)
    assert not best.complete


def test_a_list_that_let_go_stays_inexact() -> None:
    best = top.add(top.add(top.NOTHING, many(501)), {"p00000": Counts(views=1)})
    assert not top.merge([best], Metric.VIEWS, limit=1, currency=None).exact


def test_long_ids_and_many_currencies_stay_within_an_item() -> None:
    currencies = {f"C{n:02}": Decimal("123456789012.1234") for n in range(60)}
    batch = {f"{n:03}" + "ü" * 440: Counts(views=500 - n, revenue=currencies) for n in range(500)}
    encoded = top.encode(top.add(top.NOTHING, batch))
    assert len(encoded) <= top.MAX_BYTES
    assert not top.decode(encoded).complete


def test_the_default_currency_is_that_of_the_products_bought_most() -> None:
    batch = {
        "a": Counts(purchases=9, revenue={"EUR": Decimal(1)}),
        "b": Counts(purchases=8, revenue={"USD": Decimal(900)}),
    }
    found = top.merge([top.add(top.NOTHING, batch)], Metric.REVENUE, limit=5, currency=None)
    assert (found.currency, [item.entity_id for item in found.items]) == ("EUR", ["a"])


def test_a_batch_touches_few_lists_however_much_history_it_brings() -> None:
    now = 1_775_738_130.0
    minute = int(now // 60)
    deltas = {CountKey(Entity.PRODUCT, "a", minute - n * 7): Counts(views=1) for n in range(20_000)}
    touched = top.by_bucket(deltas, now)
    by_span = {span: sum(bucket.span is span for bucket in touched) for span in Span}
    assert by_span == {Span.MINUTE: 9, Span.HOUR: 24, Span.DAY: 30, Span.ALL: 1}
