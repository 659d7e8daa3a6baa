"""The services as processes of their own, behind the fault proxy, and what can be seen of them from outside.

Input and observation go straight to the local cloud: only the services meet the faults.
"""

import asyncio
import io
import itertools
import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import botocore.session
import pyarrow.parquet as pq

from cli import plan, ports
from cli.cloud import environment
from deploy.local.emulator import CREDENTIALS
from deploy.local.resources import ensure_resources
from headrace.aws.session import AwsSession
from headrace.clock import SystemClock
from headrace.lake.layout import HourPartition
from headrace.settings import Settings
from headrace.stream.connect import open_producer
from headrace.stream.ports import Entry
from headrace.telemetry.metrics import Metrics
from tests.conftest import wait_for_http
from tests.faults.proxy import FaultProxy

FIRST_HOUR = 1_775_692_800 // 3600
"""Of the events' own time; each scenario has an hour to itself."""
READY_SECONDS = 20.0
FLOOD_EVENTS = 10_000
REGION = "us-east-1"
SETTINGS = Settings(_env_file=None)


class Service:
    """One process, started again as a supervisor would."""

    def __init__(self, name: str, module: str, env: Mapping[str, str], url: str, folder: Path) -> None:
        self.url = url
        self._command = [sys.executable, "-m", module]
        self._env = dict(env)
        self._log = folder / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of the process that runs now."""
        assert self._process is not None
        return self._process.pid

    def start(self, *, ready: bool = True) -> None:
        """Start it, and wait until it is ready."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, env=self._env, stdout=log, stderr=log)
        if ready:
            wait_for_http(f"{self.url}/readyz", self._process, READY_SECONDS)

    def kill(self) -> None:
        """SIGKILL, and bury it."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def alive(self) -> bool:
        """Whether it is the process that was started, and says that it lives."""
        assert self._process is not None
        return self._process.poll() is None and self.status("/livez") == 200

    def status(self, path: str) -> int:
        """The HTTP status of a path; 0 when nobody answers."""
        try:
            with urllib.request.urlopen(f"{self.url}{path}", timeout=15) as response:
                return int(response.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def resident_bytes(self) -> int:
        """Memory of the process, as the kernel counts it: what it holds now."""
        return _status_bytes(self.pid, "VmRSS")

    def peak_bytes(self) -> int:
        """The most it ever held."""
        return _status_bytes(self.pid, "VmHWM")

    def metric(self, name: str) -> float:
        """The sum over all labels."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=15) as response:
            lines = response.read().decode().splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if re.match(rf"{name}[{{ ]", line))

    def tail(self) -> str:
        """The end of its log, for a failure's message."""
        return "\n".join(self._log.read_text("utf-8", "replace").splitlines()[-15:])


