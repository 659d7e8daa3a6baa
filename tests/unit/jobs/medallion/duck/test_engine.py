"""The silver step as a whole, from files in a bucket to files in a bucket."""

import gzip
import random
import threading
from datetime import timedelta
from pathlib import Path

import pytest

from headrace.errors import NotFoundError
from headrace.quarantine import from_jsonl_gz
from headrace.settings import Settings
from jobs.medallion.duck.silver import Sizes
from jobs.medallion.model import SilverDay, Tables, ToRead
from jobs.medallion.ports import CancelledRunError
from tests.unit.jobs.medallion.duck.silver_world import (
    NOON,
    SMALL,
    World,
    canonical,
    distinct,
    event,
    random_events,
)


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Settings:
    return Settings(_env_file=None, bucket="lake")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.mark.parametrize("seed", range(5))
def test_any_split_into_files_and_runs_makes_the_rows_of_one_full_run(
    seed: int, world: World, settings: Settings
) -> None:
    draw = random.Random(seed)
    rows = random_events(draw, draw.choice([40, 250, 400]))
    if draw.random() < 0.5:
        rows.sort(key=lambda row: row["event_time"])
    cuts = sorted(draw.sample(range(len(rows) + 1), 7))
    parts = [rows[low:high] for low, high in zip([0, *cuts], [*cuts, len(rows)], strict=True)]
    dropped = 0
    while parts:
        count = draw.randint(1, 4)
        report = world.silver(settings, [world.land(part) for part in parts[:count]])
        parts = parts[count:]
        dropped += report.duplicates

    expected = canonical(distinct(rows))
    assert canonical(world.rows()) == expected
    assert dropped == len(rows) - len(expected)

    world.silver(settings, world.landed, full=True)
    assert canonical(world.rows()) == expected


def test_files_in_order_of_time_make_full_files_that_do_not_overlap(world: World, settings: Settings) -> None:
    rows = [event(number, NOON + timedelta(seconds=number)) for number in range(2_000)]
    files = [world.land(rows[start : start + 100]) for start in range(0, 2_000, 100)]
    (day,) = world.silver(settings, files).days
    assert len(day.files) > 2
    assert all(file.size >= SMALL.file_bytes for file in day.files[:-1])
    assert all(one.last < following.first for one, following in zip(day.files, day.files[1:], strict=False))


def test_a_day_without_new_rows_keeps_its_files_where_they_are(world: World, settings: Settings) -> None:
    tomorrow = NOON + timedelta(days=1)
    world.silver(settings, [world.land([event(1)]), world.land([event(2, tomorrow)])])
    report = world.silver(settings, [world.land([event(1)]), world.land([event(3, tomorrow)])])
    assert [day.day for day in report.days] == ["2026-04-10"], "of the 9th all that came was a copy"
    before = report.days[0].files[0]
    assert before.key.startswith("_runs/medallion/0000000001-a/"), "a file that loses no row is kept by reference"
    assert len(report.days[0].files) == 2


def test_a_row_of_a_published_file_gives_way_to_a_copy_that_came_first(world: World, settings: Settings) -> None:
    world.silver(settings, [world.land([event(1, ingest_time=NOON), event(2)])])
    earlier = event(1, ingest_time=NOON - timedelta(hours=1), user_id="u-9")
    report = world.silver(settings, [world.land([earlier])])
    assert canonical(world.rows()) == canonical([earlier, event(2)])
    assert all(file.key.startswith("_runs/medallion/0000000002-a/") for file in report.days[0].files)


def test_many_small_files_of_many_runs_are_merged(world: World, settings: Settings) -> None:
    rows = [event(number, NOON - timedelta(seconds=number % 7)) for number in range(26)]
    for start in range(0, 26, 2):
        world.silver(settings, [world.land(rows[start : start + 2])])
    (day,) = world.tables.days
    assert len(day.files) <= 12
    assert canonical(world.rows()) == canonical(rows)


def test_the_last_moment_of_a_day_and_the_first_of_the_next_are_two_days(world: World, settings: Settings) -> None:
    midnight = NOON + timedelta(hours=12)
    rows = [event(1, midnight), event(1, midnight - timedelta(microseconds=1)), event(2, midnight)]
    file = world.land(rows)
    report = world.silver(settings, [file])
    assert [(day.day, sum(one.rows for one in day.files)) for day in report.days] == [
        ("2026-04-09", 1),
        ("2026-04-10", 2),
    ]
    assert report.files[0].days == ("2026-04-09", "2026-04-10")
    assert report.duplicates == 0, "an id is unique within its day only"


