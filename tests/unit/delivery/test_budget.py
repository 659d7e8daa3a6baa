from headrace.delivery.budget import FIRST_PAGES, BufferBudget, Share

LIMIT = 150
"""A third of it is 50."""


def joined(budget: BufferBudget, *sizes: int, behind: bool = True) -> list[Share]:
    """Shares of shards that have gathered so much each."""
    shares = []
    for size in sizes:
        share = Share()
        budget.join(share)
        budget.gather(share, size, behind=behind)
        shares.append(share)
    return shares


def has_turn(budget: BufferBudget, share: Share, *, fetching: bool) -> bool:
    """Whether the shard need not wait."""
    with budget.turn(share, fetching=fetching) as turn:
        return turn.done()


def test_there_is_room_for_all_until_a_third_of_the_limit_is_taken() -> None:
    budget = BufferBudget(LIMIT)
    small, large = joined(budget, 10, 39)
    assert budget.may_fetch(small)
    assert budget.may_fetch(large)
    assert budget.held == 49


def test_nobody_fetches_past_the_limit() -> None:
    budget = BufferBudget(LIMIT)
    for share in joined(budget, 60, 90):
        assert not budget.may_fetch(share)


def test_a_page_on_its_way_takes_the_room_that_the_page_before_it_took() -> None:
    budget = BufferBudget(LIMIT)
    share, other = joined(budget, 40, 1)
    budget.fetch(share)
    budget.gather(other, 0, behind=False)
    budget.fetch(other)
    assert budget.may_fetch(share)
    budget.gather(other, 70, behind=True)
    assert not budget.may_fetch(other)


def test_not_all_shards_of_many_fetch_their_first_page_at_once() -> None:
    budget = BufferBudget(FIRST_PAGES)
    shares = [Share() for _ in range(FIRST_PAGES + 1)]
    for share in shares:
        budget.join(share)
    fetching = 0
    while fetching <= FIRST_PAGES and budget.may_fetch(shares[fetching]):
        budget.fetch(shares[fetching])
        fetching += 1
    assert FIRST_PAGES // 3 <= fetching < FIRST_PAGES


def test_while_a_third_of_the_limit_is_being_delivered_the_shard_that_has_most_fetches_alone() -> None:
    budget = BufferBudget(LIMIT)
    delivered, small, large = joined(budget, 50, 4, 5)
    with budget.delivery(delivered):
        assert budget.may_fetch(large)
        assert not budget.may_fetch(small)
    budget.give_back(delivered, 50)
    assert budget.may_fetch(small)


def test_of_shards_that_have_nothing_the_one_that_waited_longest_fetches() -> None:
    budget = BufferBudget(LIMIT)
    delivered, again, waiting = joined(budget, 50, 1, 0)
    budget.give_back(again, 1)
    with budget.delivery(delivered):
        assert budget.may_fetch(waiting)
        assert not budget.may_fetch(again)


def test_a_shard_that_is_read_to_its_tip_keeps_nobody_from_fetching_and_is_kept_by_nobody() -> None:
    budget = BufferBudget(LIMIT)
    delivered, behind = joined(budget, 50, 4)
    [at_tip] = joined(budget, 5, behind=False)
    with budget.delivery(delivered):
        assert budget.may_fetch(behind)
        assert budget.may_fetch(at_tip)


def test_the_shard_that_has_most_delivers_once_a_third_of_the_limit_is_gathered() -> None:
    budget = BufferBudget(LIMIT)
    small, large = joined(budget, 10, 39)
    assert not budget.must_deliver(large)
    budget.gather(small, 1, behind=True)
    assert budget.must_deliver(large)
    assert not budget.must_deliver(small)


def test_what_is_being_delivered_hurries_nobody() -> None:
    budget = BufferBudget(LIMIT)
    delivered, gathering = joined(budget, 50, 49)
    with budget.delivery(delivered):
        assert not budget.must_deliver(gathering)
        budget.gather(gathering, 1, behind=True)
        assert budget.must_deliver(gathering)


async def test_who_waits_for_room_goes_on_once_enough_is_given_back() -> None:
    budget = BufferBudget(LIMIT)
    delivered, waiting = joined(budget, 150, 0)
    with budget.delivery(delivered), budget.turn(waiting, fetching=False) as turn:
        assert not turn.done()
        budget.give_back(delivered, 1)
        assert turn.done()


async def test_who_fetches_waits_only_to_be_told_to_deliver() -> None:
    budget = BufferBudget(LIMIT)
    one, other = joined(budget, 30, 10)
    assert has_turn(budget, one, fetching=False)
    assert not has_turn(budget, one, fetching=True)
    with budget.turn(one, fetching=True) as turn:
        budget.gather(other, 10, behind=True)
        assert turn.done()


async def test_a_shard_that_is_left_holds_nothing_and_lets_the_others_go_on() -> None:
    budget = BufferBudget(LIMIT)
    halted, waiting = joined(budget, 150, 0)
    with budget.delivery(halted), budget.turn(waiting, fetching=False) as turn:
        budget.leave(halted)
        assert turn.done()
    assert budget.held == 0
