"""docs/engines.md and the tests that it names."""

import ast
from functools import cache
from pathlib import Path

import pytest

from tests.contract.engines import Gap

ROOT = Path(__file__).parents[3]


@cache
def names_in(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text())
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in tree.body if isinstance(node, kinds) and node.name.startswith("test_"))


@pytest.mark.parametrize("gap", Gap, ids=lambda gap: gap.name)
def test_what_an_engine_does_not_show_is_shown_by_a_test_that_there_is(gap: Gap) -> None:
    assert gap.value.shown_by
    for shown_by in gap.value.shown_by:
        path, _, test = shown_by.partition("::")
        assert test in names_in(path)
