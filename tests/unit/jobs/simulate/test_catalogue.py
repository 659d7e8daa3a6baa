from collections import Counter
from random import Random

import pytest

from jobs.simulate.catalogue import DEVICES, Weighted, products


def test_products_have_their_own_id_and_page_and_a_price() -> None:
    items = products()
    assert len({item.product_id for item in items}) == len({item.url for item in items}) == len(items) == 240
    assert all(item.price > 0 for item in items)


def test_values_are_drawn_by_their_weight() -> None:
    rng = Random(3)
    drawn = Counter(Weighted([("often", 3), ("never", 0), ("seldom", 1)]).draw(rng) for _ in range(10_000))
    assert set(drawn) == {"often", "seldom"}
    assert drawn["often"] / drawn["seldom"] == pytest.approx(3, rel=0.1)


def test_devices_are_of_all_kinds() -> None:
    rng = Random(3)
    assert {DEVICES.draw(rng).device_type for _ in range(2_000)} == {"desktop", "mobile", "tablet", "bot"}