class Pipeline:
    """A stream of two shards, a bucket and tables in the local cloud; `service` makes what works on them."""

    def __init__(self, cloud: str, athena: str, proxy: FaultProxy, folder: Path) -> None:
        self._proxy = proxy
        self._athena = athena
        self._folder = folder
        self._env = _aws_environment(cloud, athena)
        self._seen: dict[tuple[str, str], Sequence[str]] = {}
        session = botocore.session.Session()
        session.set_credentials(*CREDENTIALS.values())
        self._clients = {
            name: session.create_client(name, REGION, endpoint_url=cloud) for name in ("s3", "kinesis", "glue")
        }
        self.make_stream(SETTINGS.stream_name, shards=2)

    def service(self, name: str, *, files: Sequence[Path] = (), **settings: str) -> Service:
        """A service as `headrace up` configures it, with the proxy as its AWS."""
        options = plan.Options(data=self._folder, files=tuple(files), url=None if files else "http://127.0.0.1:1")
        chosen = ports.choose(plan.process_names(options), {place.variable: "0" for place in ports.PLACES.values()})
        aws = _aws_environment(self._proxy.url, self._proxy.url)
        env = plan.service_environment(
            {**aws, "HEADRACE_BATCH_AGE": "1s", "HEADRACE_FAILOVER": "3s", **settings}, "key"
        )
        [program] = [one for one in plan.plan_services(options, chosen, env) if one.name == name]
        return Service(name, program.module, program.env, program.ready_url.removesuffix("/readyz"), self._folder)

    def put(self, entries: Iterable[Entry]) -> None:
        """Put records on the stream."""
        records = [{"PartitionKey": each.partition_key, "Data": each.data} for each in entries]
        answer = self._clients["kinesis"].put_records(StreamName=SETTINGS.stream_name, Records=records)
        assert answer["FailedRecordCount"] == 0

    def make_stream(self, name: str, *, shards: int) -> None:
        """A stream, and all else that the services stand on, unless it is there."""
        with environment(self._env):
            asyncio.run(_ensure(SETTINGS.model_copy(update={"kinesis_stream_name": name}), shards))

    def flood(self, stream: str, ids: Sequence[str], *, hour: int, product: str, size: int) -> None:
        """Put an event for each id on a stream, as fast as it takes them."""
        with environment(self._env):
            asyncio.run(_flood(stream, (entry(each, hour, product=product, size=size) for each in ids)))

    def landed(self, hour: int) -> Counter[str]:
        """Event ids of the rows of an hour, each with the number of its rows."""
        objects = self._objects(f"events/{partition(hour).path}/")
        return Counter(event_id for key in objects for event_id in self._ids(*key))

    def registered(self, hour: int) -> bool:
        """Whether Athena knows the hour's partition."""
        found = self._clients["glue"].get_partitions(DatabaseName=SETTINGS.database, TableName=SETTINGS.table)
        return list(partition(hour).values) in [each["Values"] for each in found["Partitions"]]

    def _objects(self, prefix: str) -> Iterable[tuple[str, str]]:
        for page in (
            self._clients["s3"].get_paginator("list_objects_v2").paginate(Bucket=SETTINGS.bucket, Prefix=prefix)
        ):
            for item in page.get("Contents", ()):
                yield item["Key"], item["ETag"]

    def _ids(self, key: str, etag: str) -> Sequence[str]:
        if (key, etag) not in self._seen:
            body = self._clients["s3"].get_object(Bucket=SETTINGS.bucket, Key=key)["Body"].read()
            table = pq.read_table(io.BytesIO(body), columns=["event_id"])
            self._seen[key, etag] = table["event_id"].to_pylist()
        return self._seen[key, etag]


def partition(hour: int) -> HourPartition:
    """The partition of a scenario's hour."""
    return HourPartition.of_hour(FIRST_HOUR + hour)


def event(event_id: str, hour: int, *, product: str, size: int = 0) -> dict[str, Any]:
    """A page view; `size` bytes are added to it."""
    return {
        "event_id": event_id,
        "session_id": event_id,
        "event_type": "page_view",
        "timestamp": (FIRST_HOUR + hour) * 3600,
        "product_id": product,
        "page_url": "/" + "x" * size,
    }


def entry(event_id: str, hour: int, *, product: str, size: int = 0) -> Entry:
    """The same as a record."""
    return Entry(json.dumps(event(event_id, hour, product=product, size=size)).encode(), event_id)


def wait_until(condition: Callable[[], bool], seconds: float, told: Callable[[], str]) -> float:
    """Seconds until the condition holds. Fails with `told` when it takes longer than `seconds`."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < seconds, told()
        time.sleep(0.2)
    return time.monotonic() - started


def _aws_environment(aws: str, athena: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "HEADRACE_"))}
    places = {"AWS_ENDPOINT_URL": aws, "AWS_ENDPOINT_URL_ATHENA": athena, "AWS_REGION": REGION}
    return {**inherited, **CREDENTIALS, **places, "AWS_EC2_METADATA_DISABLED": "true"}


async def _ensure(settings: Settings, shards: int) -> None:
    async with AwsSession(REGION) as aws:
        await ensure_resources(aws, settings, shards=shards)


async def _flood(stream: str, entries: Iterable[Entry]) -> None:
    settings = SETTINGS.model_copy(update={"kinesis_stream_name": stream})
    coming = iter(entries)
    async with (
        AwsSession(REGION) as aws,
        open_producer(settings, aws, Metrics(), SystemClock()) as producer,
    ):
        while some := list(itertools.islice(coming, FLOOD_EVENTS)):
            await producer.put(some)


def _status_bytes(pid: int, field: str) -> int:
    found = re.search(rf"{field}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1]) * 1024
