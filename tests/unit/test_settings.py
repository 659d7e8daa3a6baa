"""The environment, as settings or as a list of what is wrong with it."""

import pytest

from headrace.errors import ConfigError
from headrace.settings import Settings, load


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for field in Settings.model_fields.values():
        for name in getattr(field.validation_alias, "choices", ()):
            monkeypatch.delenv(str(name), raising=False)


def test_defaults_are_those_of_the_contract() -> None:
    settings = load()
    assert settings.stream_url == "kinesis://headrace-events"
    assert settings.athena_output_url == "s3://headrace-data/athena_output/"
    assert (settings.database, settings.table, settings.workgroup) == ("headrace", "events", "headrace")
    assert (settings.batch_rows, settings.batch_bytes, settings.batch_partitions) == (100_000, 64 * 1024 * 1024, 100)
    assert (settings.batch_age, settings.poll_interval, settings.max_future, settings.max_age) == (60, 1, 3600, None)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("1.5", 1.5), ("90s", 90), ("10m", 600), ("1h", 3600), ("2 D", 172_800)]
)
def test_durations_may_have_a_unit(monkeypatch: pytest.MonkeyPatch, text: str, seconds: float) -> None:
    monkeypatch.setenv("HEADRACE_BATCH_AGE", text)
    assert load().batch_age == seconds


@pytest.mark.parametrize(("text", "size"), [("100", 100), ("64MiB", 64 << 20), ("1g", 1 << 30), ("2 kb", 2048)])
def test_sizes_may_have_a_unit(monkeypatch: pytest.MonkeyPatch, text: str, size: int) -> None:
    monkeypatch.setenv("HEADRACE_BATCH_BYTES", text)
    assert load().batch_bytes == size


def test_every_problem_is_listed_at_once_by_the_name_of_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "HEADRACE_BATCH_AGE": "soon",
        "HEADRACE_STATS_PORT": "99999",
        "ATHENA_DATABASE": "Drop Table",
        "HEADRACE_STREAM": "rabbitmq://x",
        "HEADRACE_EVENT_TYPES": "some",
    }.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError) as caught:
        load()
    assert [problem.split(":")[0] for problem in caught.value.problems] == [
        "HEADRACE_STREAM", "ATHENA_DATABASE", "HEADRACE_BATCH_AGE", "HEADRACE_EVENT_TYPES", "HEADRACE_STATS_PORT",
    ]  # fmt: skip


def test_a_wrong_value_is_not_repeated_in_the_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_STATS_PORT", "canary-secret")
    monkeypatch.setenv("HEADRACE_API_KEYS", "canary-secret")
    with pytest.raises(ConfigError) as caught:
        load()
    assert "canary" not in str(caught.value)


def test_secrets_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_API_KEYS", "canary-one, canary-two")
    monkeypatch.setenv("HEADRACE_ANONYMOUS_KEY", "canary-three")
    settings = load()
    assert [key.get_secret_value() for key in settings.api_keys] == ["canary-one", "canary-two"]
    assert "canary" not in repr(settings)


def test_a_source_is_an_api_or_files_and_no_file_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_SOURCE_FILES", "a.jsonl,./a.jsonl")
    with pytest.raises(ConfigError, match="twice"):
        load()
    monkeypatch.setenv("API_URL", "http://127.0.0.1/events")
    with pytest.raises(ConfigError, match="exclude each other"):
        load()


def test_an_empty_variable_is_an_unset_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_MAX_AGE", "")
    assert load().max_age is None


@pytest.mark.parametrize("word", ["TRIM_HORIZON", "LATEST"])
def test_a_stream_is_begun_at_a_word_of_kcl(monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    monkeypatch.setenv("HEADRACE_START_POSITION", word)
    assert (load().start_checkpoint, load().start_time) == (word, None)


@pytest.mark.parametrize("text", ["2026-04-09T08:00:00Z", "2026-04-09T10:00:00+02:00", "2026-04-09 08:00:00.000Z"])
def test_a_stream_is_begun_at_a_time(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("HEADRACE_START_POSITION", text)
    assert (load().start_checkpoint, load().start_time) == ("AT_TIMESTAMP", 1_775_721_600.0)


@pytest.mark.parametrize("text", ["AT_TIMESTAMP", "latest", "2026-04-09T08:00:00", "yesterday", "9999-01-01T00:00:00Z"])
def test_a_start_that_is_neither_a_word_nor_a_time_of_the_past_is_refused(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("HEADRACE_START_POSITION", text)
    with pytest.raises(
        ConfigError, match=r"HEADRACE_START_POSITION: must be TRIM_HORIZON, LATEST or a time of the past"
    ):
        load()
