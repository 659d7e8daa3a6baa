"""The retry policy."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.aws.retry import MAX_SECONDS, full_jitter, retry
from headrace.errors import AccessError, ThrottledError, UnavailableError


def test_the_bound_of_a_wait_doubles_up_to_a_cap() -> None:
    assert [full_jitter(attempt, 1.0) for attempt in range(1, 8)] == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0]


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_any_wait_is_between_nothing_and_the_cap(attempt: int, roll: float) -> None:
    assert 0 <= full_jitter(attempt, roll) <= MAX_SECONDS


class Flaky:
    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0

    async def __call__(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


async def test_what_may_pass_is_tried_again() -> None:
    call = Flaky(ThrottledError("slow down"), UnavailableError("down"))
    assert await retry(call) == "done"
    assert call.calls == 3


async def test_the_last_error_comes_out_as_it_is_when_the_attempts_are_used_up() -> None:
    call = Flaky(*(UnavailableError(str(n)) for n in range(9)))
    with pytest.raises(UnavailableError, match="2"):
        await retry(call, attempts=3)
    assert call.calls == 3


async def test_what_does_not_pass_is_not_repeated() -> None:
    call = Flaky(AccessError("no"))
    with pytest.raises(AccessError):
        await retry(call)
    assert call.calls == 1
