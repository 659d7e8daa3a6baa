"""Elements of arrays and objects, told from each other whatever is inside them."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.events.outline import elements, members

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(st.lists(values, max_size=6), st.sampled_from([None, 1]), st.booleans())
def test_every_array_is_cut_where_its_commas_are_even_with_nan_and_lone_surrogates(
    items: list[Any], indent: int | None, escaped: bool
) -> None:
    text = json.dumps([*items, "\ud800"], indent=indent, ensure_ascii=escaped).encode("utf-8", "surrogatepass")
    found = elements(text)
    assert found is not None
    assert len(found) == len(items) + 1
    read = [json.loads(each.decode("utf-8", "surrogatepass")) for each in found]
    assert repr(read) == repr(json.loads(text.decode("utf-8", "surrogatepass")))


@given(st.dictionaries(st.text(st.characters(exclude_characters='"\\', min_codepoint=32)), values, max_size=6))
def test_every_object_is_cut_into_its_members(obj: dict[str, Any]) -> None:
    found = members(json.dumps(obj, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    assert found is not None
    assert {key.decode("utf-8", "surrogatepass"): repr(json.loads(value)) for key, value in found.items()} == {
        key: repr(json.loads(json.dumps(value))) for key, value in obj.items()
    }


@pytest.mark.parametrize(
    "text", [b"", b"[", b"[1", b"[1,", b"[1,]", b"[,1]", b"[1 2]", b"[1]]", b"[{]", b'["a]', b"1", b"{}"]
)
def test_what_has_not_the_outline_of_an_array_is_none(text: bytes) -> None:
    assert elements(text) is None


@pytest.mark.parametrize("text", [b"", b"{", b'{"a"}', b'{"a":}', b'{"a":1,}', b"{a:1}", b'{"a":1}x', b'{"a":1', b"[]"])
def test_what_has_not_the_outline_of_an_object_is_none(text: bytes) -> None:
    assert members(text) is None
