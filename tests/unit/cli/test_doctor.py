from pathlib import Path
from uuid import uuid4

import pytest

from cli.doctor import describe_settings, examine
from deploy.local.resources import ensure_resources
from headrace.aws.session import AwsSession
from headrace.settings import Settings, load


@pytest.fixture
def fresh(aws_environment: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings whose names nobody has used yet."""
    for name in (
        "KINESIS_STREAM_NAME", "S3_BUCKET", "HEADRACE_PARTITION_QUEUE",
        "HEADRACE_CONTROL_TABLE", "HEADRACE_COUNTERS_TABLE", "HEADRACE_STATE_TABLE",
    ):  # fmt: skip
        monkeypatch.setenv(name, f"t-{uuid4().hex[:8]}")
    return load()


def test_settings_tell_where_they_come_from_and_secrets_stay_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    env = {"AWS_DEFAULT_REGION": "eu-west-3", "HEADRACE_API_KEYS": "one,two", "S3_BUCKET": ""}
    for name in ("REGION", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    shown = {row.name: row for row in describe_settings(load(), env)}
    assert (shown["AWS_DEFAULT_REGION"].value, shown["AWS_DEFAULT_REGION"].source) == ("eu-west-3", "env")
    assert (shown["S3_BUCKET"].value, shown["S3_BUCKET"].source) == ("headrace-data", "default")
    assert shown["HEADRACE_API_KEYS"].value == "********, ********"
    assert shown["HEADRACE_ANONYMOUS_KEY"].value == "********"
    assert len(shown) == len(Settings.model_fields)


async def test_what_is_missing_is_found_with_what_to_do_about_it(fresh: Settings, tmp_path: Path) -> None:
    findings = {finding.check: finding for finding in await examine(fresh, tmp_path)}
    assert findings["credentials"].ok
    for check in ("stream", "bucket", "leases", "counters", "state", "queue"):
        assert not findings[check].ok, check
        assert "headrace up" in findings[check].advice


async def test_what_is_there_is_found(fresh: Settings, tmp_path: Path) -> None:
    async with AwsSession(fresh.region) as aws:
        await ensure_resources(aws, fresh)
    findings = {finding.check: finding for finding in await examine(fresh, tmp_path)}
    good = {check for check, finding in findings.items() if finding.ok}
    assert {"credentials", "stream", "bucket", "leases", "counters", "state", "queue"} <= good
    assert findings["stream"].detail == f"kinesis://{fresh.kinesis_stream_name}, 2 shards"


async def test_files_that_cannot_be_used_are_found_even_without_a_cloud(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    broken = tmp_path / "broken.toml"
    broken.write_text("[fields\n")
    settings = load(mapping=str(broken), geoip_db=str(tmp_path / "gone.mmdb"))
    findings = {finding.check: finding for finding in await examine(settings, tmp_path)}
    assert [(check, finding.ok) for check, finding in findings.items()] == [
        ("mapping", False),
        ("geoip", False),
        ("cloud", False),
    ]
    assert "broken.toml" in findings["mapping"].detail
