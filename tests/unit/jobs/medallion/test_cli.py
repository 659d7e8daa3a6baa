"""`headrace job medallion`: what is asked for, and what is told."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from headrace.catalog.results import ResultColumn, Row
from headrace.errors import ConfigError
from headrace.settings import Settings
from jobs.medallion import cli
from jobs.medallion.app import EngineName, engine_of
from jobs.medallion.listing import Scope
from jobs.medallion.lock import LockedError
from jobs.medallion.model import Source
from jobs.medallion.plan import Request
from jobs.medallion.run import Outcome
from jobs.medallion.steps import STEPS, Step
from tests.unit.jobs.medallion.test_crash_enumeration import two_runs


class Command:
    """The command with everything outside replaced."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[tuple[Request, tuple[Step, ...], dict[str, Any]]] = []
        self.written: list[tuple[Sequence[ResultColumn], Sequence[Row], str]] = []
        self.outcome: Outcome | Exception = Outcome(idle=True, seconds={Step.PLAN: 0.1})
        monkeypatch.setattr(cli, "run", self._run)

    def __call__(self, *args: str) -> Result:
        app = cli.build(self._cloud, lambda columns, rows, style: self.written.append((columns, rows, style)))
        return CliRunner().invoke(app, list(args))

    async def _run(self, _settings: Settings, request: Request, steps: tuple[Step, ...], **more: Any) -> Outcome:
        self.asked.append((request, steps, more))
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome

    @asynccontextmanager
    async def _cloud(self, _data: Path) -> AsyncIterator[None]:
        yield


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Command:
    return Command(monkeypatch)


def test_without_options_it_takes_all_steps_on_the_sources_of_before(command: Command) -> None:
    assert command().exit_code == 0
    [(request, steps, more)] = command.asked
    assert (request, steps) == (Request(sources=()), tuple(Step))
    assert (more["engine"], more["wait"]) == (EngineName.DUCKDB, False)


def test_options_say_what_is_loaded_and_how(command: Command) -> None:
    options = "silver --source raw --engine spark --from 2026-04-09 --to 2026-04-10 --full --forget-vanished --wait"
    assert command(*options.split()).exit_code == 0
    [(request, steps, more)] = command.asked
    scope = Scope(first=date(2026, 4, 9), last=date(2026, 4, 10))
    assert request == Request(sources=(Source.RAW,), scope=scope, full=True, forget_vanished=True)
    assert steps == (Step.SILVER,)
    assert (more["engine"], more["wait"]) == (EngineName.SPARK, True)


@pytest.mark.parametrize("options", ["bronze", "--source s3", "--engine pandas", "--from 9.4.", "--format xml"])
def test_what_makes_no_sense_is_bad_usage(command: Command, options: str) -> None:
    assert command(*options.split()).exit_code == 2
    assert not command.asked


def test_help_tells_the_steps_in_order_and_has_examples(command: Command) -> None:
    told = command("--help").output
    assert [told.index(f"{each.step}: {each.about[:20]}") for each in STEPS] == sorted(
        told.index(f"{each.step}: {each.about[:20]}") for each in STEPS
    )
    assert "headrace job medallion --source raw" in told


def test_tables_are_printed_once_they_are_decided_and_the_rest_is_told_on_stderr(command: Command) -> None:
    async def three_runs() -> Outcome:
        return await (await two_runs()).run()

    command.outcome = asyncio.run(three_runs())
    result = command("--format", "json")
    assert result.exit_code == 0
    [(columns, rows, style)] = command.written
    assert [column.name for column in columns] == ["table", "rows", "run", "bytes"]
    assert rows[0][:3] == ("silver_events", 6, 3)
    assert style == "json"
    assert "run 3 published" in result.stderr
    assert "1 file read" in result.stderr


def test_after_a_step_that_only_leads_there_no_table_is_shown(command: Command) -> None:
    command.outcome = Outcome(seconds={Step.GOLD: 0.1})
    command("gold")
    assert command.written == [((), (), "table")]


def test_metrics_of_the_run_are_written_into_a_file_also_when_it_failed(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "medallion.prom"
    assert command("--metrics-file", str(path)).exit_code == 0
    assert 'headrace_job_runs_total{job="medallion",result="succeeded"} 1.0' in path.read_text()
    command.outcome = LockedError("another one")
    failed = command("--metrics-file", str(path))
    assert isinstance(failed.exception, LockedError)
    written = path.read_text()
    assert 'headrace_job_runs_total{job="medallion",result="failed"} 1.0' in written
    assert 'headrace_job_seconds{job="medallion"}' in written


def test_a_run_tells_cloudwatch_how_it_ended(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_CLOUDWATCH_NAMESPACE", "shop")
    command.outcome = LockedError("another one")
    [published] = [json.loads(line) for line in command().stderr.splitlines() if '"_aws"' in line]
    assert (published["service"], published["headrace_job_failures_total"]) == ("medallion", 1)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_told_to_stop_ends_by_itself_and_says_what_stands(
    command: Command, monkeypatch: pytest.MonkeyPatch, how: signal.Signals
) -> None:
    ended: list[bool] = []

    async def endless(*_args: Any, **_more: Any) -> Outcome:
        try:
            signal.raise_signal(how)
            await asyncio.Event().wait()
        finally:
            ended.append(True)
        raise AssertionError

    monkeypatch.setattr(cli, "run", endless)
    result = command()
    assert result.exit_code == cli.STOPPED
    assert ended
    assert "stopped: what was decided, the next run finishes" in result.stderr


def test_the_engine_is_made_once_and_its_scratch_folder_goes_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with engine_of(Settings(medallion_scratch=str(tmp_path)), EngineName.DUCKDB) as make:
        assert not list(tmp_path.iterdir())
        assert make() is make()
        assert len(list(tmp_path.iterdir())) == 1
    assert not list(tmp_path.iterdir())


def test_scratch_folders_of_processes_that_were_killed_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    ours, notes = f"headrace-medallion-{os.getpid()}-x", "headrace-medallion-notes-x"
    for name in (f"headrace-medallion-{dead.pid}-x", ours, notes):
        (tmp_path / name / "objects").mkdir(parents=True)
    with engine_of(Settings(medallion_scratch=str(tmp_path)), EngineName.DUCKDB) as make:
        make()
    assert {folder.name for folder in tmp_path.iterdir()} == {ours, notes}


def test_an_engine_that_is_not_installed_is_a_matter_of_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyspark", None)
    with (
        engine_of(Settings(medallion_scratch=str(tmp_path)), EngineName.SPARK) as make,
        pytest.raises(ConfigError, match="--engine spark needs pyspark"),
    ):
        make()
