from collections import defaultdict
from datetime import UTC, datetime

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.simulate.bulk.cast import Cast, make_cast
from jobs.simulate.bulk.plan import Flaws, Plan, files_for, problem_with, some_events
from jobs.simulate.bulk.traffic import LAG_MS, LEAST_DELAY_MS, MOST_DELAY_MS, traffic, walk_of

NOON = datetime(2026, 4, 9, 12, tzinfo=UTC)


def plan_of(events: int, minutes: int = 5, files: int = 1, **flaws: float) -> Plan:
    return Plan(seed=7, events=events, end=NOON, minutes=minutes, files_per_minute=files, flaws=Flaws(**flaws))


@pytest.fixture(scope="module")
def cast() -> Cast:
    return make_cast(7)


@settings(max_examples=25)
@given(events=st.integers(1, 600), minutes=st.integers(1, 7), files=st.integers(1, 4))
def test_every_slice_has_its_number_of_events_and_every_visit_is_the_beginning_of_its_walk(
    events: int, minutes: int, files: int, cast: Cast
) -> None:
    seen = defaultdict(list)
    total = 0
    for part, rows, repeats in traffic(plan_of(events, minutes, files), cast):
        assert (rows.num_rows, repeats) == (part.events, 0)
        total += rows.num_rows
        assert all(part.start_ms <= at < part.end_ms for at in rows["at"].to_pylist())
        assert rows["at"].to_pylist() == sorted(rows["at"].to_pylist())
        assert rows["time"].equals(rows["at"])
        for at, session, act in zip(rows["at"].to_pylist(), rows["session"], rows["act"].to_pylist(), strict=True):
            seen[session].append((at, act))
    assert total == events
    for session, done in seen.items():
        [walk] = cast.walks.take(walk_of(pa.array([session.as_py()], pa.uint64()), cast)).to_pylist()
        assert [act for _, act in done] == walk[: len(done)]
        pauses = [cast.offset_ms[act].as_py() for _, act in done]
        assert [at - done[0][0] for at, _ in done] == pauses


def test_minutes_have_equal_shares_from_the_first_to_the_last(cast: Cast) -> None:
    counts = [rows.num_rows for _, rows, _ in traffic(plan_of(20_003, 7, 2), cast)]
    assert sum(counts) == 20_003
    assert max(counts) - min(counts) <= 1


def test_late_visits_keep_their_pace_and_are_handed_out_10_minutes_to_26_hours_after(cast: Cast) -> None:
    delays = defaultdict(set)
    for _, rows, _ in traffic(plan_of(20_000, late=0.1), cast):
        for at, time, session in zip(rows["at"].to_pylist(), rows["time"].to_pylist(), rows["session"], strict=True):
            delays[session].add(at - time)
    assert all(len(of_visit) == 1 for of_visit in delays.values())
    late = [delay for (delay,) in delays.values() if delay]
    assert len(late) / len(delays) == pytest.approx(0.1, rel=0.15)
    assert LEAST_DELAY_MS <= min(late) <= max(late) < MOST_DELAY_MS


def test_repeats_come_soon_after_their_event_also_in_a_later_file_and_never_behind_the_end(cast: Cast) -> None:
    plan = plan_of(20_000, duplicates=0.1)
    first: dict[object, tuple[int, int]] = {}
    again = []
    for part, rows, _ in traffic(plan, cast):
        for at, session, act in zip(rows["at"].to_pylist(), rows["session"], rows["act"].to_pylist(), strict=True):
            if (session, act) in first:
                again.append((first[session, act], (at, part.number)))
            first.setdefault((session, act), (at, part.number))
    assert len(first) == 20_000
    assert len(again) / 20_000 == pytest.approx(0.1, rel=0.1)
    assert all(0 <= after[0] - before[0] < LAG_MS and after[0] < plan.end_ms for before, after in again)
    assert {after[1] - before[1] for before, after in again} == {0, 1, 2}


def test_flaws_leave_the_other_events_as_they_are(cast: Cast) -> None:
    clean = [rows for _, rows, _ in traffic(plan_of(3_000), cast)]
    flawed = [rows for _, rows, _ in traffic(plan_of(3_000, bad_lines=0.5, duplicates=0.2), cast)]
    for one, other in zip(clean, flawed, strict=True):
        assert set(zip(one["session"], one["act"], strict=True)) <= set(
            zip(other["session"], other["act"], strict=True)
        )


def test_another_seed_window_or_count_makes_other_visits_under_other_keys(cast: Cast) -> None:
    plans = [
        plan_of(1_000),
        plan_of(1_001),
        plan_of(1_000, minutes=4),
        plan_of(1_000, files=2),
        Plan(seed=8, events=1_000, end=NOON, minutes=5, files_per_minute=1),
        Plan(seed=7, events=1_000, end=NOON.replace(hour=13), minutes=5, files_per_minute=1),
    ]
    made = [
        {session for _, rows, _ in traffic(plan, cast) for session in rows["session"].to_pylist()} for plan in plans
    ]
    assert len(set.union(*made)) == sum(map(len, made))
    assert len({part.object_key for plan in plans for part in plan.slices()}) == 5 + 5 + 4 + 10 + 5 + 5


def test_an_untold_number_of_events_is_half_a_million_to_three_quarters_and_differs_by_call() -> None:
    counts = [some_events(7, NOON.replace(minute=minute)) for minute in range(0, 60, 5)]
    assert len(set(counts)) == 12
    assert 500_000 <= min(counts) <= max(counts) <= 750_000
    assert some_events(7, NOON) == some_events(7, NOON)


def test_a_file_has_100_000_events_at_most_unless_told() -> None:
    assert [files_for(events, 5) for events in (1, 500_000, 500_001, 25_900_000)] == [1, 1, 2, 52]
    assert problem_with(30_000_000, 5, files_for(30_000_000, 5)) is None
    assert problem_with(30_000_001, 5, files_for(30_000_001, 5)) is not None
    assert problem_with(1_250_001, 5, 1) == "more than 250,000 events in a file: take 3 --files-per-minute"


def test_keys_say_the_minute() -> None:
    keys = [part.object_key for part in plan_of(1_000, 2, 2).slices()]
    folder = "raw/events/year=2026/month=04/day=09/hour=11/minute="
    assert [key.rpartition("-")[0][:-8] for key in keys] == [f"{folder}{minute}/bulk-" for minute in (58, 58, 59, 59)]
    assert [key.rpartition("-")[2] for key in keys] == ["00.jsonl.gz", "01.jsonl.gz"] * 2
