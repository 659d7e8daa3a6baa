from collections import defaultdict
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from headrace.counters.memory import MemoryCounters
from headrace.counters.ports import CountKey, Counts, Entity, Metric, Window

NOW = 1_775_738_130.0
MINUTE = int(NOW // 60)

keys = st.builds(
    CountKey,
    st.just(Entity.PRODUCT),
    st.sampled_from(["a", "b", "c"]),
    st.integers(MINUTE - 100, MINUTE + 5) | st.integers(MINUTE - 60_000, MINUTE) | st.integers(0, MINUTE),
)
counts = st.builds(
    Counts,
    views=st.integers(0, 9),
    add_to_carts=st.integers(0, 9),
    purchases=st.integers(0, 9),
    quantity=st.integers(-9, 9),
    revenue=st.dictionaries(st.sampled_from(["EUR", "XXX"]), st.decimals(-99, 99, places=4), max_size=2),
)
batches = st.lists(
    st.tuples(st.sampled_from(["o1", "o2", "o3"]), st.dictionaries(keys, counts, max_size=6)), max_size=8
)
windows = {
    Window.HOUR: lambda minute: MINUTE - 60 < minute <= MINUTE,
    Window.DAY: lambda minute: MINUTE // 60 - 24 < minute // 60 <= MINUTE // 60,
    Window.WEEK: lambda minute: MINUTE // 1440 - 7 < minute // 1440 <= MINUTE // 1440,
    Window.MONTH: lambda minute: MINUTE // 1440 - 30 < minute // 1440 <= MINUTE // 1440,
    Window.ALL: lambda _: True,
}


@given(batches, st.randoms())
async def test_every_window_is_the_sum_of_its_deltas(batches: list, random: object) -> None:
    counters = MemoryCounters()
    expected: defaultdict[tuple[Window, str], Counts] = defaultdict(Counts)
    for batch_no, (origin, deltas) in enumerate(batches):
        for _ in range(random.randint(1, 2)):  # type: ignore[attr-defined]
            await counters.apply(origin, batch_no, deltas, now=NOW, ledger={})
        for key, added in deltas.items():
            for window, covers in windows.items():
                if covers(key.minute):
                    expected[window, key.entity_id] = expected[window, key.entity_id].plus(added)
    for window in Window:
        top = await counters.top(Metric.VIEWS, window, limit=5, now=NOW)
        for product_id in ("a", "b", "c"):
            found = await counters.counts(Entity.PRODUCT, product_id, window, now=NOW)
            assert found == expected[window, product_id]
            listed = [item.value for item in top.items if item.entity_id == product_id]
            assert listed == ([Decimal(found.views)] if found.views else [])
