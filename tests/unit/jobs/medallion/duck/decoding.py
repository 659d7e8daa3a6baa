"""Files of bronze for the decoder, and what the stream's own transformer makes of their lines."""

import gzip
import json
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from headrace.events.arrow import EVENT_SCHEMA
from headrace.events.ingest import id_prefix
from headrace.events.transform import Origin, Transformer
from headrace.quarantine import Envelope
from headrace.settings import Settings
from jobs.medallion.duck.decode import Decoder
from jobs.medallion.duck.doubtful import flattened
from jobs.medallion.duck.portion import Portion
from jobs.medallion.model import Source, SourceFile

ARRIVED = 1775736000.0
"""2026-04-09 12:00 UTC."""
KEY = "raw/events/year=2026/month=04/day=09/hour=12/minute=00/a.jsonl.gz"
SEEN = 1775739600.0
SETTINGS = Settings()


def event(**fields: Any) -> dict[str, Any]:
    """A good one."""
    return {"event_id": "e", "session_id": "s", "user_id": "u", "event_type": "click", "timestamp": 1775721600} | fields


def line(**fields: Any) -> bytes:
    """A good event as a line, without the newline."""
    return json.dumps(event(**fields), ensure_ascii=False).encode()


def zipped(path: Path, lines: Iterable[bytes]) -> Path:
    """The lines as a gzipped file."""
    path.write_bytes(gzip.compress(b"".join(each + b"\n" for each in lines), compresslevel=1))
    return path


def source_file(key: str = KEY, source: Source = Source.RAW) -> SourceFile:
    """Its name in the bucket."""
    return SourceFile(source=source, key=key, etag="1", size=1)


@cache
def decoder(event_types: str, max_age: float | None, max_future: float) -> Decoder:
    """One for all tests with these settings, as a run has one for all its files."""
    settings = Settings(event_types=event_types, max_age=max_age, max_future=max_future)
    return Decoder(duckdb.connect(config={"threads": 1}), settings, seen_at=SEEN, lines_up_to=0)


def portions(
    path: Path, *, key: str = KEY, source: Source = Source.RAW, settings: Settings = SETTINGS
) -> list[Portion]:
    """What the decoder makes of a file."""
    decode = decoder(settings.event_types, settings.max_age, settings.max_future)
    return list(decode(source_file(key, source), path))


def rows_of(found: Sequence[Portion]) -> pa.Table:
    """All rows."""
    return pa.concat_tables([EVENT_SCHEMA.empty_table(), *(portion.rows for portion in found)])


def rejected_of(found: Sequence[Portion]) -> list[Envelope]:
    """All dead letters."""
    return [letter for portion in found for letter in portion.rejected]


def as_streamed(lines: Sequence[bytes], settings: Settings = SETTINGS) -> tuple[pa.Table, dict[int, str]]:
    """Rows that the stream's transformer makes of the same lines, and by line the reason against it."""
    prefix = id_prefix(Source.RAW, KEY)
    flat = [flattened(each) for each in lines]
    origin = Origin(arrived=lambda _: ARRIVED, default_id=lambda at: f"{prefix}-{at}")
    made = Transformer.of(settings)([each if isinstance(each, bytes) else b"null" for each in flat], origin)
    return made.rows, {rejection.index: rejection.reason for rejection in made.rejected}
