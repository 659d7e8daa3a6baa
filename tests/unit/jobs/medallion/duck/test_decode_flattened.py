"""A raw line without what the stream does not know: `geo` becomes columns, `session_rule` goes."""

import json
from typing import Any

import pytest

from headrace.events.parse import Reason
from headrace.stream.ports import MAX_RECORD_BYTES
from jobs.medallion.duck.doubtful import flattened


def flat(text: str) -> Any:
    payload = flattened(text.encode())
    assert isinstance(payload, bytes)
    return json.loads(payload)


def test_parts_of_geo_win_over_columns_of_their_names() -> None:
    assert flat('{"geo":{"country":"DE","city":null},"country":"FR","city":"Rom","x":1.50}') == {
        "country": "DE",
        "city": "Rom",
        "x": 1.5,
    }


def test_digits_of_numbers_stay_as_they_are() -> None:
    assert flattened(b'{"geo":null,"price":1.10000000000000000001}') == b'{"price":1.10000000000000000001}'


def test_a_session_rule_from_outside_is_an_unknown_key() -> None:
    assert flat('{"session_rule":"gap:1m","a":1}') == {"a": 1}


@pytest.mark.parametrize("geo", ['"Berlin"', "5", "[1]", "true", '{"city":5}'])
def test_a_geo_that_is_no_object_of_texts_is_of_the_wrong_type(geo: str) -> None:
    problem = flattened(f'{{"geo":{geo}}}'.encode())
    assert isinstance(problem, tuple)
    assert problem[0] is Reason.WRONG_TYPE
    assert problem[1].startswith("geo: ")


@pytest.mark.parametrize(
    "payload",
    [
        b'{"geo":',
        b'{"geo":{"x":"\xff"}}',
        b"[" * 100_000,
        b"null",
        b'{"a": 1}',
        b'{"geo":{},"a":"%s"}' % (b"x" * MAX_RECORD_BYTES),
    ],
    ids=["cut off", "not UTF-8", "too deep", "no object", "without geo", "oversized"],
)
def test_whatever_else_is_wrong_is_left_for_the_decoder(payload: bytes) -> None:
    assert flattened(payload) is payload
