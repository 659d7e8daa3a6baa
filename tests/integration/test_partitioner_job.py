"""`headrace job partitions` as a user types it, against the local cloud."""

import asyncio
import json
from pathlib import Path
from uuid import uuid4

import pytest
from click.testing import Result
from typer.testing import CliRunner

from cli.jobs import partitions
from headrace.aws.session import AwsSession
from headrace.catalog.athena import AthenaCatalog, AthenaClient
from headrace.catalog.ddl import EventsTable
from headrace.clock import SystemClock
from headrace.errors import RequestError
from headrace.lake.layout import HourPartition
from headrace.lake.s3 import S3Store
from headrace.settings import Settings, load

HOURS = [HourPartition("2026", "04", "09", f"{hour:02}") for hour in range(24)]


@pytest.fixture
def settings(athena_environment: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    name = f"job-{uuid4().hex[:12]}"
    monkeypatch.setenv("S3_BUCKET", name)
    monkeypatch.setenv("ATHENA_DATABASE", name.replace("-", "_"))
    return load()


async def fill(settings: Settings, landed: list[HourPartition], registered: list[HourPartition]) -> None:
    async with AwsSession(settings.region) as aws:
        s3 = await aws.client("s3")
        await s3.create_bucket(Bucket=settings.bucket)
        for hour in landed:
            await S3Store(s3, settings.bucket).put(f"events/{hour.path}/a.parquet", b"")
        if registered:
            catalog = await catalog_of(aws, settings)
            await catalog.ensure_table()
            await catalog.add_partitions(registered)


async def registered(settings: Settings) -> set[HourPartition]:
    async with AwsSession(settings.region) as aws:
        return await (await catalog_of(aws, settings)).partitions()


async def catalog_of(aws: AwsSession, settings: Settings) -> AthenaCatalog:
    athena = AthenaClient(
        await aws.client("athena"),
        clock=SystemClock(),
        workgroup=settings.workgroup,
        output=settings.athena_output_url,
    )
    return AthenaCatalog(athena, EventsTable(database=settings.database, name=settings.table, bucket=settings.bucket))


def job(folder: Path, *args: str) -> Result:
    return CliRunner().invoke(partitions, ["--data", str(folder / "none"), *args])


def test_what_differs_is_counted_planned_and_repaired(settings: Settings, tmp_path: Path) -> None:
    asyncio.run(fill(settings, HOURS[:3], HOURS[1:4]))

    shown = job(tmp_path, "--format", "json")
    assert shown.exit_code == 1, shown.stderr
    rows = {row["state"]: row["partitions"] for row in json.loads(shown.stdout)}
    assert rows == {"in_bucket": 3, "registered": 3, "missing": 1, "orphaned": 1}
    assert shown.stderr == "2 partitions differ; --repair mends that, --list shows each\n"

    planned = job(tmp_path, "--repair", "--dry-run", "--format", "csv")
    assert planned.exit_code == 1, planned.stderr
    assert planned.stdout.splitlines() == [
        "partition,state,action",
        f"{HOURS[0].path},missing,would be added",
        f"{HOURS[3].path},orphaned,would be dropped",
    ]
    assert asyncio.run(registered(settings)) == set(HOURS[1:4])

    repaired = job(tmp_path, "--repair")
    assert (repaired.exit_code, repaired.stderr) == (0, "1 added, 1 dropped\n")
    assert "missing" in repaired.stdout
    assert asyncio.run(registered(settings)) == set(HOURS[:3])


def test_without_a_table_a_look_fails_and_a_repair_makes_it(settings: Settings, tmp_path: Path) -> None:
    asyncio.run(fill(settings, HOURS[:2], []))
    looked = job(tmp_path)
    assert looked.stdout == ""
    assert isinstance(looked.exception, RequestError)
    repaired = job(tmp_path, "--repair", "--list", "--format", "json")
    assert repaired.exit_code == 0, repaired.stderr
    assert [row["action"] for row in json.loads(repaired.stdout)] == ["added", "added"]
    assert asyncio.run(registered(settings)) == set(HOURS[:2])
