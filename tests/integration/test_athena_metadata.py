"""What clients browse: SHOW CREATE, DESCRIBE, information_schema, the catalogue's API and workgroups."""

from collections.abc import Callable

import pytest
from botocore.exceptions import ClientError

from tests.integration.athena_lake import Lake


@pytest.fixture
def lake(athena_url: str, ministack_url: str) -> Lake:
    lake = Lake(athena_url, ministack_url)
    lake.create_events()
    lake.write_hour("00")
    lake.add_hours("00")
    return lake


def lines(lake: Lake, sql: str) -> list[str]:
    return [str(line) for (line,) in lake.rows(sql)]


def test_show_create_table_makes_the_same_table_again(lake: Lake) -> None:
    lake.rows(
        "CREATE EXTERNAL TABLE odd (a string COMMENT 'it''s', b map<string,int>) COMMENT 'odd one' "
        "PARTITIONED BY (k int) ROW FORMAT DELIMITED FIELDS TERMINATED BY '|' ESCAPED BY '\\\\' "
        f"LOCATION 's3://{lake.bucket}/odd/' TBLPROPERTIES ('skip.header.line.count' = '1')"
    )
    for table in ("odd", "events"):
        statement = lines(lake, f"SHOW CREATE TABLE {table}")
        lake.rows(f"DROP TABLE {table}")
        lake.rows("\n".join(statement))
        assert lines(lake, f"SHOW CREATE TABLE {table}") == statement
    lake.put("odd/k=1/a", b"header\nx\\|y|k\x032\n")
    lake.rows("MSCK REPAIR TABLE odd")
    assert lake.rows("SELECT * FROM odd") == [["x|y", "{k=2}", "1"]]


def test_views_are_shown_by_themselves_and_as_they_were_written(lake: Lake) -> None:
    lake.rows("CREATE VIEW v AS SELECT n,\n  event_type FROM events")
    assert lines(lake, "SHOW VIEWS") == ["v"]
    assert lines(lake, f"SHOW VIEWS IN {lake.database} LIKE 'x*'") == []
    assert lines(lake, "SHOW CREATE VIEW v") == [
        f"CREATE VIEW {lake.database}.v AS", "SELECT n,", "  event_type FROM events",
    ]  # fmt: skip
    assert "not a view" in lake.reason("SHOW CREATE VIEW events")


def test_properties_and_places_can_be_changed(lake: Lake) -> None:
    lake.rows("ALTER TABLE events SET TBLPROPERTIES ('owner' = 'me', 'parquet.compression' = 'ZSTD')")
    assert lines(lake, "SHOW TBLPROPERTIES events ('owner')") == ["me"]
    assert "parquet.compression\tZSTD" in lines(lake, "SHOW TBLPROPERTIES events")
    lake.rows(f"ALTER TABLE events PARTITION (year='2026', hour='00') SET LOCATION 's3://{lake.bucket}/empty/'")
    assert lake.rows("SELECT count(*) FROM events") == [["0"]]
    lake.rows(f"ALTER TABLE events SET LOCATION 's3://{lake.bucket}/elsewhere/'")
    described = [line.split("\t") for line in lines(lake, "DESCRIBE FORMATTED events")]
    assert [value.strip() for name, value, _ in described if name.strip() == "Location:"] == [
        f"s3://{lake.bucket}/elsewhere/"
    ]
    assert "Partition not found" in lake.reason(
        f"ALTER TABLE events PARTITION (year='1', hour='1') SET LOCATION 's3://{lake.bucket}/x/'"
    )
    lake.rows("ALTER TABLE events REPLACE COLUMNS (n bigint)")
    assert lines(lake, "SHOW COLUMNS IN events") == ["n", "year", "hour"]


def test_information_schema_tells_of_databases_tables_and_columns(lake: Lake) -> None:
    lake.rows("CREATE VIEW v AS SELECT n FROM events")
    where = f"WHERE table_schema = '{lake.database}'"
    assert [lake.database] in lake.rows("SELECT schema_name FROM information_schema.schemata")
    assert lake.rows(f"SELECT table_name, table_type FROM information_schema.tables {where} ORDER BY 1") == [
        ["events", "BASE TABLE"], ["v", "VIEW"],
    ]  # fmt: skip
    assert lake.rows(
        f"SELECT c.column_name, c.data_type, c.extra_info FROM information_schema.columns c {where} "
        "AND table_name = 'events' ORDER BY ordinal_position"
    ) == [
        ["event_type", "varchar", None], ["n", "bigint", None], ["price", "decimal(18,4)", None],
        ["event_time", "timestamp", None], ["properties", "map(varchar, varchar)", None],
        ["year", "varchar", "partition key"], ["hour", "varchar", "partition key"],
    ]  # fmt: skip
    assert "TABLE_NOT_FOUND" in lake.reason("SELECT * FROM information_schema.nothing")


