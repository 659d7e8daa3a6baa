"""What the command takes, refuses and tells."""

from datetime import UTC, datetime

import pytest

from headrace.errors import ConfigError
from headrace.events.repairs import parse_repairs
from jobs.replay.app import in_order_of
from jobs.replay.cli import select
from jobs.replay.lots import REASONS
from jobs.replay.rehearse import Change
from jobs.replay.report import COLUMNS, Report, shown
from tests.unit.jobs.replay.dead_letters import World, event, letter, meant, numbers

QUANTITY = parse_repairs(casts=["quantity=int"])
LETTERS = [letter(event(n, quantity=quantity)) for n, quantity in enumerate(["1", "x", "3", "3", "3", "3"])]


def moment(*parts: int) -> float:
    return datetime(*parts, tzinfo=UTC).timestamp()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("first", "last", "start", "end"),
    [
        ("2026-04-09", "2026-04-09", moment(2026, 4, 9), moment(2026, 4, 10)),
        ("2026-04-09T08:00", "2026-04-09T09:00", moment(2026, 4, 9, 8), moment(2026, 4, 9, 9)),
        ("2026-04-09T08:00:30Z", "2026-04-09 12:00+02:00", moment(2026, 4, 9, 8, 0, 30), moment(2026, 4, 9, 10)),
    ],
)
def test_a_span_is_days_or_times_in_utc(first: str, last: str, start: float, end: float) -> None:
    chosen = select("too_old", first, last, 1)
    assert (chosen.start, chosen.end, chosen.reasons) == (start, end, {"too_old"})


def test_all_reasons_are_those_of_dead_letters() -> None:
    assert select("all", "2026-04-09", "2026-04-09", 1).reasons == set(REASONS)
    assert "extra_columns" not in REASONS


@pytest.mark.parametrize(
    ("reason", "first", "last", "problem"),
    [
        ("extra_columns", "2026-04-09", "2026-04-09", "in the table already"),
        ("stream_unavailable", "2026-04-09", "2026-04-09", "whoever put events"),
        ("nonsense", "2026-04-09", "2026-04-09", "the reasons are malformed_json"),
        ("all", "yesterday", "2026-04-09", "--from yesterday: must be"),
        ("all", "2026-04-09", "0001-01-01", "--to 0001-01-01: must be"),
        ("all", "2026-04-09", "9999-12-31", "--to 9999-12-31: must be"),
        ("all", "2026-04-10", "2026-04-09", "is not before"),
    ],
)
def test_what_cannot_be_replayed_is_refused_with_the_reason(reason: str, first: str, last: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        select(reason, first, last, 1)


async def test_a_dry_run_tells_what_a_real_one_does_and_writes_nothing() -> None:
    world = World()
    key = await world.quarantine(*LETTERS)
    await world.replay(meant("too_old"))
    before = dict(world.store.objects)
    dry, rehearsal = await world.rehearse(QUANTITY)
    assert world.store.objects == before
    assert await world.leases.list("") == []
    assert [(change.place, change.fate) for change in rehearsal.changes] == [
        (f"{key}:1", "row"), (f"{key}:2", "wrong_type"), (f"{key}:3", "row"), (f"{key}:4", "row"), (f"{key}:5", "row"),
    ]  # fmt: skip
    assert dry.rows() == [("wrong_type", 1, 6, 5, 1, 0, 0)]
    assert dry.summary() == "5 rows would land; 1 line would fail again (1 wrong_type)"
    real = await world.replay(repairs=QUANTITY)
    assert real.rows() == dry.rows()
    assert real.summary() == (
        "5 rows landed; 1 line failed again (1 wrong_type)\n"
        "what failed again is a dead letter again: --round 2 replays it"
    )
    done, rehearsal = await world.rehearse(QUANTITY)
    assert (numbers(done)["already"], rehearsal.changes) == (6, [])
    assert done.summary().splitlines()[1] == "6 lines replayed before: nothing is done twice"


async def test_a_dry_run_knows_repeats() -> None:
    world = World()
    await world.quarantine(letter(event(1)), letter(b"{"), letter(event(1)))
    report, rehearsal = await world.rehearse()
    assert [change.fate for change in rehearsal.changes] == ["row", "malformed_json", "duplicate"]
    assert numbers(report)["duplicates"] == 1
    assert report.summary() == "1 row would land, 1 repeat dropped; 1 line would fail again (1 malformed_json)"


def test_the_diff_shows_before_and_after_and_lets_no_control_character_through() -> None:
    def change(before: bytes, after: bytes) -> Change:
        return Change(place="o:1", reason="wrong_type", fate="row", before=before, after=after)

    lines = shown(
        [change(b'{"a":"5"}', b'{"a":5}'), change(b"\x1b[31m\xff", b"\x1b[31m\xff"), change(b"", b"x" * 3000)]
    )
    assert [line.plain for line in lines[:5]] == [
        "o:1 · wrong_type → row", '- {"a":"5"}', '+ {"a":5}', "o:1 · wrong_type → row", "  \\x1b[31m\\xff",
    ]  # fmt: skip
    assert [line.style for line in lines[1:3]] == ["red", "green"]
    assert len(lines[-1].plain) == 2003


def test_without_anything_found_the_summary_says_so() -> None:
    report = Report(dry_run=False, round=2)
    assert report.rows() == []
    assert report.summary() == "nothing to replay: no dead letters of that reason and time in round 2"
    assert [column.name for column in COLUMNS] == [
        "reason", "objects", "lines", "rows", "dead_letters", "duplicates", "already",
    ]  # fmt: skip


def test_each_process_goes_through_the_objects_in_an_order_of_its_own() -> None:
    keys = [str(n) for n in range(20)]
    one, other = in_order_of("one", keys), in_order_of("other", keys)
    assert one != other
    assert sorted(one) == sorted(other) == sorted(keys)
    assert one == in_order_of("one", keys)
