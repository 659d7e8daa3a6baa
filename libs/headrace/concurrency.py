"""Doing several things at once, with a bound and with plain errors."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

T = TypeVar("T")


async def for_each(items: Iterable[T], work: Callable[[T], Awaitable[object]], *, limit: int) -> None:
    """Run `work` on every item, at most `limit` at a time. The first error ends the rest and is raised as it is."""
    places = asyncio.Semaphore(limit)

    async def run(item: T) -> None:
        async with places:
            await work(item)

    try:
        async with asyncio.TaskGroup() as tasks:
            for item in items:
                tasks.create_task(run(item))
    except ExceptionGroup as group:
        raise group.exceptions[0] from None
