"""Trace ids: which are made, and which are taken over from a sender."""

import re

import pytest

from headrace.telemetry.trace import new_trace_id, trace_id_of

GIVEN = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"


def test_new_trace_ids_are_valid_and_differ() -> None:
    made = {new_trace_id() for _ in range(100)}
    assert len(made) == 100
    assert all(trace_id_of(f"00-{each}-{PARENT}-00") == each for each in made)


@pytest.mark.parametrize(
    "header", [f"00-{GIVEN}-{PARENT}-01", f" 00-{GIVEN}-{PARENT}-00\t", f"cc-{GIVEN}-{PARENT}-09-more"]
)
def test_a_valid_traceparent_names_the_trace(header: str) -> None:
    assert trace_id_of(header) == GIVEN


@pytest.mark.parametrize(
    "header",
    [
        "",
        GIVEN,
        f"00-{GIVEN.upper()}-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{GIVEN}-{'0' * 16}-01",
        f"ff-{GIVEN}-{PARENT}-01",
        f"00-{GIVEN}-{PARENT}-01-more",
        f"00-{GIVEN}-{PARENT}",
        f"00-{GIVEN[:-1]}-{PARENT}-01",
        f'00-{GIVEN}-{PARENT}-01\n{{"event": "forged"}}',
    ],
)
def test_any_other_is_ignored(header: str) -> None:
    assert trace_id_of(header) is None
    assert re.fullmatch("[0-9a-f]{32}", trace_id_of(header) or new_trace_id())
