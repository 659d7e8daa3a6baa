"""Keys, there and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.lake.layout import (
    EventObject,
    HourPartition,
    Quarantine,
    event_object,
    from_notification,
    named_by,
    partition_of,
    quarantine_object,
)

LAST_HOUR = 70_389_527  # 9999-12-31 23:00


@given(st.integers(0, LAST_HOUR))
def test_a_key_tells_its_partition(hour: int) -> None:
    partition = HourPartition.of_hour(hour)
    assert partition_of(event_object(partition, "4f1c", "shardId-000000000000", 7, 0)) == partition


@given(
    st.integers(0, LAST_HOUR), st.sampled_from(["shardId-000000000000", "s", "a-0-1"]), st.integers(0), st.integers(0)
)
def test_a_key_tells_what_it_was_made_of(hour: int, shard: str, batch_no: int, n: int) -> None:
    key = event_object(HourPartition.of_hour(hour), "4f1c", shard, batch_no, n)
    assert named_by(key) == EventObject("4f1c", shard, batch_no, n)


@pytest.mark.parametrize(
    "name", ["a.parquet", "l-s-7-0.parquet", "l-s-0000000007-0.parquet.tmp", "l-0000000007-0.parquet"]
)
def test_another_name_tells_nothing(name: str) -> None:
    assert named_by(f"events/year=2026/month=04/day=09/hour=00/{name}") is None
    assert named_by("silver/year=2026/month=04/day=09/hour=00/l-s-0000000007-0.parquet") is None


@pytest.mark.parametrize(
    "key",
    [
        "events/year=2026/month=02/day=31/hour=00/a.parquet",
        "events/year=٢٠٢٦/month=04/day=09/hour=00/a.parquet",
        "events/year=2026/month=4/day=09/hour=00/a.parquet",
        "events/year=2026/month=04/day=09/hour=24/a.parquet",
        "events/year=2026/month=04/day=09/hour=00/",
        "events/year=2026/month=04/day=09/hour=00/../a.parquet",
        "events/year=2026/month=04/day=09/a.parquet",
        "events/year=2026/month=04/day=09%2Fhour=00/hour=00/a.parquet",
        "silver/events/year=2026/month=04/day=09/hour=00/a.parquet",
        "",
    ],
)
def test_what_we_would_not_write_has_no_partition(key: str) -> None:
    assert partition_of(key) is None


def test_hours_outside_the_calendar_are_refused() -> None:
    with pytest.raises(ValueError, match="calendar"):
        HourPartition.of_hour(10**12)


def test_a_name_cannot_leave_its_folder() -> None:
    key = quarantine_object(Quarantine.FAILED, 1_775_721_600.0, "../../x y/é")
    assert key == "failed_records/year=2026/month=04/day=09/..%2F..%2Fx%20y%2F%C3%A9.jsonl.gz"


def test_keys_in_notifications_are_form_encoded() -> None:
    assert from_notification("a+b%3D1/%C3%A9") == "a b=1/é"
