import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import ConfigError
from headrace.events.repairs import Cast, Repairs, parse_repairs


def mended(payload: object, **options: list[str]) -> object:
    return json.loads(parse_repairs(**options)(json.dumps(payload).encode()), parse_float=Decimal)


@pytest.mark.parametrize(
    ("cast", "value", "expected"),
    [
        ("int", '"5"', "5"),
        ("int", '" 5 "', "5"),
        ("int", '"5.0"', "5"),
        ("int", "5.0", "5"),
        ("int", '"1e3"', "1000"),
        ("int", '"5.5"', '"5.5"'),
        ("int", '"1e999"', '"1e999"'),
        ("int", '"five"', '"five"'),
        ("int", "true", "true"),
        ("int", "null", "null"),
        ("float", '" 1.10"', "1.10"),
        ("float", "3", "3"),
        ("float", '"NaN"', '"NaN"'),
        ("str", "5", '"5"'),
        ("str", "1.10", '"1.10"'),
        ("str", "true", '"true"'),
        ("str", "null", "null"),
        ("bool", '"TRUE"', "true"),
        ("bool", "0", "false"),
        ("bool", '"yes"', '"yes"'),
    ],
)
def test_a_cast_reads_what_is_clear_and_leaves_the_rest(cast: str, value: str, expected: str) -> None:
    assert parse_repairs(casts=[f"a={cast}"])(f'{{"a":{value}}}'.encode()) == f'{{"a":{expected}}}'.encode()


def test_a_value_is_json_or_else_text_and_makes_the_objects_on_its_way() -> None:
    sets = ["a=5", "b=five", 'c="5"', "d=", "e.f.g=null", "items.1.id=x", "h=1=2"]
    assert mended({"items": [{"id": 1}, {"id": 2}]}, sets=sets) == {
        "a": 5, "b": "five", "c": "5", "d": "", "e": {"f": {"g": None}},
        "items": [{"id": 1}, {"id": "x"}], "h": "1=2",
    }  # fmt: skip


def test_a_rename_moves_a_value_and_replaces_what_was_there() -> None:
    assert mended({"a": 1, "b": 2}, renames=["a=b"]) == {"b": 1}
    assert mended({"user": {"session": "s"}}, renames=["user.session=session_id"]) == {"user": {}, "session_id": "s"}
    assert mended({"a.b": 1, "a": {"b": 2}}, renames=["a.b=c"]) == {"a": {"b": 2}, "c": 1}


@pytest.mark.parametrize("renames", [["x=y"], ["items.0=y"], ["a=items.7.id"], ["a=a.b"], ["a=text.b"]])
def test_a_rename_that_does_not_fit_loses_nothing(renames: list[str]) -> None:
    payload = {"a": 1, "items": [1], "text": "t"}
    after = mended(payload, renames=renames)
    assert after in (payload, {**payload, "a": {"b": 1}})


def test_renames_come_first_then_casts_then_values() -> None:
    repairs = {"sets": ["c=6"], "casts": ["b=int"], "renames": ["a=b", "x=c"]}
    assert mended({"a": "5", "x": 1}, **repairs) == {"b": 5, "c": 6}


@pytest.mark.parametrize("payload", [b"", b"{", b"[1]", b"\xff", b'"a"', b"[" * 100_000])
def test_what_is_no_object_stays_as_it_is(payload: bytes) -> None:
    assert parse_repairs(sets=["a=1"])(payload) == payload


def test_without_repairs_not_a_byte_changes() -> None:
    assert Repairs()(b'{ "a" : 1.10 , "a":1}') == b'{ "a" : 1.10 , "a":1}'


def test_what_is_not_repaired_keeps_every_digit() -> None:
    payload = b'{"price":1.10,"n":123456789012345678901234567890,"a":1}'
    assert parse_repairs(sets=["a=2"])(payload) == payload[:-2] + b"2}"


@given(st.dictionaries(st.sampled_from("abcdef"), st.integers() | st.text(st.characters(codec="utf-8")), max_size=5))
def test_a_rename_and_its_opposite_change_nothing(payload: dict[str, object]) -> None:
    assert mended(payload, renames=["a=new.place", "new.place=a"]) == payload | ({"new": {}} if "a" in payload else {})


def test_every_wrong_repair_is_named() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_repairs(sets=["a", "=1", "a..b=1"], renames=["a=", "a=a", "b=c."], casts=["a=date", "b"])
    assert caught.value.problems == (
        "--set 'a': must look like path=value",
        "--set '=1': must look like path=value",
        "--set 'a..b=1': must look like path=value",
        "--rename 'a=': must look like old=new",
        "--rename a=a: must name two different paths",
        "--rename b=c.: must name two different paths",
        "--cast a=date: the types are int, float, str, bool",
        "--cast 'b': must look like path=type",
    )
    assert parse_repairs(casts=["a=int"]) == Repairs(casts=[("a", Cast.INT)], renames=[], values=[])
