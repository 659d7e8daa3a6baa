"""Keys, there and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.lake.layout import (
    HourPartition,
    Quarantine,
    event_object,
    from_notification,
    partition_of,
    quarantine_object,
)

LAST_HOUR = 70_389_527  # 9999-12-31 23:00


@given(st.integers(0, LAST_HOUR))
def test_a_key_tells_its_partition(hour: int) -> None:
    partition = HourPartition.of_hour(hour)
    assert partition_of(event_object(partition, "4f1c", "shardId-000000000000", 7, 0)) == partition


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
