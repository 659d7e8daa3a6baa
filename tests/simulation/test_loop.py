"""The simulator's own ground: virtual time, and that it cannot hang."""

import asyncio
import time

import pytest

from tests.simulation.loop import DeadlockError, LivelockError, VirtualLoop


def test_an_hour_passes_at_once_and_in_order() -> None:
    loop = VirtualLoop()
    woke: list[tuple[str, float]] = []

    async def sleeper(name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        woke.append((name, loop.time()))

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(sleeper("later", 3600.0))
            group.create_task(sleeper("sooner", 0.25))

    started = time.monotonic()
    loop.run(main())
    loop.end()
    assert woke == [("sooner", 0.25), ("later", 3600.0)]
    assert time.monotonic() - started < 60


def test_a_timeout_is_virtual_too() -> None:
    loop = VirtualLoop()

    async def main() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(10):
                await asyncio.Event().wait()
        return loop.time()

    assert loop.run(main()) == pytest.approx(10.0)
    loop.end()


def test_waiting_for_what_never_comes_is_an_error() -> None:
    loop = VirtualLoop()

    async def main() -> None:
        await asyncio.Event().wait()

    with pytest.raises(DeadlockError):
        loop.run(main())
    loop.end()


def test_being_busy_forever_is_an_error() -> None:
    loop = VirtualLoop()

    async def main() -> None:
        while True:
            await asyncio.sleep(0)

    with pytest.raises(LivelockError):
        loop.run(main())
    loop.end()
