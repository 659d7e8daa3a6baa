import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from jobs.simulate.cli import app


def test_a_file_is_the_same_for_the_same_seed_and_start(tmp_path: Path) -> None:
    outs = [tmp_path / "one.jsonl", tmp_path / "two.jsonl"]
    for out in outs:
        result = CliRunner().invoke(
            app, ["file", "--events", "1200", "--out", str(out), "--start", "2026-04-09", "--faults", "some"]
        )
        assert result.exit_code == 0
        assert json.loads(result.stdout) == {"file": str(out), "events": 1200, "bytes": out.stat().st_size}
    assert outs[0].read_bytes() == outs[1].read_bytes()
    assert len(outs[0].read_bytes().splitlines()) == 1200


def test_a_file_that_cannot_be_written_is_exit_code_1(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["file", "--out", str(tmp_path / "nowhere" / "x.jsonl")])
    assert result.exit_code == 1
    assert "No such file" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["api", "--rate", "0"],
        ["api", "--faults", "gremlins=1"],
        ["stream", "--max-speed"],
        ["file", "--out", "x.jsonl", "--start", "soon"],
    ],
)
def test_wrong_usage_is_exit_code_2(arguments: list[str]) -> None:
    assert CliRunner().invoke(app, arguments).exit_code == 2


@pytest.mark.parametrize("command", ["api", "stream", "file"])
def test_every_command_shows_an_example(command: str) -> None:
    result = CliRunner().invoke(app, [command, "--help"])
    assert result.exit_code == 0
    assert f"headrace job simulate {command}" in " ".join(result.stdout.split())
