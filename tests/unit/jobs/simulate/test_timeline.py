import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.simulate.faults import FaultProfile
from jobs.simulate.shoppers import BLOCK_MS, Item
from jobs.simulate.timeline import Position, Timeline

START_MS = 1_775_721_600_000
TIMELINE = Timeline(seed=7, rate=20, faults=FaultProfile.parse("some"))
EXPECTED = list(itertools.takewhile(lambda item: item.at_ms < START_MS + 60_000, TIMELINE.items(START_MS)))


@given(
    limits=st.lists(st.integers(1, 300), min_size=1, max_size=20),
    waits=st.lists(st.integers(0, 9_000), min_size=1, max_size=20),
)
@settings(max_examples=60)
def test_following_the_positions_hands_out_each_item_exactly_once(limits: list[int], waits: list[int]) -> None:
    position, now_ms = Position.at(START_MS), START_MS
    seen: list[Item] = []
    for limit, wait in zip(itertools.cycle(limits), itertools.chain(waits, itertools.repeat(60_000))):
        now_ms = min(now_ms + wait, START_MS + 59_999)
        items, position = TIMELINE.page(Position.parse(str(position)), limit, now_ms)
        assert len(items) <= limit
        assert all(item.at_ms <= now_ms for item in items)
        seen += items
        if now_ms == START_MS + 59_999 and len(items) < limit:
            break
    assert seen == EXPECTED


@given(st.permutations(range(12)))
@settings(max_examples=20)
def test_blocks_may_be_asked_for_in_any_order(order: list[int]) -> None:
    first = START_MS // BLOCK_MS
    made = {number: TIMELINE.block(first + number) for number in order}
    assert [item for number in range(12) for item in made[number]] == EXPECTED


def test_nothing_is_handed_out_before_its_time() -> None:
    assert TIMELINE.page(Position.at(START_MS), 100, START_MS - 1) == ([], Position.at(START_MS))


def test_a_position_past_the_end_of_its_block_goes_on_with_the_next() -> None:
    position = Position(START_MS // BLOCK_MS, 999_999_999)
    items, _ = TIMELINE.page(position, 10_000, START_MS + 59_999)
    assert items == [item for item in EXPECTED if item.at_ms >= START_MS + BLOCK_MS]


@pytest.mark.parametrize("text", ["", "1", "-1-2", "1-", "a-b", "1-2-3", "1-2\n", "1" * 13 + "-0", "١-٢", " 1-2"])
def test_what_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="cursor"):
        Position.parse(text)
