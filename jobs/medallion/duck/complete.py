"""What SQL made of lines → rows of silver: by column, on distinct values, as the stream's transformer does it."""

from collections.abc import Collection
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from headrace.events.arrow import ARROW_TYPES, EVENT_SCHEMA
from headrace.events.columns import by_distinct
from headrace.events.enrich import Enricher
from headrace.events.lookup import Columns, add_lookups
from headrace.events.privacy import anonymous_user
from headrace.events.schema import Kind
from jobs.medallion.duck.raw import TEXTS
from jobs.medallion.duck.suspicious import no_texts, too_long

_MAP = ARROW_TYPES[Kind.MAP]
_properties = msgspec.json.Decoder(dict[str, str])


class Completed(NamedTuple):
    """The good ones of some rows, and where they and the others are among them."""

    rows: pa.Table
    """`EVENT_SCHEMA`."""
    good: pa.Array
    """Positions of the rows, ascending."""
    doubtful: pa.Array
    """Positions of the others, ascending."""


class Completer:
    """Completes rows. Holds caches, so keep one per run."""

    def __init__(self, enricher: Enricher, *, anonymous_key: bytes) -> None:
        self._enricher = enricher
        self._anonymous_key = anonymous_key

    def __call__(self, batch: pa.RecordBatch, first: int, prefix: str, *, quoted: Collection[str] = ()) -> Completed:
        """`batch` is what `silver_raw.sql` selects; its first row is the file's `first`, from 0.

        An event without an id is named `{prefix}-{row}`. `quoted` columns are known to have been texts.
        """
        columns: Columns = dict(zip(batch.schema.names, batch.columns, strict=True))
        columns["properties"], no_map = _maps(columns["properties"])
        doubtful = pc.or_(columns.pop("doubtful"), no_map)
        odd = pa.concat_arrays([
            *(no_texts(columns[name]) for name in TEXTS if name not in quoted),
            *(too_long(columns[name]) for name in TEXTS),
        ])  # fmt: skip
        if len(odd):
            doubtful = pc.or_(doubtful, pc.is_in(pa.array(range(len(batch)), odd.type), odd))
        positions, good = pc.indices_nonzero(doubtful), pc.indices_nonzero(pc.invert(doubtful))
        if len(positions):
            columns = {name: column.take(good) for name, column in columns.items()}
        self._fill_names(columns, good, first, prefix)
        for name in ("event_time", "ingest_time"):
            columns[name] = columns[name].cast(pa.timestamp("us"))
        add_lookups(columns, self._enricher)
        return Completed(pa.table(columns, schema=EVENT_SCHEMA), good, positions)

    def _fill_names(self, columns: Columns, rows: pa.Array, first: int, prefix: str) -> None:
        """Event ids and visitors, where they are missing. A good row has a session."""
        if columns["event_id"].null_count:
            numbers = pc.add(rows.cast(pa.int64()), first).cast(pa.string())
            columns["event_id"] = pc.coalesce(columns["event_id"], pc.binary_join_element_wise(prefix, numbers, "-"))
        if columns["user_id"].null_count:
            sessions = pc.if_else(columns["user_id"].is_null(), columns["session_id"], None)
            visitors = by_distinct(sessions, lambda session: anonymous_user(self._anonymous_key, session), pa.string())
            columns["user_id"] = pc.coalesce(columns["user_id"], visitors)


def _maps(texts: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Objects of texts as maps, and where there is something else."""
    if texts.null_count == len(texts):
        return pa.nulls(len(texts), _MAP), pa.repeat(pa.scalar(False), len(texts))  # noqa: FBT003 - a value
    coded = texts.dictionary_encode()
    decoded = pa.array([_pairs(text) for text in coded.dictionary.to_pylist()], _MAP)
    maps = decoded.take(coded.indices)
    return maps, pc.and_(maps.is_null(), texts.is_valid())


def _pairs(text: str) -> list[tuple[str, Any]] | None:
    try:
        return list(_properties.decode(text).items())
    except (msgspec.DecodeError, RecursionError):
        return None
