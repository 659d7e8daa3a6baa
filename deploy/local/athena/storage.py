"""How a table's files are written: Hive's classes and properties → what the endpoint reads. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from deploy.local.athena.errors import InvalidRequestError, QueryFailedError


class Format(StrEnum):
    """What one SerDe makes of a file."""

    PARQUET = "parquet"
    DELIMITED = "delimited"
    """Hive's own text: `LazySimpleSerDe`."""
    CSV = "csv"
    """Quoted values: `OpenCSVSerde`."""
    JSON = "json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """A Glue storage descriptor's classes; `properties` are the SerDe's."""

    serde: str
    input_format: str
    output_format: str
    properties: tuple[tuple[str, str], ...] = ()

    @property
    def format(self) -> Format:
        """Raises `QueryFailedError` for a SerDe that is not read here."""
        found = _FORMATS.get(self.serde)
        if found is None:
            raise QueryFailedError(f"HIVE_UNSUPPORTED_FORMAT: the local Athena has no SerDe {self.serde}")
        return found

    def option(self, name: str, default: str) -> str:
        """A SerDe property, or what holds without it."""
        return dict(self.properties).get(name, default)


_TEXT_INPUT = "org.apache.hadoop.mapred.TextInputFormat"
_TEXT_OUTPUT = "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat"
_LAZY_SIMPLE = "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe"
_OPENX_JSON = "org.openx.data.jsonserde.JsonSerDe"
_PARQUET_SERDE = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"
_FORMATS = {
    _PARQUET_SERDE: Format.PARQUET,
    _LAZY_SIMPLE: Format.DELIMITED,
    "org.apache.hadoop.hive.serde2.OpenCSVSerde": Format.CSV,
    _OPENX_JSON: Format.JSON,
    "org.apache.hive.hcatalog.data.JsonSerDe": Format.JSON,
    "org.apache.hadoop.hive.serde2.JsonSerDe": Format.JSON,
}

PARQUET = Storage(
    serde=_PARQUET_SERDE,
    input_format="org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
    output_format="org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
)


def text(serde: str = _LAZY_SIMPLE, properties: tuple[tuple[str, str], ...] = ()) -> Storage:
    """Lines of text, read by `serde`."""
    return Storage(serde=serde, input_format=_TEXT_INPUT, output_format=_TEXT_OUTPUT, properties=properties)


def declared(*, serde: str | None, stored_as: str | None, properties: tuple[tuple[str, str], ...]) -> Storage:
    """`ROW FORMAT …` and `STORED AS word` → storage; without either it is Hive's text.

    Raises `InvalidRequestError` for what is not read here.
    """
    word = (stored_as or "textfile").lower()
    if serde is not None and serde not in _FORMATS:
        raise InvalidRequestError(f"The local Athena has no SerDe {serde}; it has {', '.join(_FORMATS)}")
    if word == "parquet" or serde == _PARQUET_SERDE:
        return Storage(
            serde=PARQUET.serde, input_format=PARQUET.input_format, output_format=PARQUET.output_format,
            properties=properties,
        )  # fmt: skip
    if word == "textfile":
        return text(serde or _LAZY_SIMPLE, properties)
    if word in {"json", "jsonfile"}:
        return text(serde or _OPENX_JSON, properties)
    raise InvalidRequestError(f"The local Athena reads tables STORED AS PARQUET or TEXTFILE, not {word.upper()}")


def of_classes(*, input_format: str, output_format: str, serde: str | None, properties: Mapping[str, str]) -> Storage:
    """`STORED AS INPUTFORMAT … OUTPUTFORMAT …` → storage."""
    parquet = "parquet" in input_format.lower()
    known = declared(serde=serde, stored_as="parquet" if parquet else "textfile", properties=())
    return Storage(
        serde=known.serde, input_format=input_format, output_format=output_format, properties=tuple(properties.items())
    )


def written_as(kind: str, field_delimiter: str) -> Storage:
    """The storage of what CTAS and UNLOAD write. Raises `QueryFailedError` for a format that is not written here."""
    if kind == "PARQUET":
        return PARQUET
    if kind == "JSON":
        return text(_OPENX_JSON)
    if kind == "TEXTFILE":
        return text(properties=(("field.delim", field_delimiter),) if field_delimiter else ())
    raise QueryFailedError(f"NOT_SUPPORTED: format {kind}; the local Athena writes PARQUET, JSON and TEXTFILE")
