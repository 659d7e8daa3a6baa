"""Every case of the table on every way in, between two good events that must land whatever it is."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from headrace.errors import UnavailableError
from tests.unit.bad_input.table import BEFORE, BEHIND, CASES, NOW, Case
from tests.unit.bad_input.ways import Landed, through_collect, through_file, through_lines, through_page, through_stream
from tests.unit.services.stats_api_world import World, open_api

each_case = pytest.mark.parametrize("case", CASES, ids=str)


def outcome_of(landed: Landed, case: Case) -> str:
    """What became of the case, once its neighbours are seen to have landed."""
    mine = [row for row in landed.rows if row["event_id"] not in {"before", "behind"}]
    assert [row["city"] for row in landed.rows if row["event_id"] in {"before", "behind"}] == ["Bonn", "Bonn"]
    assert len(mine) + len(landed.dead) <= 1
    for row in mine:
        assert {name: row[name] for name in case.row} == case.row
    if landed.dead:
        return landed.dead[0].reason
    return "extra" if landed.extra else "row" if mine else "nothing"


@each_case
def test_a_record_of_the_stream(case: Case) -> None:
    assert outcome_of(through_stream([BEFORE, case.payload, BEHIND]), case) == case.outcomes["stream"]


@each_case
def test_a_line_of_a_polled_page(case: Case) -> None:
    assert outcome_of(through_lines([BEFORE, case.payload, BEHIND]), case) == case.outcomes["lines"]


@each_case
def test_an_element_of_a_polled_page(case: Case) -> None:
    if case.outcomes["page"] == "fault":
        with pytest.raises(UnavailableError):
            through_page([BEFORE, case.payload, BEHIND])
    else:
        assert outcome_of(through_page([BEFORE, case.payload, BEHIND]), case) == case.outcomes["page"]


@each_case
async def test_a_line_of_a_file(case: Case, tmp_path: Path) -> None:
    landed = await through_file(tmp_path / "a.jsonl", b"\n".join([BEFORE, case.payload, BEHIND]))
    assert outcome_of(landed, case) == case.outcomes["file"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world() -> AsyncIterator[World]:
    """One API for all cases."""
    async with open_api() as world:
        world.clock.advance(NOW - world.clock.now())
        yield world


@each_case
@pytest.mark.asyncio(loop_scope="module")
async def test_an_event_posted_to_collect(case: Case, world: World) -> None:
    status, landed = await through_collect(world, b"[" + b",".join([BEFORE, case.payload, BEHIND]) + b"]")
    if case.outcomes["collect"].isdigit():
        assert (status, len(landed.rows)) == (int(case.outcomes["collect"]), 0)
    else:
        assert status == 202
        assert outcome_of(landed, case) == case.outcomes["collect"]
