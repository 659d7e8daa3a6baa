import json
from typing import Any
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.lake.layout import HourPartition
from services.partitioner.notifications import Notice, Result, partitions_of_message
from tests.unit.partitioner.hostile_keys import HOSTILE, HOUR

MIDNIGHT = HourPartition("2026", "04", "09", "00")
KEY = "events/year=2026/month=04/day=09/hour=00/4f1c-shardId-000000000000-0000000001-0.parquet"


def record(key: str, event: str = "ObjectCreated:Put") -> dict[str, Any]:
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "eventName": event,
        "s3": {"bucket": {"name": "headrace-data"}, "object": {"key": quote_plus(key, safe="/"), "size": 1}},
    }


def raw_record(key: str) -> dict[str, Any]:
    return {"eventName": "ObjectCreated:Put", "s3": {"object": {"key": key}}}


def body_of(key: str) -> str:
    return json.dumps({"Records": [raw_record(key)]})


def body(*records: object) -> str:
    return json.dumps({"Records": records})


@pytest.mark.parametrize("event", ["ObjectCreated:Put", "ObjectCreated:CompleteMultipartUpload", "ObjectCreated:Copy"])
def test_a_new_object_of_the_table_names_its_partition(event: str) -> None:
    assert "%3D" in body(record(KEY))
    assert partitions_of_message(body(record(KEY, event))) == Notice(partitions=(MIDNIGHT,))


def test_a_key_with_spaces_and_signs_is_decoded() -> None:
    assert partitions_of_message(body(record(KEY.replace(".parquet", " +é&.parquet")))).partitions == (MIDNIGHT,)


def test_the_test_event_of_s3_is_known() -> None:
    text = json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "headrace-data"})
    assert partitions_of_message(text) == Notice(others={Result.TEST: 1})


def test_an_object_that_went_away_makes_no_partition() -> None:
    assert partitions_of_message(body(record(KEY, "ObjectRemoved:Delete"))) == Notice(others={Result.IGNORED: 1})


@pytest.mark.parametrize("key", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_key_is_invalid_and_names_no_partition(key: str) -> None:
    text = json.dumps({"Records": [raw_record(quote_plus(key, safe="/", errors="surrogatepass"))]})
    notice = partitions_of_message(text)
    assert (notice.partitions, notice.others, notice.problem) == ((), {Result.INVALID: 1}, "")
    assert notice.invalid.startswith("events/")


def test_a_key_that_was_not_encoded_at_all_means_what_it_says() -> None:
    assert partitions_of_message(body_of("events/year=2026/" + HOUR)).partitions == (MIDNIGHT,)
    assert partitions_of_message(body_of("events/year=20%00/" + HOUR)).others == {Result.INVALID: 1}


@pytest.mark.parametrize(
    "key",
    [
        "athena_output/1.csv",
        "_intents/4f1c/shardId-000000000000/0000000001-3.json",
        "Events/year=2026/" + HOUR,
        "/" + KEY,
        "events",
        "events/",
        "",
        "events/year=2026/month=04/",
    ],
)
def test_a_key_that_is_not_the_tables_is_ignored(key: str) -> None:
    assert partitions_of_message(body(record(key))) == Notice(others={Result.IGNORED: 1})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not json",
        "{",
        "null",
        "[]",
        "{}",
        '"s3:TestEvent"',
        '{"Event": "s3:SomethingElse"}',
        '{"Event": 5}',
        '{"Records": 5}',
        '{"Records": {}}',
        '{"Records": [5]}',
        '{"Records": [{}]}',
        '{"Records": [{"eventName": "ObjectCreated:Put", "s3": {"object": {"key": null}}}]}',
        '{"Records": [{"eventName": "ObjectCreated:Put", "s3": {"object": {"key": 7}}}]}',
        '{"Records": [' + "[" * 100_000 + "]" * 100_000 + "]}",
        '{"x": ' + "[" * 100_000,
        '{"Records": [NaN]}',
        "\ufeff{}",
        '{"Records": [{"eventName": "\\ud800", "s3": 1}]}',
        '{"\ud800": 1}',
        "\x00",
        "9" * 5_000,
    ],
    ids=lambda text: ascii(text[:40]),
)
def test_a_message_that_cannot_be_read_is_malformed_and_says_why(text: str) -> None:
    notice = partitions_of_message(text)
    assert (notice.partitions, notice.others) == ((), {Result.MALFORMED: 1})
    assert notice.problem


def test_a_malformed_record_does_not_hide_its_neighbours() -> None:
    notice = partitions_of_message(body({"no": "s3"}, record(KEY), record("other/key"), record(KEY)))
    assert notice.partitions == (MIDNIGHT, MIDNIGHT)
    assert notice.others == {Result.MALFORMED: 1, Result.IGNORED: 1}
    assert "eventName" in notice.problem or "s3" in notice.problem


def test_no_records_are_no_problem() -> None:
    assert partitions_of_message(body()) == Notice()


@given(st.text())
def test_no_text_whatever_raises(text: str) -> None:
    assert partitions_of_message(text).partitions == ()


@given(st.text(max_size=80))
def test_every_object_is_counted_once_whatever_its_key(key: str) -> None:
    notice = partitions_of_message(body(record(key)))
    assert len(notice.partitions) + sum(notice.others.values()) == 1
