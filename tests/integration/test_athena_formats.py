"""Tables of CSV, delimited text and JSON."""

import gzip

import pytest

from tests.integration.athena_lake import Lake


@pytest.fixture
def lake(athena_url: str, ministack_url: str) -> Lake:
    return Lake(athena_url, ministack_url)


def create(lake: Lake, columns: str, clauses: str, properties: str = "") -> None:
    lake.rows(
        f"CREATE EXTERNAL TABLE t ({columns}) {clauses} LOCATION 's3://{lake.bucket}/t/'"
        + (f" TBLPROPERTIES ({properties})" if properties else "")
    )


OPENX = "ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe'"
CSV = "ROW FORMAT SERDE 'org.apache.hadoop.hive.serde2.OpenCSVSerde'"


def test_quoted_csv_with_a_header_in_a_gz_file(lake: Lake) -> None:
    create(
        lake,
        "id int, name string, price decimal(8,2), day date, at timestamp",
        f"{CSV} WITH SERDEPROPERTIES ('separatorChar' = ';', 'quoteChar' = '\"', 'escapeChar' = '\\\\')",
        "'skip.header.line.count' = '1', 'classification' = 'csv'",
    )
    body = b'id;name;price;day;at\n1;"a;""b""";1.5;20552;1775739600123\r\n2;\xc3\xa4;2;0;0\n'
    lake.put("t/a.csv.gz", gzip.compress(body))
    lake.put("t/b.csv", b"id;name\n3;only two\n")
    lake.put("t/_ignored", b"x")
    assert lake.rows("SELECT * FROM t ORDER BY id") == [
        ["1", 'a;"b"', "1.50", "2026-04-09", "2026-04-09 13:00:00.123"],
        ["2", "ä", "2.00", "1970-01-01", "1970-01-01 00:00:00.000"],
        ["3", "only two", None, None, None],
    ]
    execution = lake.run("SELECT count(*) FROM t")
    assert execution["Statistics"]["DataScannedInBytes"] == len(gzip.compress(body)) + len(b"id;name\n3;only two\n")
    lake.put("t/c.csv", b"id\nnot a number\n")
    assert "HIVE_BAD_DATA: Error parsing field value 'not a number' for field id" in lake.reason("SELECT id FROM t")


def test_delimited_text_makes_null_of_what_it_cannot_read(lake: Lake) -> None:
    create(
        lake,
        "a bigint, b string, tags array<string>, m map<string,int>, at timestamp",
        "ROW FORMAT DELIMITED FIELDS TERMINATED BY ',' ESCAPED BY '\\\\' COLLECTION ITEMS TERMINATED BY ';' "
        "MAP KEYS TERMINATED BY ':' STORED AS TEXTFILE",
    )
    lake.put("t/a", b"1,x\\,y,p;q,k:1;l:2,2026-04-09 13:00:00.5,more\nno,\\N,,,never\n3\n")
    assert lake.rows("SELECT * FROM t") == [
        ["1", "x,y", "[p, q]", "{k=1, l=2}", "2026-04-09 13:00:00.500"],
        [None, None, "[]", "{}", None],
        ["3", None, None, None, None],
    ]


def test_json_lines_with_nested_values_and_partitions(lake: Lake) -> None:
    lake.rows(
        "CREATE EXTERNAL TABLE t (id bigint, Name string, amount decimal(8,2), at timestamp, tags array<string>, "
        f"geo struct<country:string,lat:double>, raw string) PARTITIONED BY (day date, n int) {OPENX} "
        "WITH SERDEPROPERTIES ('mapping.amount' = 'Price', 'ignore.malformed.json' = 'false') "
        f"LOCATION 's3://{lake.bucket}/t/'"
    )
    line = (
        b'{"ID": 1, "name": "\\u00e4", "price": 1.10, "at": "2026-04-09T13:00:00Z", "tags": ["a", null], '
        b'"geo": {"Country": "DE", "lat": 52}, "raw": {"x": [1.50, true]}, "extra": 1}\n\n{}\n'
    )
    lake.put("t/day=2026-04-09/n=1/a.json", line)
    lake.put("t/day=2026-04-10/n=2/a.json", b'{"id": "7"}\n')
    lake.rows("MSCK REPAIR TABLE t")
    assert lake.rows("SELECT * FROM t WHERE day = DATE '2026-04-09' ORDER BY id") == [
        ["1", "ä", "1.10", "2026-04-09 13:00:00.000", "[a, null]", "{country=DE, lat=52.0}", '{"x":[1.50,true]}',
         "2026-04-09", "1"],
        [None, None, None, None, None, None, None, "2026-04-09", "1"],
    ]  # fmt: skip
    assert lake.rows("SELECT id, n, geo.country FROM t WHERE n > 1") == [["7", "2", None]]
    assert lake.run("SELECT id FROM t WHERE n = 2")["Statistics"]["DataScannedInBytes"] == len(b'{"id": "7"}\n')


def test_a_broken_json_line_fails_the_query_unless_the_table_ignores_it(lake: Lake) -> None:
    create(lake, "id bigint", OPENX)
    lake.put("t/a", b'{"id": 1}\n{broken\n[1]\n')
    assert "HIVE_CURSOR_ERROR: Row is not a valid JSON Object" in lake.reason("SELECT * FROM t")
    lake.rows("DROP TABLE t")
    create(lake, "id bigint", f"{OPENX} WITH SERDEPROPERTIES ('ignore.malformed.json' = 'true')")
    assert lake.rows("SELECT count(*), count(id) FROM t") == [["3", "1"]]


def test_files_of_many_batches_are_read_whole_and_in_little_memory(lake: Lake) -> None:
    create(lake, "id bigint, k string", "ROW FORMAT DELIMITED FIELDS TERMINATED BY '\\t'")
    lake.put("t/a.gz", gzip.compress(b"".join(b"%d\tk%d\n" % (n, n % 3) for n in range(25_001))))
    assert lake.rows("SELECT k, count(*), max(id) FROM t GROUP BY 1 ORDER BY 1") == [
        ["k0", "8334", "24999"], ["k1", "8334", "25000"], ["k2", "8333", "24998"],
    ]  # fmt: skip
    assert lake.rows("SELECT a.id FROM t a JOIN t b ON a.id = b.id + 25000") == [["25000"]]
    assert lake.rows("SELECT id FROM t LIMIT 1") == [["0"]]
