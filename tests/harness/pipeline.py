"""The services as processes of their own, behind the fault proxy, and what can be seen of them from outside.

Input and observation go straight to the local cloud: only the services meet the faults.
"""

import asyncio
import io
import itertools
import json
import os
import subprocess
import sys
import time
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
from tests.harness.proxy import FaultProxy
from tests.harness.service import Service

FIRST_HOUR = 1_775_692_800 // 3600
"""Of the events' own time; each scenario has an hour to itself."""
FLOOD_EVENTS = 10_000
REGION = "us-east-1"
SETTINGS = Settings(_env_file=None)
PLACES = {
    "KINESIS_STREAM_NAME": SETTINGS.kinesis_stream_name,
    "S3_BUCKET": SETTINGS.bucket,
    "HEADRACE_CONTROL_TABLE": SETTINGS.control_table,
    "HEADRACE_COUNTERS_TABLE": SETTINGS.counters_table,
    "HEADRACE_STATE_TABLE": SETTINGS.state_table,
    "HEADRACE_PARTITION_QUEUE": SETTINGS.partition_queue,
}
"""What a pipeline of its own has of its own, by variable."""


class Pipeline:
    """A stream of two shards, a bucket and tables in the local cloud; `service` makes what works on them."""

    def __init__(
        self,
        cloud: str,
        others: Mapping[str, str],
        proxy: FaultProxy,
        folder: Path,
        *,
        name: str = "",
        shards: int = 2,
    ) -> None:
        """`others` are places of single services beside the cloud; `name` tells its own from those of others in it."""
        self._names = {variable: f"{default}-{name}" for variable, default in PLACES.items() if name}
        self.settings = Settings(_env_file=None, **self._names)  # type: ignore[arg-type]
        self._proxy = proxy
        self._folder = folder
        self.env = _aws_environment(cloud, others)
        """Of who looks from outside, past the proxy."""
        self._seen: dict[tuple[str, str], Sequence[str]] = {}
        session = botocore.session.Session()
        session.set_credentials(*CREDENTIALS.values())
        self._clients = {
            name: session.create_client(name, REGION, endpoint_url=others.get(name, cloud))
            for name in ("s3", "kinesis", "glue")
        }
        self.make_stream(self.settings.stream_name, shards=shards)

    def service(
        self, name: str, *, files: Sequence[Path] = (), proxy: FaultProxy | None = None, **settings: str
    ) -> Service:
        """A service as `headrace up` configures it, with a proxy as its AWS; `transformer-2` is a second one."""
        proxy = proxy or self._proxy
        count = int(name.partition("-")[2] or 1)
        options = plan.Options(
            data=self._folder,
            files=tuple(files),
            url=None if files else "http://127.0.0.1:1",
            transformers=count,
        )
        chosen = ports.choose(plan.process_names(options), {place.variable: "0" for place in ports.PLACES.values()})
        aws = _aws_environment(proxy.url, {})
        env = plan.service_environment(
            {**aws, **self._names, "HEADRACE_BATCH_AGE": "1s", "HEADRACE_FAILOVER": "3s", **settings}, "key"
        )
        [program] = [one for one in plan.plan_services(options, chosen, env) if one.name == name]
        return Service(name, program.module, program.env, program.ready_url.removesuffix("/readyz"), self._folder)

    def headrace(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """A command of `headrace`, run to its end on this pipeline's places."""
        command = [sys.executable, "-m", "cli", *arguments, "--data", str(self._folder / "none")]
        return subprocess.run(command, env={**self.env, **self._names}, capture_output=True, text=True, check=False)

    def put(self, entries: Iterable[Entry]) -> None:
        """Put records on the stream."""
        records = [{"PartitionKey": each.partition_key, "Data": each.data} for each in entries]
        answer = self._clients["kinesis"].put_records(StreamName=self.settings.stream_name, Records=records)
        assert answer["FailedRecordCount"] == 0

    def client(self, name: str) -> Any:
        """botocore's client of a service, past the proxy."""
        return self._clients[name]

    def make_stream(self, name: str, *, shards: int) -> None:
        """A stream, and all else that the services stand on, unless it is there."""
        with environment(self.env):
            asyncio.run(_ensure(self.settings.model_copy(update={"kinesis_stream_name": name}), shards))

    def flood(self, stream: str, ids: Sequence[str], *, hour: int, product: str, size: int) -> None:
        """Put an event for each id on a stream, as fast as it takes them."""
        with environment(self.env):
            asyncio.run(_flood(stream, (entry(each, hour, product=product, size=size) for each in ids)))

    def landed(self, hour: int) -> Counter[str]:
        """Event ids of the rows of an hour, each with the number of its rows."""
        objects = self._objects(f"events/{partition(hour).path}/")
        return Counter(event_id for key in objects for event_id in self._ids(*key))

    def registered(self, hour: int) -> bool:
        """Whether Athena knows the hour's partition."""
        found = self._clients["glue"].get_partitions(DatabaseName=self.settings.database, TableName=self.settings.table)
        return list(partition(hour).values) in [each["Values"] for each in found["Partitions"]]

    def _objects(self, prefix: str) -> Iterable[tuple[str, str]]:
        for page in (
            self._clients["s3"].get_paginator("list_objects_v2").paginate(Bucket=self.settings.bucket, Prefix=prefix)
        ):
            for item in page.get("Contents", ()):
                yield item["Key"], item["ETag"]

    def _ids(self, key: str, etag: str) -> Sequence[str]:
        if (key, etag) not in self._seen:
            body = self._clients["s3"].get_object(Bucket=self.settings.bucket, Key=key)["Body"].read()
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


def _aws_environment(aws: str, others: Mapping[str, str]) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "HEADRACE_"))}
    places = {"AWS_ENDPOINT_URL": aws, **{f"AWS_ENDPOINT_URL_{name.upper()}": url for name, url in others.items()}}
    return {**inherited, **CREDENTIALS, **places, "AWS_REGION": REGION, "AWS_EC2_METADATA_DISABLED": "true"}


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
