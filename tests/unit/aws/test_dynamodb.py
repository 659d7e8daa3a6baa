from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.aws.dynamodb import from_attribute, from_item, names_in, scan_prefix, to_attribute, to_item

scalars = (
    st.none()
    | st.booleans()
    | st.text()
    | st.binary()
    | st.integers()
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.sets(st.text(), min_size=1)
)
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5)


@settings(max_examples=50)
@given(st.dictionaries(st.text(), values, max_size=5))
def test_an_item_read_back_equals_what_was_written(item: dict[str, Any]) -> None:
    assert from_item(to_item(item)) == item


@pytest.mark.parametrize(
    ("value", "attribute"),
    [
        (True, {"BOOL": True}),
        (1, {"N": "1"}),
        (-(2**63), {"N": "-9223372036854775808"}),
        (1775721600.25, {"N": "1775721600.25"}),
        (Decimal("0.0001"), {"N": "0.0001"}),
        ({"b", "a"}, {"SS": ["a", "b"]}),
        (("a", None), {"L": [{"S": "a"}, {"NULL": True}]}),
        ({"a": b"\x00"}, {"M": {"a": {"B": b"\x00"}}}),
    ],
)
def test_values_are_written_in_dynamodbs_own_types(value: object, attribute: dict[str, Any]) -> None:
    assert to_attribute(value) == attribute


def test_whole_numbers_come_back_as_int_and_others_as_decimal() -> None:
    assert type(from_attribute({"N": "-3"})) is int
    assert from_attribute({"N": "1.5"}) == Decimal("1.5")
    assert from_attribute({"N": "1E+2"}) == Decimal(100)


@pytest.mark.parametrize("value", [object(), set(), {1, 2}])
def test_what_dynamodb_has_no_type_for_is_refused(value: object) -> None:
    with pytest.raises(TypeError):
        to_attribute(value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), Decimal("-Infinity")])
def test_a_number_that_is_not_finite_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="no number"):
        to_attribute(value)


def test_number_sets_are_not_read() -> None:
    with pytest.raises(TypeError):
        from_attribute({"NS": ["1"]})


def test_every_name_of_an_expression_gets_an_alias_once() -> None:
    assert names_in("SET #a = :a, #b_c = #a", "#d > :d") == {"#a": "a", "#b_c": "b_c", "#d": "d"}


class _Pages:
    """A client whose table answers a scan in pages, an empty one among them."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self._pages: list[dict[str, Any]] = [
            {"Items": [{"k": {"S": "a"}}], "LastEvaluatedKey": {"k": {"S": "a"}}},
            {"Items": [], "LastEvaluatedKey": {"k": {"S": "m"}}},
            {"Items": [{"k": {"S": "z"}}]},
        ]

    async def scan(self, **arguments: Any) -> dict[str, Any]:
        self.asked.append(dict(arguments))
        return self._pages.pop(0)


async def test_a_scan_goes_on_to_the_last_page_even_past_an_empty_one() -> None:
    client = _Pages()
    assert [item async for item in scan_prefix(client, "t", "k", "")] == [{"k": "a"}, {"k": "z"}]
    assert [call.get("ExclusiveStartKey") for call in client.asked] == [None, {"k": {"S": "a"}}, {"k": {"S": "m"}}]
    assert all(call["ConsistentRead"] for call in client.asked)
