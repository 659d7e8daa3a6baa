from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.simulate.catalogue import by_popularity, products
from jobs.simulate.visitors import make_visitor
from jobs.simulate.visits import EVENTS_PER_VISIT, MAX_VISIT_MS, visit

POPULAR = by_popularity(products())
START_MS = 1_775_721_600_000


@given(seed=st.integers(0, 2**32))
def test_a_visit_is_one_session_in_time_order_within_its_limit(seed: int) -> None:
    rng = Random(seed)
    events = visit(make_visitor(1, rng), START_MS, rng, POPULAR)
    times = [int(event.event_time) for event in events]
    assert times[0] == START_MS
    assert times == sorted(times)
    assert times[-1] < START_MS + MAX_VISIT_MS
    assert len({event.session_id for event in events}) == 1


@given(seed=st.integers(0, 2**32))
def test_crawlers_only_look(seed: int) -> None:
    rng = Random(seed)
    crawler = next(filter(lambda visitor: visitor.device.is_bot, (make_visitor(n, rng) for n in range(100_000))))
    events = visit(crawler, START_MS, rng, POPULAR)
    assert {event.event_type for event in events} == {"page_view"}
    assert {event.user_id for event in events} == {None}


def test_the_mean_length_is_the_one_that_the_rate_is_made_with() -> None:
    rng = Random(1)
    lengths = [len(visit(make_visitor(n, rng), START_MS, rng, POPULAR)) for n in range(20_000)]
    assert sum(lengths) / len(lengths) == pytest.approx(EVENTS_PER_VISIT, rel=0.02)
