"""When a shard has lost records to the stream's retention, and when it only seems so."""

import pytest

from headrace.clock import ManualClock
from headrace.delivery.gap import Gap, data_gap, tell_gap
from headrace.leases.model import AT_TIMESTAMP, LATEST, SHARD_END, TRIM_HORIZON, Lease, lease_key
from headrace.stream.ports import ShardId, StreamInfo
from headrace.telemetry.metrics import Metrics

DAY = 86_400.0
NOW = 1_775_721_600.0
STREAM = StreamInfo(name="clicks", account="000000000000", created=1_775_000_000, retention_seconds=DAY)
SHARD = ShardId("shardId-000000000000")


def lease(checkpoint: str = "4" * 56, *, complete: float = 0.0, caught_up: float | None = None) -> Lease:
    """A row; the times are seconds before now, 0 and None where it says none."""
    return Lease(
        key=lease_key(STREAM, SHARD),
        checkpoint=checkpoint,
        complete_through=NOW - complete if complete else 0.0,
        caught_up_at=None if caught_up is None else NOW - caught_up,
    )


def test_what_arrived_after_the_checkpoint_and_before_the_retention_is_a_gap() -> None:
    assert data_gap(lease(complete=3 * DAY), DAY, NOW) == Gap(since=NOW - 3 * DAY, until=NOW - DAY)


@pytest.mark.parametrize("age", [1.0, DAY - 1, DAY])
def test_a_checkpoint_within_the_retention_has_none(age: float) -> None:
    assert data_gap(lease(complete=age), DAY, NOW) is None


def test_an_idle_shard_that_was_read_to_its_end_has_none_though_its_checkpoint_is_trimmed() -> None:
    assert data_gap(lease(complete=30 * DAY, caught_up=60.0), DAY, NOW) is None


def test_a_shard_that_nobody_looked_at_for_longer_than_the_retention_has_one_since_the_last_look() -> None:
    assert data_gap(lease(complete=30 * DAY, caught_up=2 * DAY), DAY, NOW) == Gap(since=NOW - 2 * DAY, until=NOW - DAY)


def test_a_commit_after_the_last_look_counts() -> None:
    assert data_gap(lease(complete=60.0, caught_up=2 * DAY), DAY, NOW) is None


def test_a_longer_retention_closes_the_gap() -> None:
    assert data_gap(lease(complete=3 * DAY), 7 * DAY, NOW) is None


@pytest.mark.parametrize("checkpoint", [TRIM_HORIZON, LATEST, AT_TIMESTAMP, SHARD_END])
def test_a_checkpoint_that_is_no_place_has_none(checkpoint: str) -> None:
    assert data_gap(lease(checkpoint, complete=30 * DAY), DAY, NOW) is None


def test_a_row_that_says_nothing_of_time_has_none() -> None:
    assert data_gap(lease(), DAY, NOW) is None


@pytest.mark.parametrize("checkpoint", ["4" * 56, TRIM_HORIZON, AT_TIMESTAMP])
def test_a_shard_that_is_gone_before_anybody_read_it_is_a_gap_as_a_whole(checkpoint: str) -> None:
    assert data_gap(lease(checkpoint), DAY, NOW, gone=True) == Gap(since=0.0, until=NOW - DAY)


def test_of_a_shard_that_was_to_be_read_from_its_tip_nothing_is_missed_before_the_first_look() -> None:
    assert data_gap(lease(LATEST), DAY, NOW, gone=True) is None
    assert data_gap(lease(LATEST, caught_up=2 * DAY), DAY, NOW, gone=True) == Gap(since=NOW - 2 * DAY, until=NOW - DAY)


@pytest.mark.parametrize("checkpoint", ["4" * 56, TRIM_HORIZON, LATEST, SHARD_END])
def test_a_shard_that_is_gone_after_it_was_read_to_its_end_has_none(checkpoint: str) -> None:
    assert data_gap(lease(checkpoint, caught_up=DAY), DAY, NOW, gone=True) is None


def test_a_gap_is_counted_by_shard_and_only_a_gap_is() -> None:
    metrics = Metrics()
    clock = ManualClock(NOW)
    assert tell_gap(lease(complete=60.0), STREAM, clock=clock, metrics=metrics) is None
    assert metrics.registry.get_sample_value("headrace_data_gaps_total", {"shard": SHARD}) is None
    assert tell_gap(lease(complete=2 * DAY), STREAM, clock=clock, metrics=metrics) is not None
    assert metrics.registry.get_sample_value("headrace_data_gaps_total", {"shard": SHARD}) == 1
