"""Lines as SQL has typed them, and what was landed → rows of silver and dead letters."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from pyspark import Broadcast

from headrace.events.arrow import EVENT_SCHEMA
from headrace.events.enrich import Enricher
from headrace.quarantine import Envelope
from headrace.settings import Settings
from jobs.medallion.duck.complete import Completer
from jobs.medallion.duck.doubtful import LineDecoder
from jobs.medallion.duck.landed import landed_portions
from jobs.medallion.duck.lines import Line
from jobs.medallion.duck.portion import UnreadableFileError
from jobs.medallion.on_spark.place import Place
from jobs.medallion.on_spark.reading import CARRIED, fetched, origin_of

PORTION_ROWS = 50_000

READ = pa.schema([
    ("file", pa.int32()), ("event_date", pa.date32()), *EVENT_SCHEMA, ("letter", pa.string()), ("error", pa.string()),
])  # fmt: skip
"""Rows of silver, dead letters (an envelope as JSON), and files that cannot be read: each row is one of the three."""

_envelopes = msgspec.json.Encoder()


def decode_lines(
    keys: Broadcast[Sequence[str]], settings: Settings, seen_at: float, batches: Iterable[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """Batches of what `silver_raw.sql` selects, with `CARRIED` → batches of `READ`. `keys` are those of all files."""
    enricher = Enricher(settings.geoip_db)
    complete = Completer(enricher, anonymous_key=settings.anonymous_key.get_secret_value().encode())
    decode = LineDecoder(settings, enricher, seen_at=seen_at)
    for batch in batches:
        for file, rows in _by_file(batch):
            for error in rows["error"].drop_null().to_pylist():
                yield _failure(file, error)
            lines = rows.filter(rows["error"].is_null())
            if lines.num_rows:
                origin = origin_of(keys.value[file])
                completed = complete(lines.drop_columns(list(CARRIED)), lines["row"][0].as_py(), origin.prefix)
                decoded = decode(_lines(lines.take(completed.doubtful)), origin)
                yield from _rows(file, completed.rows)
                yield from _rows(file, decoded.rows)
                yield from _letters(file, decoded.rejected)


def read_landed(place: Place, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Batches of `FILES` that are Parquet → batches of `READ`."""
    for file, _, path in fetched(place, batches):
        try:
            for portion in landed_portions(path, PORTION_ROWS):
                yield from _rows(file, portion.rows)
        except UnreadableFileError as error:
            yield _failure(file, str(error))


def _by_file(rows: pa.RecordBatch) -> Iterator[tuple[int, pa.RecordBatch]]:
    runs = pc.run_end_encode(rows["file"])
    start = 0
    for file, end in zip(runs.values.to_pylist(), runs.run_ends.to_pylist(), strict=True):
        yield file, rows.slice(start, end - start)
        start = end


def _lines(rows: pa.RecordBatch) -> list[Line]:
    return [Line(row["number"], row["row"], row["payload"]) for row in rows.select(list(CARRIED)).to_pylist()]


def _rows(file: int, rows: pa.Table) -> Iterator[pa.RecordBatch]:
    for batch in rows.to_batches():
        columns = dict(zip(EVENT_SCHEMA.names, batch.columns, strict=True))
        yield _batch(file, len(batch), event_date=columns["event_time"].cast(pa.date32()), **columns)


def _letters(file: int, letters: Sequence[Envelope]) -> Iterator[pa.RecordBatch]:
    if letters:
        texts = [_envelopes.encode(letter).decode() for letter in letters]
        yield _batch(file, len(letters), letter=pa.array(texts, pa.string()))


def _failure(file: int, error: str) -> pa.RecordBatch:
    return _batch(file, 1, error=pa.array([error], pa.string()))


def _batch(file: int, count: int, **columns: Any) -> pa.RecordBatch:
    columns["file"] = pa.repeat(pa.scalar(file, pa.int32()), count)
    arrays = [columns[field.name] if field.name in columns else pa.nulls(count, field.type) for field in READ]
    return pa.RecordBatch.from_arrays(arrays, schema=READ)
