import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from cli.main import main
from headrace.telemetry import log


class Result(NamedTuple):
    status: int
    out: str
    err: str


Headrace = Callable[..., Result]


@pytest.fixture
def headrace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Headrace:
    """The command, as the shell would call it in an empty folder with an empty environment."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "HEADRACE_"))]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(log, "configure", lambda *_args, **_options: None)  # it would keep the captured stderr

    def call(*args: str) -> Result:
        monkeypatch.setattr(sys, "argv", ["headrace", *args])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return Result(int(ended.value.code or 0), out, err)

    return call


@pytest.mark.parametrize(
    "command",
    [
        ["up"],
        ["run"],
        ["query"],
        ["leases"],
        ["doctor"],
        ["cost"],
        ["job"],
        ["job", "simulate"],
        ["job", "partitions"],
        ["job", "reconcile"],
    ],
)
def test_every_command_has_help(headrace: Headrace, command: list[str]) -> None:
    shown = headrace(*command, "--help")
    assert shown.status == 0, shown.err
    assert f"headrace {' '.join(command)} " in shown.out


@pytest.mark.parametrize("command", ["up", "run", "query", "leases", "doctor", "cost"])
def test_the_help_of_a_command_has_an_example(headrace: Headrace, command: str) -> None:
    assert "Example:" in headrace(command, "--help").out


@pytest.mark.parametrize("command", ["list", "release", "reset", "import", "export"])
def test_every_command_on_leases_has_help_with_an_example(headrace: Headrace, command: str) -> None:
    shown = headrace("leases", command, "--help")
    assert shown.status == 0, shown.err
    assert f"Example: headrace leases {command}" in shown.out


def test_options_before_a_command_on_leases_are_not_overlooked(headrace: Headrace) -> None:
    asked = headrace("leases", "--data", "elsewhere", "release", "shardId-000000000000")
    assert (asked.status, "go behind the command" in asked.err) == (2, True)


def test_a_job_that_asks_the_cloud_tells_when_there_is_none(headrace: Headrace) -> None:
    asked = headrace("job", "partitions")
    assert (asked.status, asked.out) == (1, "")
    assert "Run `headrace up` first" in asked.err


def test_help_imports_no_command() -> None:
    code = """
import sys
from cli.main import main

sys.argv = ["headrace", "--help"]
try:
    main()
finally:
    print(*sorted({"aiobotocore", "aiohttp", "pydantic", "cli.up", "cli.query"} & sys.modules.keys()), file=sys.stderr)
"""
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "doctor" in shown.stdout
    assert shown.stderr.strip() == ""


def test_wrong_options_are_listed_without_a_trace_and_exit_with_2(headrace: Headrace, tmp_path: Path) -> None:
    refused = headrace("up", "--source", "gone.csv", "--stream", "kafka")
    assert refused.status == 2
    assert refused.err.splitlines() == [
        "headrace: wrong configuration",
        "  --source gone.csv: there is no such file",
        "  --stream kafka: not there yet; leave it out to use Kinesis",
    ]
    assert not (tmp_path / ".headrace").exists()


def test_wrong_settings_are_listed_and_exit_with_2(headrace: Headrace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLL_INTERVAL", "often")
    monkeypatch.setenv("HEADRACE_STATS_PORT", "99999")
    refused = headrace("up")
    assert refused.status == 2
    assert [line.split(":")[0].strip() for line in refused.err.splitlines()[1:]] == [
        "POLL_INTERVAL",
        "HEADRACE_STATS_PORT",
    ]


def test_a_question_with_nothing_to_ask_fails_with_one_line_that_says_what_to_do(headrace: Headrace) -> None:
    failed = headrace("query", "SELECT 1")
    assert failed.status == 1
    assert len(failed.err.splitlines()) == 1
    assert "Run `headrace up` first" in failed.err
    assert failed.out == ""


def test_an_unknown_command_or_service_exits_with_2(headrace: Headrace) -> None:
    assert headrace("fly").status == 2
    assert headrace("run", "coffee").status == 2


def test_run_is_the_service_itself_with_its_exit_code(headrace: Headrace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_BATCH_AGE", "soon")
    refused = headrace("run", "partitioner")
    assert refused.status == 2
    assert refused.err.startswith("partitioner: wrong configuration\n  HEADRACE_BATCH_AGE: ")


def test_the_version_is_printed(headrace: Headrace) -> None:
    assert headrace("--version").out.count(".") == 2
