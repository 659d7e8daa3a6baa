import pytest


@pytest.fixture(scope="session")
def again(events: int, seed: int) -> str:
    """The command that does all of it once more: the same events, blows and chances, at moments as near as can be."""
    return f"make test-chaos EVENTS={events} SEED={seed}"
