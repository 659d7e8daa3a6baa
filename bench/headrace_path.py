"""Headrace's own path, called as the services call it."""

from collections.abc import Sequence

import msgspec

from headrace.events.enrich import Enricher
from headrace.events.ingest import id_prefix, to_entries
from headrace.events.parse import EventParser, Policy
from headrace.events.transform import Origin, Transformer
from headrace.lake import parquet
from headrace.stream.kinesis.wire import encode_put_records

NOW = 1_775_800_000.0


class _Page(msgspec.Struct):
    events: list[msgspec.Raw]


_transformer = Transformer(Policy(), Enricher(), anonymous_key=b"bench")
_parser = EventParser(Policy())
_page = msgspec.json.Decoder(_Page)
_origin = Origin(arrived=lambda _at: NOW, default_id=str)


def land(payloads: Sequence[bytes]) -> list[bytes]:
    """Payloads → validated rows → one Parquet file per hour."""
    result = _transformer(payloads, _origin)
    assert result.rows.num_rows == len(payloads)
    return [parquet.encode(rows) for _, rows in result.partitions]


def page_to_body(page: bytes) -> bytes:
    """A page of the web traffic API → the body of PutRecords."""
    parsed = _parser.parse(_page.decode(page).events, now=NOW)
    prefix = id_prefix("bench", "cursor")
    entries = to_entries(parsed.events, parsed.indexes, source="bench", prefix=prefix, now=NOW, anonymous_key=b"bench")
    return encode_put_records("bench", entries)
