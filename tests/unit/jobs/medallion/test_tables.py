"""The declared columns: those that the reference's queries name, typed as files and queries have them."""

import pyarrow as pa
import pytest

from headrace.events.arrow import EVENT_SCHEMA
from jobs.medallion.tables import GOLD, GOLD_RUNS, RAW_EVENTS, SILVER_EVENTS

REFERENCE = {
    "product_funnel": [
        "product_id", "category", "view_count", "add_to_cart_count", "purchase_count", "view_to_cart_rate",
        "cart_to_purchase_rate", "view_to_purchase_rate",
    ],
    "hourly_revenue": [
        "event_date", "event_hour", "total_revenue", "purchase_count", "avg_order_value", "total_items_sold",
    ],
    "product_popularity": ["product_id", "category", "view_count", "unique_viewers"],
    "category_daily_performance": [
        "event_date", "category", "total_events", "page_views", "add_to_carts", "purchases", "total_revenue",
    ],
    "daily_user_activity": [
        "event_date", "unique_users", "unique_sessions", "total_events", "events_per_user", "sessions_per_user",
    ],
}  # fmt: skip


def test_gold_has_the_tables_and_columns_of_the_reference_in_their_order() -> None:
    assert {table.name: table.arrow.names for table in GOLD} == REFERENCE


def test_sums_of_money_are_decimals_counts_are_bigints_and_rates_are_doubles() -> None:
    for table in GOLD:
        for field in table.arrow:
            if field.name == "total_revenue":
                assert field.type == pa.decimal128(38, 4)
            elif field.name.endswith(("_rate", "_per_user", "_value")):
                assert field.type == pa.float64()
            elif field.name not in table.sorted_by:
                assert field.type == pa.int64()


def test_silver_has_the_columns_of_an_event_and_its_day_as_partition() -> None:
    assert SILVER_EVENTS.arrow == EVENT_SCHEMA
    assert [(key.name, key.type) for key in SILVER_EVENTS.partition_keys] == [("event_date", "date")]


def test_bronze_has_texts_a_nested_place_and_partitions_by_minute() -> None:
    types = {column.name: column.type for column in RAW_EVENTS.columns}
    assert types.pop("geo") == "struct<country:string,region:string,city:string>"
    assert types.pop("properties") == "map<string,string>"
    assert set(types.values()) == {"string"}
    assert types.keys() == set(EVENT_SCHEMA.names) - {"properties"} | {"timestamp"}
    assert [key.name for key in RAW_EVENTS.partition_keys] == ["year", "month", "day", "hour", "minute"]
    with pytest.raises(KeyError):
        _ = RAW_EVENTS.arrow


def test_no_two_tables_share_a_folder_or_a_name() -> None:
    tables = (*GOLD, GOLD_RUNS, SILVER_EVENTS, RAW_EVENTS)
    assert len({table.folder for table in tables}) == len({table.name for table in tables}) == len(tables)
    for table in tables:
        assert len({column.name for column in (*table.columns, *table.partition_keys)}) == len(
            table.columns + table.partition_keys
        )
