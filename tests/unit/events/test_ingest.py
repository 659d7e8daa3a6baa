"""What the first hand adds to an event."""

import msgspec

from headrace.events.ingest import id_prefix, to_entries
from headrace.events.parse import EventParser, Policy


def entries_of(*payloads: bytes) -> list[dict[str, object]]:
    parsed = EventParser(Policy()).parse(payloads, now=2e9)
    entries = to_entries(
        parsed.events, parsed.indexes, source="shop", prefix="p", now=1_775_721_600.5, anonymous_key=b"k"
    )
    return [{**msgspec.json.decode(entry.data), "partition_key": entry.partition_key} for entry in entries]


def test_what_is_missing_is_added_and_what_is_given_stays() -> None:
    first, second = entries_of(
        b'{"session_id":"s","event_type":"click","timestamp":1,"ip":"203.0.113.9","price":2.50}',
        b'{"event_id":"e","session_id":"s","user_id":"u","event_type":"click","timestamp":1,"source":"app"}',
    )
    assert first["event_id"] == "p-0"
    assert str(first["user_id"]).startswith("anon-")
    assert first["ip"] == "203.0.113.0"
    assert (first["source"], first["ingest_time"], first["schema_version"]) == ("shop", 1775721600500, 1)
    assert first["price"] == 2.5
    assert (second["event_id"], second["user_id"], second["source"]) == ("e", "u", "app")
    assert first["partition_key"] == second["partition_key"] == "s"


def test_event_ids_follow_the_place_of_the_payload_not_of_the_event() -> None:
    [entry] = entries_of(b"broken", b'{"session_id":"s","event_type":"click","timestamp":1}')
    assert entry["event_id"] == "p-1"


def test_prefixes_tell_sources_and_places_apart() -> None:
    assert len({id_prefix("a", "1"), id_prefix("a", "2"), id_prefix("b", "1"), id_prefix("a1", "")}) == 4
    assert id_prefix("a", "1") == id_prefix("a", "1")
