"""Record batches → lines of text and JSON files, as `text_rows` reads them back. Pure."""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa

from deploy.local.athena.cells import HIVE_SEPARATORS, json_text
from deploy.local.athena.errors import QueryFailedError
from deploy.local.athena.results import text_of
from deploy.local.athena.storage import Format, Storage
from deploy.local.athena.text_rows import inner_separators


def lines(batch: pa.RecordBatch, storage: Storage) -> bytes:
    """The rows, each with its line end. Raises `QueryFailedError` for a SerDe that Athena does not write with."""
    rows = batch.to_pylist(maps_as_pydicts="lossy")
    match storage.format:
        case Format.JSON:
            keys = {name: storage.option(f"mapping.{name}", name) for name in batch.schema.names}
            objects = ({keys[name]: _jsonable(value) for name, value in row.items()} for row in rows)
            return "".join(json_text(one) + "\n" for one in objects).encode()
        case Format.DELIMITED:
            layout = _Layout(
                separators=(storage.option("field.delim", HIVE_SEPARATORS[0]), *inner_separators(storage)),
                null=storage.option("serialization.null.format", r"\N"),
                escape=storage.option("escape.delim", ""),
            )
            return "".join(layout.joined(list(row.values()), 0) + "\n" for row in rows).encode()
        case _:
            raise QueryFailedError(f"NOT_SUPPORTED: writing with {storage.serde}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    """How delimited text is written; `level` counts the separators used up by nesting."""

    separators: tuple[str, str, str]
    null: str
    escape: str

    def joined(self, values: Sequence[Any], level: int) -> str:
        return self.separators[level].join(self._cell(value, level + 1) for value in values)

    def _cell(self, value: Any, level: int) -> str:
        if isinstance(value, dict | list) and level > 1:
            raise QueryFailedError(
                f"NOT_SUPPORTED: text files with values nested like {json.dumps(_jsonable(value))[:80]}"
            )
        if isinstance(value, list):
            return self.joined(value, level)
        if isinstance(value, dict):
            pairs = ((self._cell(key, 2), self._cell(item, 2)) for key, item in value.items())
            return self.separators[1].join(self.separators[2].join(pair) for pair in pairs)
        return self.null if value is None else self._escaped(str(text_of(value)))

    def _escaped(self, text: str) -> str:
        if not self.escape:
            return text
        for character in (self.escape, *self.separators):
            text = text.replace(character, self.escape + character)
        return text


def _jsonable(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_jsonable(item) for item in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, datetime):
        return text_of(value)
    return value if isinstance(value, str | int | float | bool | Decimal | None) else str(value)
