"""Which entries travel together. Pure: entries in, batches out, each within what one PutRecords call may carry."""

from collections.abc import Iterable, Sequence

from headrace.errors import RequestError
from headrace.stream.ports import MAX_RECORD_BYTES, Entry

MAX_BATCH_RECORDS = 500
MAX_BATCH_BYTES = 5 << 20
"""Payloads and partition keys together, before base64."""
MAX_KEY_CHARACTERS = 256


def entry_bytes(entry: Entry) -> int:
    """What an entry counts against the limits, in bytes. Raises `RequestError` when no stream would take it."""
    key = entry.partition_key
    if not 0 < len(key) <= MAX_KEY_CHARACTERS:
        raise RequestError(f"a partition key has 1 to {MAX_KEY_CHARACTERS} characters, not {len(key)}")
    try:
        size = len(entry.data) + (len(key) if key.isascii() else len(key.encode()))
    except UnicodeEncodeError as error:
        raise RequestError(f"the partition key {key!r} is no Unicode text") from error
    if size > MAX_RECORD_BYTES:
        raise RequestError(f"a record of {size} bytes is over the limit of {MAX_RECORD_BYTES}")
    return size


def cut(
    entries: Iterable[Entry], *, max_records: int = MAX_BATCH_RECORDS, max_bytes: int = MAX_BATCH_BYTES
) -> list[Sequence[Entry]]:
    """Entries → batches in the same order, none empty.

    All entries are checked before the first batch is handed out. Raises `RequestError` for one that is too large.
    """
    batches: list[Sequence[Entry]] = []
    batch: list[Entry] = []
    room = max_bytes
    for entry in entries:
        size = entry_bytes(entry)
        if batch and (size > room or len(batch) == max_records):
            batches.append(batch)
            batch, room = [], max_bytes
        batch.append(entry)
        room -= size
    return [*batches, batch] if batch else batches
