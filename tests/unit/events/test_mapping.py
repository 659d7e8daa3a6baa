"""Mapping files: what they say is what comes out, and what they get wrong is told at once."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import ConfigError
from headrace.events.coerce import coerce, decode, encode
from headrace.events.mapping import Mapping, load_mapping, parse_mapping

REQUIRED = '[constants]\nsession_id = "s"\nevent_type = "click"\ntimestamp = 1\n'
EXAMPLES = Path(__file__).parents[3] / "examples"
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
    max_leaves=10,
)


def with_field(column: str, rule: str, more: str = "") -> Mapping:
    return parse_mapping(f"[fields]\n{column} = {rule}\n{REQUIRED}{more}")


def mapped(column: str, rule: str, obj: dict[str, Any], more: str = "") -> Any:
    [event] = with_field(column, rule, more).apply(obj)
    return event.get(column)


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse_mapping(text)
    return list(caught.value.problems)


@pytest.mark.parametrize(
    ("path", "obj", "value"),
    [
        ("a", {"a": "x"}, "x"),
        ("a.b.c", {"a": {"b": {"c": "x"}}}, "x"),
        ("a.b", {"a.b": "flat", "a": {"b": "nested"}}, "flat"),
        ("a.1.b", {"a": [{"b": "x"}, {"b": "y"}]}, "y"),
        ("a.b", {"a": '{"b": "inside"}'}, "inside"),
        ("a.b.c", {"a": '{"b": "{\\"c\\": \\"deeper\\"}"}'}, "deeper"),
        ("a.b", {"a": "no JSON"}, None),
        ("a.b", {"a": "[" * 100_000}, None),
        ("a.7", {"a": [1]}, None),
        ("a.b", {"a": None}, None),
        ("a", {}, None),
    ],
)
def test_a_path_steps_through_objects_lists_and_json_in_strings(path: str, obj: dict[str, Any], value: Any) -> None:
    assert mapped("page_url", f'"{path}"', obj) == value


def test_the_first_path_that_is_present_and_not_null_wins() -> None:
    rule = '["a", "b.c", "d"]'
    assert mapped("user_id", rule, {"a": None, "b": {"c": "second"}, "d": "third"}) == "second"
    assert mapped("user_id", rule, {"d": "third"}) == "third"
    assert mapped("user_id", rule, {"e": 1}) is None


def test_a_hash_is_16_hex_digits_of_its_values() -> None:
    value = mapped("user_id", '{ hash = ["a", "b"] }', {"a": "x", "b": 1})
    assert len(value) == 16
    assert int(value, 16) >= 0
    assert value == mapped("user_id", '{ hash = ["a", "b"] }', {"a": "x", "b": "1", "c": "ignored"})


@given(st.tuples(st.text() | st.none(), st.text() | st.none()), st.tuples(st.text() | st.none(), st.text() | st.none()))
def test_different_parts_never_hash_alike(one: tuple[str | None, ...], other: tuple[str | None, ...]) -> None:
    mapping = with_field("user_id", '{ hash = ["a", "b"] }')
    [first], [second] = (mapping.apply(dict(zip("ab", parts, strict=True))) for parts in (one, other))
    assert (first.get("user_id") == second.get("user_id")) == (one == other)


def test_nothing_to_hash_is_no_value() -> None:
    assert mapped("user_id", '{ hash = ["a", "b"] }', {"a": None}) is None


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        ("product_id", 12, "12"),
        ("product_id", True, "true"),
        ("product_id", Decimal("1.10"), "1.10"),
        ("product_id", 10**30, "1" + "0" * 30),
        ("product_id", {"a": [1, None]}, '{"a":[1,null]}'),
        ("quantity", "-3", -3),
        ("quantity", "007", 7),
        ("quantity", "3.0", "3.0"),
        ("quantity", "1_000", "1_000"),
        ("quantity", " 3", " 3"),
        ("quantity", "٣", "٣"),
        ("quantity", "9" * 5000, "9" * 5000),
        ("price", "19.90", Decimal("19.90")),
        ("price", "1e3", Decimal("1e3")),
        ("price", "NaN", "NaN"),
        ("price", "Infinity", "Infinity"),
        ("price", "1,5", "1,5"),
        ("rating", "4.5", Decimal("4.5")),
        ("is_bot", "TRUE", True),
        ("is_bot", "0", False),
        ("is_bot", 1, True),
        ("is_bot", 2, 2),
        ("is_bot", "yes", "yes"),
        ("properties", {"a": 1, "b": None, "c": {"d": True}}, {"a": "1", "c": '{"d":true}'}),
        ("properties", '{"a": 1}', {"a": "1"}),
        ("properties", "text", "text"),
    ],
)
def test_values_take_their_columns_type_when_that_is_clear_and_stay_otherwise(
    column: str, value: Any, expected: Any
) -> None:
    result = mapped(column, '"x"', {"x": value})
    assert (result, type(result)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("value", "expected"), [(1, "view"), ("1", "view"), (True, "bot"), (None, "click"), ("x", "x")]
)
def test_translations_match_on_the_values_text(value: Any, expected: str) -> None:
    table = '[values.event_type]\n1 = "view"\ntrue = "bot"\n'
    assert mapped("event_type", '"kind"', {"kind": value}, table) == expected


def test_constants_stand_where_fields_find_nothing() -> None:
    mapping = parse_mapping(f'[fields]\nsession_id = "s"\ncurrency = "c"\n{REQUIRED}currency = "EUR"\nquantity = "2"\n')
    assert mapping.apply({"c": "CHF"})[0] == {
        "session_id": "s", "event_type": "click", "timestamp": 1, "currency": "CHF", "quantity": 2,
    }  # fmt: skip
    assert mapping.apply({})[0]["currency"] == "EUR"


def test_one_input_gives_one_event_per_child_and_the_childs_fields_win() -> None:
    mapping = parse_mapping(
        'unnest = "data.events"\n[fields]\nsession_id = "s"\nevent_type = "t"\nevent_time = "at"\nproduct_id = "p.id"\n'
    )
    parent = {
        "s": "one",
        "p": {"id": "parent"},
        "data": {"events": [{"t": "a", "at": 1}, {"t": "b", "s": 2, "p": {"id": 7}}]},
    }
    assert mapping.apply(parent) == [
        {"session_id": "one", "event_type": "a", "timestamp": 1, "product_id": "parent"},
        {"session_id": "2", "event_type": "b", "product_id": "7"},
    ]
    assert mapping.apply({"data": {"events": []}}) == []


@pytest.mark.parametrize(
    "obj", [{"s": 1}, {"events": None, "s": 1}, {"events": {"t": 1}}, {"events": ["text"], "s": 1}]
)
def test_an_input_without_its_children_is_left_for_validation_to_reject(obj: dict[str, Any]) -> None:
    mapping = parse_mapping('unnest = "events"\n[fields]\nsession_id = "s"\nevent_type = "t"\ntimestamp = "s"\n')
    assert mapping.apply(obj) == [{}]


@pytest.mark.parametrize("path", ["events", "a.events", "a.0.events"])
@pytest.mark.parametrize("in_string", [False, True])
def test_an_isolated_child_maps_to_its_own_event_alone(path: str, in_string: bool) -> None:
    mapping = parse_mapping(
        f'unnest = "{path}"\nproperties = "*"\n[fields]\nsession_id = "s"\nevent_type = "t"\ntimestamp = "t"\n'
    )
    inner: Any = [{"t": n} for n in range(3)]
    for key in reversed(path.split(".")):
        inner = [inner] if key == "0" else {key: inner}
    obj = {key: encode(value).decode() if in_string and "." in path else value for key, value in inner.items()}
    obj |= {"s": "x", "kept": 1}
    for index, event in enumerate(mapping.apply(obj)):
        assert mapping.apply(mapping.isolate(obj, index)) == [event]


def test_properties_keep_what_no_rule_names_as_text() -> None:
    mapping = parse_mapping(
        'properties = "*"\n[fields]\nsession_id = { hash = ["ip"] }\nevent_type = ["t", "kind"]\n'
        'timestamp = "time.at"\n'
    )
    obj = {
        "t": "click",
        "ip": "x",
        "time": {"at": 1, "zone": "Z"},
        "n": 1,
        "nothing": None,
        "flag": True,
        "deep": {"a": 1},
    }
    assert mapping.apply(obj)[0]["properties"] == {"n": "1", "flag": "true", "deep": '{"a":1}'}
    assert "properties" not in mapping.apply({"t": "click"})[0]


def test_a_session_gap_travels_with_every_event() -> None:
    mapping = parse_mapping('session = "gap:30m"\n[fields]\nevent_type = "t"\ntimestamp = "at"\n')
    assert mapping.apply({"t": "a", "at": 1}) == [{"session_rule": "gap:30m", "event_type": "a", "timestamp": 1}]


def test_all_problems_of_a_file_are_told_at_once() -> None:
    told = problems(
        'speed = 1\nsession = "daily"\nunnest = 3\nproperties = "some"\n[fields]\ncolour = "c"\nuser_id = 3\n'
        'country = { hash = "a" }\ningest_time = "now"\n[constants]\nprice = [1]\n'
        '[csv]\ndelimiter = ";;"\nquote = "x"\n'
    )
    assert [line.partition(":")[0] for line in sorted(told)] == [
        "constants.price", "csv.delimiter", "csv.quote", "fields.colour", "fields.country", "fields.ingest_time",
        "fields.user_id", "properties", "session", "speed", "unnest",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('session = "gap:1h"', ["event_type: ", "event_time: "]),
        ('[constants]\nevent_type = "a"\ntimestamp = 1', ["session_id: "]),
        (f"[fields]\n{REQUIRED}quantity = 'many'", ["constants.quantity: no bigint"]),
        (f"[fields]\n{REQUIRED}quantity = true", ["constants.quantity: no bigint"]),
        (f"[fields]\nis_bot = 'b'\n{REQUIRED}[values.is_bot]\nyes = 'maybe'", ["values.is_bot.yes: no boolean"]),
        (f"{REQUIRED}[values.country]\nuk = 'GB'", ["values.country: translates"]),
        (f"{REQUIRED}price = nan", ["constants.price: "]),
        ("= 1", ["no TOML"]),
    ],
)
def test_what_could_never_give_a_valid_event_is_refused(text: str, expected: list[str]) -> None:
    told = problems(text)
    assert len(told) == len(expected)
    assert all(line.startswith(start) for line, start in zip(told, expected, strict=True))


def test_a_missing_file_is_a_problem_of_the_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml: cannot be read"):
        load_mapping(str(tmp_path / "nowhere.toml"))


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.toml")), ids=lambda path: path.stem)
def test_every_example_is_valid(path: Path) -> None:
    load_mapping(str(path))


def test_the_shop_example_does_what_its_comments_say() -> None:
    mapping = load_mapping(str(EXAMPLES / "shop.toml"))
    view, purchase = mapping.apply(
        decode(
            b'{"visit": {"id": "v1", "ip": "203.0.113.9"}, "client": "{\\"agent\\": \\"Mozilla/5.0\\"}", '
            b'"currency": "CHF",'
            b'"hits": [{"kind": "pv", "at": 1775721600, "url": "/shoes", "bot": 0},'
            b'{"kind": "buy", "at": 1775721660, "lines": [{"sku": "A-1", "qty": "2", "each": "19.90"}], "bot": 0}]}'
        )
    )
    both = {
        "session_id": "v1", "ip": "203.0.113.9", "user_agent": "Mozilla/5.0", "currency": "CHF", "source": "shop",
        "is_bot": False, "user_id": view["user_id"],
    }  # fmt: skip
    assert view == {**both, "event_type": "page_view", "timestamp": 1775721600, "page_url": "/shoes"}
    assert purchase == {
        **both, "event_type": "purchase", "timestamp": 1775721660, "product_id": "A-1", "quantity": 2,
        "price": Decimal("19.90"),
    }  # fmt: skip
    assert (mapping.delimiter, mapping.null) == (";", "NULL")


@given(st.dictionaries(st.sampled_from(["s", "t", "q", "p", "b", "events", "other"]), json_values))
def test_no_input_makes_a_mapping_fail(obj: dict[str, Any]) -> None:
    mapping = parse_mapping(
        'unnest = "events"\nproperties = "*"\n[fields]\nsession_id = { hash = ["s", "t.x"] }'
        '\nevent_type = ["t.y.0", "t"]'
        '\ntimestamp = "t"\nquantity = "q"\nprice = "p"\nis_bot = "b"\n[values.event_type]\n1 = "one"\n'
    )
    for event in mapping.apply(obj):
        assert decode(encode(event)).keys() == event.keys()


def test_rows_without_a_mapping_get_our_keys_and_types() -> None:
    row = {"event_time": "2026-01-01", "quantity": "2", "price": "1.50", "is_bot": "1", "unknown": "x"}
    assert coerce(row) == {
        "timestamp": "2026-01-01", "quantity": 2, "price": Decimal("1.50"), "is_bot": True, "unknown": "x",
    }  # fmt: skip
