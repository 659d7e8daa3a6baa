import os
from pathlib import Path

import pytest

from cli.cloud import cloud_for, environment, find_running, local_environment
from cli.folder import Cloud, DataFolder
from headrace.errors import NotFoundError
from tests.conftest import free_port


def cloud(aws: str) -> Cloud:
    return Cloud(pid=os.getpid(), aws=aws, athena="http://127.0.0.1:2", region="eu-west-3")


@pytest.fixture
def no_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)


async def test_a_cloud_that_runs_on_the_folder_comes_before_what_the_environment_names(
    aws_environment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    DataFolder(tmp_path).announce(cloud(aws_environment))
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://elsewhere.example")
    async with cloud_for(tmp_path):
        assert os.environ["AWS_ENDPOINT_URL"] == aws_environment
        assert os.environ["AWS_ENDPOINT_URL_ATHENA"] == "http://127.0.0.1:2"
        assert os.environ["AWS_REGION"] == "eu-west-3"
        assert os.environ["HEADRACE_ANONYMOUS_KEY"] == DataFolder(tmp_path).anonymous_key()
    assert os.environ["AWS_ENDPOINT_URL"] == "https://elsewhere.example"
    assert "AWS_ENDPOINT_URL_ATHENA" not in os.environ


async def test_an_announced_cloud_that_does_not_answer_is_ignored(tmp_path: Path) -> None:
    DataFolder(tmp_path).announce(cloud(f"http://127.0.0.1:{free_port()}"))
    assert await find_running(DataFolder(tmp_path)) is None


async def test_an_empty_folder_leaves_the_aws_of_the_environment_alone(
    no_aws: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "production")
    before = dict(os.environ)
    async with cloud_for(tmp_path / "nothing"):
        assert dict(os.environ) == before
    assert not (tmp_path / "nothing").exists()


async def test_with_neither_the_user_is_told_to_start_one(no_aws: None, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="Run `headrace up` first"):
        async with cloud_for(tmp_path):
            raise AssertionError("there is no cloud")


def test_nothing_of_a_real_account_is_left_in_the_local_environment() -> None:
    env = local_environment(
        {
            "PATH": "/bin",
            "AWS_PROFILE": "production",
            "AWS_SESSION_TOKEN": "x",
            "AWS_ENDPOINT_URL_S3": "https://s3.example",
        },
        cloud("http://127.0.0.1:1"),
    )
    assert env["PATH"] == "/bin"
    assert env["AWS_ACCESS_KEY_ID"] == "local"
    assert not {"AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3"} & env.keys()


def test_the_environment_is_put_back_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S3_BUCKET", "mine")
    seen = {}

    def fail_inside() -> None:
        with environment({"S3_BUCKET": "other"}):
            seen.update(os.environ)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_inside()
    assert seen == {"S3_BUCKET": "other"}
    assert os.environ["S3_BUCKET"] == "mine"
