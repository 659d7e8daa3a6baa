import asyncio
import gzip
from pathlib import Path
from typing import Any

import pytest

from headrace.clock import SystemClock
from headrace.errors import UnavailableError
from headrace.events.enrich import Enricher
from headrace.events.mapping import load_mapping
from headrace.events.parse import Policy
from headrace.events.transform import Origin, Transformer
from headrace.lake.memory import MemoryStore
from jobs.simulate.bulk.places import Folder
from jobs.simulate.bulk.run import Summary, run
from services.api_consumer.files import FileSource
from services.api_consumer.intake import Intake
from tests.unit.jobs.simulate.bulk_world import EVENTS, FLAWS, NOON, lines_of, made, make, plan_of

MAPPING = Path(__file__).parents[4] / "examples" / "bulk.toml"


@pytest.fixture(scope="module")
def flawed() -> tuple[MemoryStore, Summary]:
    return made(plan_of(flaws=FLAWS))


def test_the_number_of_workers_changes_no_byte(flawed: tuple[MemoryStore, Summary]) -> None:
    store, _ = made(plan_of(flaws=FLAWS), workers=1)
    assert store.objects == flawed[0].objects
    assert {body[4:8] for body in store.objects.values()} == {bytes(4)}  # no time of writing in the header


def test_bad_lines_and_repeats_come_on_top_and_are_told(flawed: tuple[MemoryStore, Summary]) -> None:
    store, told = flawed
    lines = lines_of(store)
    assert len(lines) == told.lines == EVENTS + told.bad_lines + told.duplicates
    assert told.bad_lines / EVENTS == pytest.approx(0.02, rel=0.25)
    assert told.duplicates / EVENTS == pytest.approx(0.04, rel=0.25)
    assert told.late / EVENTS == pytest.approx(0.05, rel=0.25)
    assert told.files == len(store.objects) == 5
    assert told.bytes == sum(map(len, store.objects.values()))
    assert told.text_bytes == sum(len(line) + 1 for line in lines)


async def payloads_through(path: Path) -> tuple[list[bytes], int]:
    """What the poller makes of a file with the mapping, and how much it turns away."""
    intake = Intake(Policy(), load_mapping(str(MAPPING)), b"key")
    entries, rejected = [], 0
    async for page in FileSource(path, limit=1_000, mapping=None).pages(None):
        taken = intake.take(page, source_id="bulk", source_name="bulk", now=NOON.timestamp())
        assert not taken.extra
        entries += [entry.data for entry in taken.entries]
        rejected += len(taken.rejected)
    return entries, rejected


def test_flaws_change_nothing_about_the_other_events(flawed: tuple[MemoryStore, Summary]) -> None:
    clean, _ = made(plan_of())
    store, told = flawed
    assert clean.objects.keys() == store.objects.keys()
    missing = set(lines_of(clean)) - set(lines_of(store))
    assert 0 < len(missing) <= told.late


def test_with_the_mapping_all_lands_but_the_bad_lines(tmp_path: Path) -> None:
    told = make(plan_of(4_000, flaws=FLAWS), Folder(tmp_path))
    through = [asyncio.run(payloads_through(path)) for path in sorted(tmp_path.rglob("*.jsonl.gz"))]
    assert sum(rejected for _, rejected in through) == told.bad_lines > 20
    payloads = [payload for entries, _ in through for payload in entries]
    origin = Origin(arrived=lambda _: NOON.timestamp(), default_id=str)
    landed = Transformer(Policy(), Enricher(), anonymous_key=b"key")(payloads, origin)
    assert not landed.rejected
    assert landed.rows.num_rows == told.events + told.duplicates
    assert len(landed.rows["event_id"].unique()) == told.events
    for column in ("country", "region", "city", "user_id", "device_type", "page_url"):
        assert landed.rows[column].null_count < told.events * 0.05
    queries = {
        dict(each)["query"] for each in landed.rows["properties"].drop_null().to_pylist() if "query" in dict(each)
    }
    assert "tent for two" in queries


def test_a_failed_put_ends_the_run_with_its_own_error_and_leaves_whole_files() -> None:
    class Failing(MemoryStore):
        async def put(self, key: str, body: bytes, **_: Any) -> None:
            if "minute=57" in key:
                raise UnavailableError("gone")
            await super().put(key, body)

    store = Failing()
    with pytest.raises(UnavailableError, match="gone"):
        make(plan_of(2_000), store)
    assert len(store.objects) < 5
    assert all(gzip.decompress(body).endswith(b"}\n") for body in store.objects.values())


def test_a_run_that_is_cancelled_leaves_whole_files_and_no_partial_ones(tmp_path: Path) -> None:
    async def cancelled() -> None:
        half = asyncio.Event()
        clock = SystemClock()
        task = asyncio.create_task(
            run(plan_of(3_000, files=10), Folder(tmp_path), clock=clock, on_events=lambda _: half.set())
        )
        await half.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert 0 < len(files) < 50
    for path in files:
        assert path.name.startswith("bulk-")
        assert gzip.decompress(path.read_bytes()).endswith(b"}\n")
