"""The field list and the contract."""

from headrace.events.arrow import EVENT_SCHEMA
from headrace.events.schema import COLUMNS

CONTRACT = """event_id session_id user_id event_type event_time page_url referrer_url product_id category currency
device_type browser os user_agent country region city source quantity price revenue rating is_bot ip properties
ingest_time schema_version"""


def test_columns_are_those_of_the_contract_in_its_order() -> None:
    assert {column.name for column in COLUMNS} == set(CONTRACT.split())
    assert [column.name for column in COLUMNS] == CONTRACT.split()
    assert EVENT_SCHEMA.names == CONTRACT.split()


def test_every_column_says_what_it_is() -> None:
    assert all(column.about for column in COLUMNS)
