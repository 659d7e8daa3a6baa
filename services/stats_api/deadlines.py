"""A bound on how long a visitor waits."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from headrace.errors import UnavailableError


@contextlib.asynccontextmanager
async def within(seconds: float) -> AsyncIterator[None]:
    """Give the block so long. Raises `UnavailableError` when it takes longer."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise UnavailableError(f"no answer within {seconds:g} s") from None
