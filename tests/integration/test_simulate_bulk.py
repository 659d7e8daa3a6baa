"""`headrace job simulate bulk` as a user types it, into the local cloud's bucket."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest
from typer.testing import CliRunner

from cli.simulate import app
from headrace.aws.session import AwsSession
from headrace.errors import NotFoundError
from headrace.lake.s3 import S3Store
from headrace.settings import load

ARGUMENTS = ["--events", "5000", "--end", "2026-04-09T12:00", "--duplicates", "0.01", "--late", "0.1"]


@pytest.fixture
def bucket(aws_environment: str, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"bulk-{uuid4().hex[:12]}"
    monkeypatch.setenv("S3_BUCKET", name)
    return name


async def create(bucket: str) -> None:
    async with AwsSession(load().region) as aws:
        await (await aws.client("s3")).create_bucket(Bucket=bucket)


async def contents(bucket: str) -> dict[str, bytes]:
    async with AwsSession(load().region) as aws:
        store = S3Store(await aws.client("s3"), bucket)
        return {found.key: await store.get(found.key) async for found in store.list("")}


def test_another_process_replaces_the_same_objects_with_the_same_bytes(bucket: str, tmp_path: Path) -> None:
    asyncio.run(create(bucket))
    arguments = ["bulk", *ARGUMENTS, "--data", str(tmp_path / "none")]
    first = CliRunner().invoke(app, arguments)
    assert first.exit_code == 0, first.stderr
    told = json.loads(first.stdout)
    assert told["to"] == f"s3://{bucket}/raw/events/"
    made = asyncio.run(contents(bucket))
    assert len(made) == told["files"] == 5
    assert all(key.startswith("raw/events/year=2026/month=04/day=09/hour=11/minute=5") for key in made)

    again = subprocess.run(
        [str(Path(sys.executable).with_name("headrace")), "job", "simulate", *arguments],
        env={**os.environ, "PYTHONHASHSEED": "5", "TZ": "Asia/Tokyo"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert again.returncode == 0, again.stderr
    assert {**json.loads(again.stdout), "seconds": 0} == {**told, "seconds": 0}
    assert asyncio.run(contents(bucket)) == made


def test_without_a_bucket_it_says_so(bucket: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["bulk", *ARGUMENTS, "--data", str(tmp_path / "none")])
    assert isinstance(result.exception, NotFoundError)
    assert bucket in str(result.exception)