def test_the_catalogue_can_be_browsed_through_the_api(lake: Lake) -> None:
    catalog = {"CatalogName": "AwsDataCatalog"}
    place = {**catalog, "DatabaseName": lake.database}
    listed = [one["CatalogName"] for one in lake.athena.list_data_catalogs()["DataCatalogsSummary"]]
    assert listed == ["AwsDataCatalog"]
    assert lake.athena.get_data_catalog(Name="AwsDataCatalog")["DataCatalog"]["Type"] == "GLUE"
    pages = lake.athena.get_paginator("list_databases").paginate(**catalog)
    assert lake.database in [one["Name"] for page in pages for one in page["DatabaseList"]]
    assert lake.athena.get_database(**place)["Database"] == {"Name": lake.database}
    for number in range(3):
        lake.rows(f"CREATE VIEW v{number} AS SELECT {number} AS n")
    first = lake.athena.list_table_metadata(**place, MaxResults=3)
    rest = lake.athena.list_table_metadata(**place, MaxResults=3, NextToken=first["NextToken"])
    names = [one["Name"] for page in (first, rest) for one in page["TableMetadataList"]]
    assert names == ["events", "v0", "v1", "v2"]
    matching = lake.athena.list_table_metadata(**place, Expression="v[01]")["TableMetadataList"]
    assert [one["Name"] for one in matching] == ["v0", "v1"]
    table = lake.athena.get_table_metadata(**place, TableName="events")["TableMetadata"]
    assert table["PartitionKeys"] == [{"Name": "year", "Type": "string"}, {"Name": "hour", "Type": "string"}]
    assert table["Parameters"]["location"] == f"s3://{lake.bucket}/events"


@pytest.mark.parametrize(
    "call",
    [
        lambda lake: lake.athena.get_data_catalog(Name="other"),
        lambda lake: lake.athena.get_database(CatalogName="AwsDataCatalog", DatabaseName="nowhere"),
        lambda lake: lake.athena.get_table_metadata(
            CatalogName="AwsDataCatalog", DatabaseName=lake.database, TableName="nowhere"
        ),
    ],
)
def test_what_the_catalogue_has_not_is_a_metadata_error(lake: Lake, call: Callable[[Lake], object]) -> None:
    with pytest.raises(ClientError) as caught:
        call(lake)
    assert caught.value.response["Error"]["Code"] == "MetadataException"


def test_workgroups_can_be_changed_and_deleted(lake: Lake) -> None:
    name = lake.bucket
    lake.athena.create_work_group(Name=name)
    output = {"OutputLocation": f"s3://{lake.bucket}/changed/"}
    lake.athena.update_work_group(WorkGroup=name, ConfigurationUpdates={"ResultConfigurationUpdates": output})
    started = lake.athena.start_query_execution(QueryString="SELECT 1", WorkGroup=name)["QueryExecutionId"]
    assert lake.finish(started)["ResultConfiguration"]["OutputLocation"].startswith(f"s3://{lake.bucket}/changed/")
    lake.athena.delete_work_group(WorkGroup=name, RecursiveDeleteOption=True)
    with pytest.raises(ClientError):
        lake.athena.get_work_group(WorkGroup=name)


def test_runtime_statistics_tell_bytes_rows_and_times(lake: Lake) -> None:
    execution = lake.run("SELECT n FROM events")
    found = lake.athena.get_query_runtime_statistics(QueryExecutionId=execution["QueryExecutionId"])
    statistics = found["QueryRuntimeStatistics"]
    assert statistics["Rows"] == {"InputBytes": execution["Statistics"]["DataScannedInBytes"], "OutputRows": 2}
    assert statistics["Timeline"]["TotalExecutionTimeInMillis"] >= 0
