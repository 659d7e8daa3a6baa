"""One run through all that a stack does, by its services and jobs: what came of it is for the tests to judge."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from tests.conftest import free_port
from tests.deploy.account import Account
from tests.harness.actions import Action
from tests.harness.pipeline import wait_until
from tests.harness.policed import PolicedProxy
from tests.harness.proxy import Rule
from tests.harness.service import Service

PATIENCE = 40.0
"""Seconds for anything to happen."""
STREAM_DOWN = Rule(action=Action.ERROR, service="kinesis", operations=frozenset({"PutRecords"}))
PRODUCT = "deployed-1"
EMPTY_HOUR = ["2020", "01", "01", "00"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What was seen from outside."""

    counted: int
    """Views of `PRODUCT`, as the stats API tells who has a key."""
    turned_away: int
    """Its status for who has none."""
    jobs: Mapping[str, tuple[int, str]]
    """How each job ended: its status, and what it said."""
    rows: Mapping[str, int]
    """Of the same events in tables, as Athena answers."""
    partitions: list[list[str]]
    """Hours that the table has in the end."""
    forgotten: list[str]
    """One that it did not have before the jobs."""


def go_through(account: Account, gate: PolicedProxy) -> Run:
    """Poll, collect, land, count and register; through an outage of the stream and a crash; then every job."""
    poller, transformer = _poller(account), account.service("Transformer")
    partitioner, api = account.service("Partitioner"), account.service("StatsApi")
    services = (transformer, partitioner, api, poller)

    def ready(service: Service) -> None:
        wait_until(lambda: service.status("/readyz") == 200, PATIENCE, lambda: _told(gate, *services))

    def eventually(metric: str, service: Service, least: float = 1) -> None:
        wait_until(lambda: service.metric(metric) >= least, PATIENCE, lambda: _told(gate, *services))

    for service in services:
        service.start(ready=False)
    for service in services:
        ready(service)
    collect(account, api)
    garbage(account)
    eventually("headrace_rows_committed_total", transformer, 50)
    eventually("headrace_records_dead_lettered_total", transformer)
    eventually("headrace_records_rejected_total", poller)
    eventually("headrace_partitions_registered_total", partitioner)
    for service in (poller, transformer):
        eventually("headrace_alerts_total", service)

    with gate.rules(STREAM_DOWN):
        collect(account, api)
        eventually("headrace_spooled_pages", poller)
    for service in (poller, api):
        wait_until(
            lambda service=service: service.logged("spool.drained") > 0, PATIENCE, lambda: _told(gate, *services)
        )

    transformer.kill()
    transformer.start(ready=False)
    ready(transformer)
    eventually("headrace_rows_committed_total", transformer)
    answer: dict[str, Any] = {}
    wait_until(lambda: answer.update(_stats(account, api)) or answer["views"] == 2, PATIENCE, lambda: str(answer))
    turned_away = _status(f"{api.url}/v1/products/{PRODUCT}/stats?window=all")
    account.drain()
    forgotten = _spoil(account)
    jobs = _jobs(account)
    return Run(
        counted=answer["views"], turned_away=turned_away, jobs=jobs, partitions=_partitions(account),
        forgotten=forgotten, rows=_rows(account),
    )  # fmt: skip


def collect(account: Account, api: Service) -> None:
    """A visitor's browser sends a page view, with the public key."""
    event = {
        "session_id": "s", "event_type": "page_view", "timestamp": int(time.time()), "page_url": "/",
        "product_id": PRODUCT,
    }  # fmt: skip
    key = quote(_key(account, "HEADRACE_WRITE_KEYS"))
    request = urllib.request.Request(f"{api.url}/v1/collect?key={key}", json.dumps(event).encode())
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=15) as answer:
        assert answer.status == 202


def garbage(account: Account) -> None:
    """Somebody puts on the stream what is no event."""
    records = [{"Data": b"{", "PartitionKey": str(number)} for number in range(3)]
    account.stack.client("kinesis").put_records(StreamName=account.stack.outputs()["StreamName"], Records=records)


def _poller(account: Account) -> Service:
    port = free_port()
    faults = "malformed=0.05,extra=0.05"
    account.helper(
        "jobs.simulate", "api", "--port", str(port), "--rate", "50", "--faults", faults,
        url=f"http://127.0.0.1:{port}/health",
    )  # fmt: skip
    return account.service(
        "ApiConsumer",
        API_URL=f"http://127.0.0.1:{port}/events",
        HEADRACE_ALLOW_PRIVATE_UPSTREAM="1",
        HEADRACE_AGGREGATE="1",
        HEADRACE_RAW_ARCHIVE="1",
    )


def _jobs(account: Account) -> dict[str, tuple[int, str]]:
    """Each job as its task definition has it; those with a choice, twice."""
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    replay = ("job", "replay", "--reason", "all", "--from", today, "--to", today)
    at_once = {"HEADRACE_MEDALLION_GRACE": "0"}
    ended = {
        "reconcile": account.job("ReconcileJob"),
        "partitions": account.job("PartitionsJob"),
        "medallion": account.job("MedallionJob", **at_once),
        "replay": account.job("ReplayJob", *replay),
        "medallion, raw": account.job("MedallionJob", "job", "medallion", "--source", "raw", **at_once),
        "medallion, again": account.job("MedallionJob", "job", "medallion", "--full", **at_once),
        "reconcile, again": account.job("ReconcileJob"),
    }
    return {name: (done.returncode, done.stdout + done.stderr) for name, done in ended.items()}


def _rows(account: Account) -> dict[str, int]:
    count = f"count(*) AS found FROM {{}} WHERE product_id = '{PRODUCT}'"
    tables = ("events", "silver_events", "all_events")
    sql = " UNION ALL ".join(f"SELECT '{table}' AS name, {count.format(table)}" for table in tables)
    return {each["name"]: each["found"] for each in account.query(sql)}


def _spoil(account: Account) -> list[str]:
    """An hour that has objects is forgotten, and one that has none is registered. Returns the first one."""
    glue, outputs = account.stack.client("glue"), account.stack.outputs()
    table = {"DatabaseName": outputs["DatabaseName"], "TableName": "events"}
    [first, *_] = glue.get_partitions(**table)["Partitions"]
    glue.delete_partition(**table, PartitionValues=first["Values"])
    glue.create_partition(
        **table, PartitionInput={"Values": EMPTY_HOUR, "StorageDescriptor": first["StorageDescriptor"]}
    )
    return list(first["Values"])


def _partitions(account: Account) -> list[list[str]]:
    glue, outputs = account.stack.client("glue"), account.stack.outputs()
    found = glue.get_partitions(DatabaseName=outputs["DatabaseName"], TableName="events")["Partitions"]
    return sorted(each["Values"] for each in found)


def _stats(account: Account, api: Service) -> dict[str, Any]:
    request = urllib.request.Request(f"{api.url}/v1/products/{PRODUCT}/stats?window=all")
    request.add_header("X-API-Key", _key(account, "HEADRACE_API_KEYS"))
    with urllib.request.urlopen(request, timeout=15) as answer:
        said: dict[str, Any] = json.load(answer)
    return said


def _key(account: Account, variable: str) -> str:
    """The first of a list. On AWS there is one, but the emulator makes them with commas inside."""
    return next(key for key in account.secrets[variable].split(",") if key.strip()).strip()


def _status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=15) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def _told(gate: PolicedProxy, *services: Service) -> str:
    return "\n".join([str(dict(gate.refused)), *(service.tail() for service in services)])
