import asyncio

from headrace.delivery.budget import BufferBudget


async def test_there_is_room_until_the_limit_is_reached() -> None:
    budget = BufferBudget(100)
    budget.take(99)
    assert not budget.full
    await asyncio.wait_for(budget.room(), 1)
    budget.take(1)
    assert budget.full


async def test_who_waits_for_room_goes_on_once_enough_is_given_back() -> None:
    budget = BufferBudget(100)
    budget.take(150)
    waiting = [asyncio.create_task(budget.room()) for _ in range(2)]
    budget.give_back(50)
    await asyncio.wait(waiting, timeout=0.01)
    assert not any(task.done() for task in waiting)
    budget.give_back(1)
    await asyncio.wait_for(asyncio.gather(*waiting), 1)
    assert budget.held == 99
