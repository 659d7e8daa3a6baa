"""What tells one use of a stream from another."""

from dataclasses import replace

from headrace.lake.layout import HourPartition, event_object, manifest_prefix
from headrace.leases.model import lease_key, lineage
from headrace.stream.ports import ShardId, StreamInfo

STREAM = StreamInfo(name="events", account="000000000000", created=1_775_692_800)
SHARD = ShardId("shardId-000000000000")


def places(application: str, stream: StreamInfo) -> set[str]:
    """Where a shard's row, manifests, objects and counts are."""
    origin = lineage(application, stream)
    partition = HourPartition("2026", "04", "09", "00")
    return {
        lease_key(stream, SHARD),
        manifest_prefix(origin, SHARD),
        event_object(partition, origin, SHARD, batch_no=0, n=0),
        f"{origin}-{SHARD}",
    }


def test_a_stream_made_anew_under_its_name_never_meets_the_state_of_the_first_one() -> None:
    again = replace(STREAM, created=STREAM.created + 1)
    assert places("headrace", STREAM).isdisjoint(places("headrace", again))


def test_a_second_application_on_the_same_stream_has_objects_and_counts_of_its_own() -> None:
    shared = places("headrace", STREAM) & places("other", STREAM)
    assert shared == {lease_key(STREAM, SHARD)}  # each has a control table of its own


def test_the_same_application_on_the_same_stream_goes_on_where_it_was() -> None:
    assert places("headrace", STREAM) == places("headrace", replace(STREAM))
