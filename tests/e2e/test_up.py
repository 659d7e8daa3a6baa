"""`headrace up` as a user meets it: real processes, real ports, the command line from outside."""

import gzip
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import free_port

HEADRACE = str(Path(sys.executable).with_name("headrace"))
READY_SECONDS = 60
"""Twenty on an idle machine with two cores; this one may be running other things."""
STOP_SECONDS = 15


class Shop:
    """A data folder, and the commands of one user on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "HEADRACE_"))}
        self.env = {
            **inherited,
            "HEADRACE_LOCAL_AWS_PORT": "0",
            "HEADRACE_LOCAL_ATHENA_PORT": "0",
            "HEADRACE_SIMULATOR_PORT": str(free_port()),  # the same in every run: it is part of the cursor's name
            "HEADRACE_STATS_PORT": "0",
            "HEADRACE_METRICS_PORT_BASE": "0",
            "HEADRACE_BATCH_AGE": "1s",
        }

    def run(self, *args: str) -> subprocess.CompletedProcess[str]:
        """A command that ends by itself."""
        return subprocess.run(
            [HEADRACE, *args, "--data", str(self.data)],
            env=self.env, cwd=self.folder, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    def query(self, sql: str) -> list[dict[str, Any]]:
        """Rows of `headrace query`."""
        done = self.run("query", sql, "--format", "json")
        assert done.returncode == 0, done.stderr
        rows: list[dict[str, Any]] = json.loads(done.stdout)
        return rows

    def count(self) -> int:
        """Rows of the table; 0 while there is none yet."""
        done = self.run("query", "SELECT count(*) AS n FROM events", "--format", "json")
        return int(json.loads(done.stdout)[0]["n"]) if done.returncode == 0 else 0

    @contextmanager
    def up(self, *args: str, end: signal.Signals = signal.SIGINT) -> Iterator[dict[str, str]]:
        """`headrace up` until the block ends, then Ctrl-C or what `end` says. Yields the services' addresses."""
        log = self.folder / f"up-{time.monotonic_ns()}.log"
        with (
            log.open("wb") as stderr,
            subprocess.Popen(
                [HEADRACE, "up", "--data", str(self.data), *args],
                env=self.env, cwd=self.folder, stdout=subprocess.PIPE, stderr=stderr, start_new_session=True,
            ) as process,
        ):  # fmt: skip
            try:
                wait_for(
                    lambda: "Headrace is ready" in log.read_text() or process.poll() is not None, READY_SECONDS, log
                )
                assert process.poll() is None, log.read_text()
                yield json.loads((self.data / "cloud.json").read_bytes())["services"]
                process.send_signal(end)
                out, _ = process.communicate(timeout=STOP_SECONDS)
                assert process.returncode == 0, log.read_text()
                assert out == b""
                assert "killed" not in log.read_text()
                assert not (self.data / "cloud.json").exists()
            finally:
                process.kill()


def wait_for(condition: Callable[[], bool], seconds: float, log: Path | None = None) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, log.read_text() if log else "too late"
        time.sleep(0.1)


def fetch(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as response:
        return str(response.read().decode())


def metric(text: str, name: str) -> float:
    """The sum over all labels."""
    samples = [line for line in text.splitlines() if line.split("{")[0].split(" ")[0] == name]
    return sum(float(sample.rsplit(" ", 1)[1]) for sample in samples)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def test_simulated_shoppers_become_rows_counts_and_metrics_and_a_second_run_goes_on(shop: Shop) -> None:
    with shop.up("--rate", "100") as services:
        wait_for(lambda: shop.count() > 0, 30)
        by_type = shop.query("SELECT event_type, count(*) AS n FROM events GROUP BY 1 ORDER BY 2 DESC")
        assert {"page_view", "add_to_cart"} <= {row["event_type"] for row in by_type}
        top = json.loads(fetch(f"{services['stats_api']}/v1/products/top?metric=views&window=1h&limit=3"))
        assert [item["value"] > 0 for item in top["items"]] == [True] * 3
        for service, name in {
            "api_consumer": "headrace_records_put_total",
            "transformer": "headrace_rows_committed_total",
            "partitioner": "headrace_partitions_registered_total",
            "stats_api": "headrace_http_request_duration_seconds_count",
        }.items():
            assert metric(fetch(f"{services[service]}/metrics"), name) > 0, service
        refused = shop.run("up")
        assert refused.returncode == 1
        assert "is in use by" in refused.stderr

    with shop.up("--rate", "100", end=signal.SIGHUP):  # the terminal was closed
        resumed_with = shop.count()
        assert resumed_with >= sum(row["n"] for row in by_type)
        wait_for(lambda: shop.count() > resumed_with, 30)


def test_files_are_read_to_the_end_once_and_the_summary_adds_up(shop: Shop) -> None:
    good = [
        {"timestamp": 1_775_721_600 + n * 30, "session_id": f"s{n % 7}", "event_type": "page_view", "product_id": "p1"}
        for n in range(300)
    ]
    extra = [{**good[0], "colour": "red"}, {**good[1], "size": 42}]
    first, second = shop.folder / "a.jsonl.gz", shop.folder / "b.jsonl"
    first.write_bytes(gzip.compress(b"".join(json.dumps(event).encode() + b"\n" for event in good)))
    second.write_bytes(
        b'{"cut off\n' + b'{"timestamp": 1775721600}\n' + b"".join(json.dumps(e).encode() + b"\n" for e in extra)
    )

    done = shop.run("up", "--until-drained", "--source", str(first), "--source", str(second))
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary.pop("objects") > 0
    assert summary.pop("seconds") > 0
    assert summary == {
        "polled": 304, "accepted": 302, "extra_columns": 2, "rejected": 2, "put": 302,
        "received": 302, "committed": 302, "dead_lettered": 0, "duplicates": 0, "partitions": 3,
    }  # fmt: skip
    assert shop.query("SELECT hour, count(*) AS n FROM events GROUP BY 1 ORDER BY 1") == [
        {"hour": "08", "n": 122},
        {"hour": "09", "n": 120},
        {"hour": "10", "n": 60},
    ]

    again = json.loads(shop.run("up", "--until-drained", "--source", str(first), "--source", str(second)).stdout)
    assert {name: value for name, value in again.items() if name != "seconds"} == dict.fromkeys(
        [*summary, "objects"], 0
    )
