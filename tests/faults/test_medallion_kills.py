"""`headrace job medallion` killed with -9 where it hurts, and run again: the tables are those of a job left alone."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.integration.medallion_lake import Shop
from tests.integration.medallion_traffic import Bulk

LOCK_SECONDS = 3
"""The least that there is: whoever runs next waits until the lock of the one that was killed has ended."""
PATIENCE_SECONDS = 60
MANIFEST = "_runs/medallion/0000000002.json"
MOMENTS = {
    "silver is being written": r"_runs/medallion/0000000002-[^/]+/silver/",
    "gold is being written": r"_runs/medallion/0000000002-[^/]+/gold/",
    "the run is decided": MANIFEST,
    "copies are being made": r"silver/events/event_date=2026-04-09/run=0000000002/",
}
"""Keys whose first appearance is the moment for a kill."""


@pytest.fixture
def shop(ministack_url: str, athena_environment: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Shop:
    made = Shop(ministack_url, monkeypatch, tmp_path)
    monkeypatch.setenv("HEADRACE_MEDALLION_LOCK", str(LOCK_SECONDS))
    monkeypatch.setenv("HEADRACE_MEDALLION_SCRATCH", str(tmp_path))
    return made


def kill_when(shop: Shop, folder: Path, moment: str) -> int:
    """Run the command and kill it as soon as such a key is there. Returns its status."""
    command = [str(Path(sys.executable).with_name("headrace")), "job", "medallion", "--source", "raw", "--wait"]
    with (
        (folder / "job.log").open("wb") as log,
        subprocess.Popen(
            [*command, "--data", str(folder / "none")], env=os.environ.copy(), stdout=log, stderr=log
        ) as process,
    ):
        deadline = time.monotonic() + PATIENCE_SECONDS
        while process.poll() is None and not any(re.match(moment, key) for key in shop.keys("")):
            assert time.monotonic() < deadline, (folder / "job.log").read_text()
            time.sleep(0.01)
        process.kill()
        return process.wait()


@pytest.mark.usefixtures("restored_logs")
def test_whatever_was_under_way_the_next_run_leaves_the_tables_of_one_that_nobody_killed(
    shop: Shop, tmp_path: Path
) -> None:
    first, second = Bulk(events=20_000, minutes=10, late=0.2), Bulk(events=6_000, minutes=6, late=0.3, bad_lines=0.01)
    for key, body in first.files.items():
        shop.put(key, body)
    shop.run("--source", "raw")
    for key, body in second.files.items():
        shop.put(key, body)
    before = (shop.silver(), shop.gold())

    killed = 0
    for moment in MOMENTS.values():
        killed += kill_when(shop, tmp_path, moment) == -signal.SIGKILL
        if MANIFEST not in shop.manifests():
            assert (shop.silver(), shop.gold()) == before, "a run that is not decided shows"
    assert killed

    shop.run("--source", "raw", "--wait")
    after = (shop.silver(), shop.gold())
    assert len(shop.dead_letters()) == second.summary.bad_lines
    assert "nothing new" in shop.run("--source", "raw")
    shop.run("--full")
    assert (shop.silver(), shop.gold()) == after