def test_a_rebuilt_day_consists_of_what_was_read_anew(world: World, settings: Settings) -> None:
    tomorrow = NOON + timedelta(days=1)
    kept = world.land([event(1), event(2, tomorrow)])
    world.silver(settings, [kept, world.land([event(3), event(4, tomorrow)])])
    replaced = world.land([event(5)])
    report = world.silver(
        settings, [ToRead(file=kept, only_days=("2026-04-09",)), replaced], rebuild=("2026-04-09", "2026-04-10")
    )
    assert canonical(world.rows()) == canonical([event(1), event(5)])
    assert report.days[1] == SilverDay(day="2026-04-10", files=()), "a day without rows is gone"
    assert [(file.rows, file.days) for file in report.files] == [
        (2, ("2026-04-09", "2026-04-10")),
        (1, ("2026-04-09",)),
    ], "what is in a file does not depend on what was asked of it"


def test_a_full_run_reports_the_days_that_have_no_rows_any_more(world: World, settings: Settings) -> None:
    world.silver(settings, [world.land([event(1)])])
    other = world.land([event(2, NOON + timedelta(days=1))])
    report = world.silver(settings, [other], full=True)
    assert [(day.day, len(day.files)) for day in report.days] == [("2026-04-09", 0), ("2026-04-10", 1)]


def test_an_unreadable_file_is_a_dead_letter_and_counts_for_nothing(world: World, settings: Settings) -> None:
    line = b'{"event_id":"%d","session_id":"s","event_type":"click","timestamp":1775736000,"page_url":"/"}\n'
    body = gzip.compress(b"".join(line % number for number in range(40_000)), 1)
    cut = world.drop("raw/events/x y/ü.jsonl.gz", body[: len(body) // 2])
    good = world.drop("raw/events/good.jsonl.gz", gzip.compress(line % 1 + b"{]\n"))
    report = world.silver(settings, [cut, good])
    assert [(file.rows, file.rejected, file.error is None) for file in report.files] == [(0, 0, False), (1, 1, True)]
    assert len(world.rows()) == 1
    (key,) = report.dead_letters
    unreadable, broken = from_jsonl_gz(world.path(key).read_bytes())
    assert (unreadable.reason, unreadable.payload, unreadable.position) == ("unreadable_file", "", cut.key)
    assert broken.reason != "unreadable_file"


def test_dead_letters_of_a_file_that_is_read_again_are_not_sent_again(world: World, settings: Settings) -> None:
    file = world.drop("raw/events/bad.jsonl.gz", gzip.compress(b"{]\n"))
    assert world.silver(settings, [file]).dead_letters
    again = world.silver(settings, [ToRead(file=file, only_days=())])
    assert again.dead_letters == ()
    assert again.files[0].rejected == 1


def test_files_without_rows_change_nothing(world: World, settings: Settings) -> None:
    empty = world.drop("raw/events/empty.jsonl.gz", gzip.compress(b"\n\n"))
    report = world.silver(settings, [world.land([]), empty])
    assert report.days == ()
    assert [(file.rows, file.error) for file in report.files] == [(0, None), (0, None)]


def test_a_file_that_has_vanished_since_it_was_listed_is_named(world: World, settings: Settings) -> None:
    file = world.land([event(1)])
    world.path(file.key).unlink()
    with pytest.raises(NotFoundError, match=file.key):
        world.silver(settings, [file])


def test_a_run_that_is_told_to_stop_ends_soon_and_a_repeat_is_not_harmed(world: World, settings: Settings) -> None:
    files = [world.land([event(number, NOON + timedelta(seconds=number))]) for number in range(40)]
    plan = world.plan(files)
    engine = world.engine(settings)
    heard = 0

    def stop_at_the_third(rows: int) -> None:
        nonlocal heard
        heard += rows
        if heard == 3:
            engine.stop()

    with pytest.raises(CancelledRunError):
        engine.silver(plan, Tables(), stop_at_the_third)
    assert heard < 12, "those under way may end, others do not begin"
    report = world.engine(settings).silver(plan, Tables(), lambda rows: None)
    world.tables = Tables(days=report.days)
    assert len(world.rows()) == 40
    assert threading.active_count() < 20


def test_rows_of_many_days_in_no_order_need_no_more_files_than_merging_allows(world: World, settings: Settings) -> None:
    draw = random.Random(5)
    rows = [event(number, NOON + timedelta(minutes=draw.randrange(40 * 1440))) for number in range(600)]
    world.sizes = Sizes(file_bytes=1 << 20, chunk_rows=50, late_rows=25)
    world.silver(settings, [world.land(rows)])
    assert canonical(world.rows()) == canonical(rows)
    assert all(len(day.files) <= 12 for day in world.tables.days)
    assert len(world.tables.days) > 35
