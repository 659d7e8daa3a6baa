"""`docker compose up` on a real engine: what goes in comes out, in containers that may do little."""

import json
import time
from typing import Any
from uuid import uuid4

import pytest

from tests.compose.stack import CLOUD, SERVICES, Stack, eventually, run

CONTAINERS = (*SERVICES, *CLOUD, "simulator")
MEBIBYTE = 1 << 20
LARGEST = {"api-consumer": 150, "transformer": 330, "partitioner": 150, "stats-api": 150, "jobs": 450, "local": 500}
"""MiB on top of the base image, by image: well above what they are, far below what a forgotten dependency adds."""


@pytest.mark.parametrize("image", LARGEST)
def test_an_image_holds_what_its_service_needs_and_no_more(
    stack: Stack, image: str, capsys: pytest.CaptureFixture[str]
) -> None:
    python = run(["docker", "run", "--rm", "--entrypoint", "python", f"headrace/{image}", "-c", FOUND]).split()
    size = int(run(["docker", "image", "inspect", "--format", "{{.Size}}", f"headrace/{image}"]))
    own = sum(
        int(line)
        for line in run(["docker", "history", "--human=false", "--format", "{{.Size}}", f"headrace/{image}"]).split()[
            :-1
        ]
    )
    with capsys.disabled():
        print(f"\n  headrace/{image}: {size / MEBIBYTE:.0f} MiB, {own / MEBIBYTE:.0f} of them its own", end="")  # noqa: T201
    assert own < LARGEST[image] * MEBIBYTE
    assert ("pyarrow" in python) == (image in {"transformer", "jobs", "local"})
    assert ("fastapi" in python) == (image in {"stats-api", "local"})
    assert ("duckdb" in python) == (image in {"jobs", "local"})


FOUND = "import importlib.util as u; print(*(n for n in ('pyarrow', 'fastapi', 'duckdb') if u.find_spec(n)))"


@pytest.mark.parametrize("service", CONTAINERS)
def test_a_container_is_healthy_and_may_do_little(stack: Stack, service: str) -> None:
    found = stack.inspect(service)
    host = found["HostConfig"]
    assert found["State"]["Health"]["Status"] == "healthy"
    assert found["Config"]["User"] == "10001:10001"
    assert host["ReadonlyRootfs"] is True
    assert host["CapDrop"] == ["ALL"]
    assert not host["CapAdd"]
    assert "no-new-privileges:true" in host["SecurityOpt"]
    assert host["Privileged"] is False
    assert 0 < host["Memory"] <= 1 << 30
    assert 0 < host["PidsLimit"] <= 256


@pytest.mark.parametrize("service", CONTAINERS)
def test_what_is_forbidden_does_not_work_from_inside_either(stack: Stack, service: str) -> None:
    status = dict(
        line.split(":", 1) for line in stack.python(service, "print(open('/proc/1/status').read())").splitlines()
    )
    assert status["Uid"].split() == ["10001"] * 4
    assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0
    assert status["NoNewPrivs"].strip() == "1"
    attempt = "import errno\ntry: open('/app/x', 'w')\nexcept OSError as error: print(errno.errorcode[error.errno])"
    assert stack.python(service, attempt) == "EROFS"


@pytest.mark.parametrize("service", [*SERVICES, *CLOUD])
def test_a_port_is_published_on_this_machine_only(stack: Stack, service: str) -> None:
    published = [place for places in stack.inspect(service)["NetworkSettings"]["Ports"].values() for place in places]
    assert [place["HostIp"] for place in published] == ["127.0.0.1"]


def test_an_event_that_is_collected_comes_out_of_a_query_and_of_the_stats_api(stack: Stack) -> None:
    event = an_event()
    stack.collect(event)
    assert in_the_table(stack, event) == [{"n": 1, "session": event["session_id"]}]
    path = f"/v1/products/{event['product_id']}/stats?window=1h"
    counted = eventually(lambda: stack.get("stats-api", path), lambda answer: answer["views"] == 1)
    assert counted["complete_through"] is not None


def test_what_the_simulator_offers_flows(stack: Stack) -> None:
    sql = "SELECT count(*) AS n FROM events WHERE session_id NOT LIKE 'compose-%'"
    eventually(lambda: stack.query(sql), lambda rows: rows[0]["n"] > 100)


def test_jobs_run_to_their_end_in_an_image_of_their_own(stack: Stack) -> None:
    event = an_event()
    stack.collect(event)
    in_the_table(stack, event)

    def job(*args: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = json.loads(
            stack.compose("run", "--rm", "--no-deps", "--no-TTY", "jobs", "job", *args, "--format", "json")
        )
        return rows

    assert {row["state"] for row in job("reconcile", "--hours", "1")} <= {"agree", "in flight"}
    tables = {row["table"]: row["rows"] for row in job("medallion", "--source", "events")}
    assert tables["silver_events"] > 0


def test_stop_drains_every_container_and_up_goes_on_from_there(stack: Stack) -> None:
    event = an_event()
    stack.collect(event)
    stack.compose("stop")
    try:
        for service in CONTAINERS:
            state = stack.inspect(service)["State"]
            assert (service, state["ExitCode"], state["OOMKilled"]) == (service, 0, False)
    finally:
        stack.up()
    assert in_the_table(stack, event) == [{"n": 1, "session": event["session_id"]}]


def an_event() -> dict[str, Any]:
    name = f"compose-{uuid4().hex[:12]}"
    return {
        "event_type": "page_view",
        "session_id": name,
        "product_id": name,
        "page_url": f"https://shop.example/p/{name}",
        "timestamp": int(time.time()),
    }


def in_the_table(stack: Stack, event: dict[str, Any]) -> list[dict[str, Any]]:
    sql = f"SELECT count(*) AS n, min(session_id) AS session FROM events WHERE product_id = '{event['product_id']}'"
    rows: list[dict[str, Any]] = eventually(lambda: stack.query(sql), lambda rows: rows[0]["n"] > 0)
    return rows
