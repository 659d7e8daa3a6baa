import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.simulate import app


def command(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["bulk", *arguments])


def test_the_command_says_what_it_did_and_does_the_same_again(tmp_path: Path) -> None:
    arguments = ["--events", "900", "--minutes", "3", "--end", "2026-04-09T12:00", "--to", str(tmp_path)]
    first = command(*arguments)
    assert first.exit_code == 0, first.stderr
    told = json.loads(first.stdout)
    assert told["to"] == f"{tmp_path}/raw/events/"
    assert (told["from"], told["until"]) == ("2026-04-09T11:57:00+00:00", "2026-04-09T12:00:00+00:00")
    assert (told["events"], told["lines"], told["files"]) == (900, 900, 3)
    bodies = {path: path.read_bytes() for path in tmp_path.rglob("*.jsonl.gz")}
    assert command(*arguments).exit_code == 0
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == bodies


def test_without_an_end_it_ends_with_the_last_whole_minute(tmp_path: Path) -> None:
    began = datetime.now(UTC)
    told = json.loads(command("--events", "10", "--to", str(tmp_path)).stdout)
    until = datetime.fromisoformat(told["until"])
    assert began.replace(second=0, microsecond=0) <= until <= datetime.now(UTC)
    assert (until - datetime.fromisoformat(told["from"])).total_seconds() == 300


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--events", "0"], "--events"),
        (["--minutes", "0"], "--minutes"),
        (["--bad-lines", "1.5"], "--bad-lines"),
        (["--late", "-1"], "--late"),
        (["--end", "noon"], "--end"),
        (["--end", "1970-01-02"], "before 1970"),
        (["--events", "30000001"], "take more --minutes"),
        (["--files-per-minute", "61"], "--files-per-minute"),
        (["--events", "750000", "--minutes", "1", "--files-per-minute", "1"], "take 8 --files-per-minute"),
    ],
)
def test_wrong_usage_is_exit_code_2_and_says_what(arguments: list[str], told: str, tmp_path: Path) -> None:
    result = command(*arguments, "--to", str(tmp_path))
    assert result.exit_code == 2
    assert told in " ".join(result.stderr.replace("│", "").split())


def test_a_folder_that_cannot_be_written_is_exit_code_1(tmp_path: Path) -> None:
    (tmp_path / "raw").write_bytes(b"a file in the way")
    result = command("--events", "10", "--to", str(tmp_path))
    assert result.exit_code == 1
    assert "raw" in result.stderr


def test_the_command_shows_an_example() -> None:
    assert "headrace job simulate bulk --events" in " ".join(command("--help").stdout.split())
