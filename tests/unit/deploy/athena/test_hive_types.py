"""Type names in both directions."""

import pyarrow as pa
import pytest

from deploy.local.athena.errors import QueryFailedError
from deploy.local.athena.hive_types import ColumnInfo, column_info, to_arrow, to_hive


@pytest.mark.parametrize(
    ("text", "arrow"),
    [
        ("string", pa.string()),
        ("varchar(20)", pa.string()),
        ("int", pa.int32()),
        ("decimal(18,4)", pa.decimal128(18, 4)),
        ("decimal", pa.decimal128(10, 0)),
        ("timestamp", pa.timestamp("us")),
        ("map<string,decimal(18,4)>", pa.map_(pa.string(), pa.decimal128(18, 4))),
        ("array<map<string,int>>", pa.list_(pa.map_(pa.string(), pa.int32()))),
        (
            "struct<a:int,b:struct<c:array<string>>>",
            pa.struct([("a", pa.int32()), ("b", pa.struct([("c", pa.list_(pa.string()))]))]),
        ),
    ],
)
def test_a_column_type_becomes_arrow(text: str, arrow: pa.DataType) -> None:
    assert to_arrow(text) == arrow


def test_an_unknown_type_fails_the_query() -> None:
    with pytest.raises(QueryFailedError, match="uniontype"):
        to_arrow("uniontype<int,string>")
    with pytest.raises(QueryFailedError, match="interval"):
        column_info("x", "INTERVAL")


@pytest.mark.parametrize(
    ("duckdb_type", "athena", "hive"),
    [
        ("VARCHAR", "varchar", "string"),
        ("INTEGER", "integer", "int"),
        ("HUGEINT", "bigint", "bigint"),
        ("DECIMAL(18,4)", "decimal", "decimal(18,4)"),
        ("TIMESTAMP WITH TIME ZONE", "timestamp with time zone", "timestamp"),
    ],
)
def test_a_result_type_has_athenas_name_and_a_place_in_glue(duckdb_type: str, athena: str, hive: str) -> None:
    info = column_info("x", duckdb_type)
    assert (info.type, to_hive(info)) == (athena, hive)


@pytest.mark.parametrize(
    ("duckdb_type", "athena"),
    [("INTEGER[]", "array"), ("MAP(VARCHAR, INTEGER)", "map"), ("STRUCT(a INTEGER)", "row"), ("TUPLE(INTEGER)", "row")],
)
def test_nested_results_are_named_without_their_parts(duckdb_type: str, athena: str) -> None:
    assert column_info("x", duckdb_type).type == athena


def test_a_decimal_column_tells_precision_and_scale() -> None:
    assert column_info("x", "DECIMAL(18,4)") == ColumnInfo(name="x", type="decimal", precision=18, scale=4)
