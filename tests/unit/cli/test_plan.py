from pathlib import Path
from typing import Any

import pytest

from cli import plan
from cli.program import Stage
from headrace.errors import ConfigError

CHOSEN = {
    "local cloud": 1,
    "athena": 2,
    "simulator": 3,
    "api_consumer": 4,
    "transformer": 5,
    "transformer-2": 6,
    "partitioner": 7,
    "stats_api": 8,
}


def check(**changes: Any) -> plan.Options:
    asked: dict[str, Any] = {
        "data": Path(".headrace"), "source": [], "mapping": None, "until_drained": False, "scale": [],
        "stream": "kinesis", "shards": 2, "rate": 50.0, "seed": 0,
    }  # fmt: skip
    return plan.check_options(**{**asked, **changes})


def problems(**changes: Any) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        check(**changes)
    return caught.value.problems


@pytest.fixture
def day(tmp_path: Path) -> Path:
    path = tmp_path / "day.jsonl.gz"
    path.touch()
    return path


def test_without_a_source_the_simulator_is_polled() -> None:
    options = check(rate=5.0, seed=7)
    simulator = plan.plan_simulator(options, 3, {})
    assert simulator.args == ("api", "--port", "3", "--rate", "5", "--seed", "7")
    [poller, *_] = plan.plan_services(options, CHOSEN, {})
    assert poller.env["API_URL"] == "http://127.0.0.1:3/events"
    assert poller.env["HEADRACE_ALLOW_PRIVATE_UPSTREAM"] == "1"


def test_a_url_is_polled_and_no_simulator_is_planned() -> None:
    options = check(source=["https://shop.example/events"])
    assert "simulator" not in plan.process_names(options)
    [poller, *_] = plan.plan_services(options, CHOSEN, {})
    assert poller.env["API_URL"] == "https://shop.example/events"


def test_a_server_of_ones_own_may_be_polled_unless_that_is_forbidden(day: Path) -> None:
    name = "HEADRACE_ALLOW_PRIVATE_UPSTREAM"
    url = check(source=["http://10.0.0.1/events"])
    assert plan.plan_services(url, CHOSEN, {})[0].env[name] == "1"
    assert plan.plan_services(url, CHOSEN, {name: "0"})[0].env[name] == "0"
    assert name not in plan.plan_services(check(source=[str(day)]), CHOSEN, {})[0].env


def test_files_are_read_to_their_end_with_the_mapping(day: Path) -> None:
    options = check(source=[str(day)], mapping=day, until_drained=True)
    [poller, *others] = plan.plan_services(options, CHOSEN, {})
    assert poller.env["HEADRACE_SOURCE_FILES"] == str(day)
    assert poller.env["HEADRACE_MAPPING"] == str(day)
    assert not any("HEADRACE_MAPPING" in program.env for program in others)


def test_scaled_transformers_share_a_module_and_differ_in_port() -> None:
    programs = plan.plan_services(check(scale=["transformer=2"]), CHOSEN, {})
    transformers = [program for program in programs if program.stage is Stage.TRANSFORM]
    assert [program.module for program in transformers] == ["services.transformer"] * 2
    assert [program.env["HEADRACE_METRICS_PORT"] for program in transformers] == ["5", "6"]


def test_sources_stop_before_what_carries_their_events_on() -> None:
    stages = {program.name: program.stage for program in plan.plan_services(check(), CHOSEN, {})}
    assert stages["api_consumer"] < stages["transformer"] < stages["partitioner"] < Stage.QUERY


def test_all_wrong_options_are_told_at_once(tmp_path: Path) -> None:
    found = problems(
        source=["http://a.example/", "gone.jsonl", str(tmp_path / "notes.txt")],
        mapping=tmp_path / "gone.toml",
        scale=["partitioner=2", "transformer=0", "transformer=many"],
        stream="kafka",
    )
    assert [problem.split(":")[0] for problem in found] == [
        "--source gone.jsonl",
        f"--source {tmp_path}/notes.txt",
        "--stream kafka",
        "--source",
        "--mapping",
        "--scale partitioner=2",
        "--scale transformer=0",
        "--scale transformer=many",
    ]


def test_a_file_given_twice_would_be_read_by_two_pollers(day: Path) -> None:
    assert problems(source=[str(day), str(day)]) == (f"--source {day}: given twice",)


@pytest.mark.parametrize("source", [[], ["http://shop.example/events"]])
def test_an_api_cannot_be_drained(source: list[str]) -> None:
    assert problems(source=source, until_drained=True) == (
        "--until-drained: needs --source with files; an API has no end",
    )


def test_settings_of_the_user_win_except_those_that_up_owns() -> None:
    env = plan.service_environment(
        {"HEADRACE_BATCH_AGE": "1s", "API_URL": "http://elsewhere.example", "HEADRACE_METRICS_PORT": "1"}, "secret"
    )
    assert env["HEADRACE_BATCH_AGE"] == "1s"
    assert env["HEADRACE_SHUTDOWN"] == "10s"
    assert env["HEADRACE_ANONYMOUS_KEY"] == "secret"
    assert not {"API_URL", "HEADRACE_METRICS_PORT"} & env.keys()
