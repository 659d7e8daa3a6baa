"""Real files end to end: what the table says by type, country and hour is what DuckDB finds in the files themselves."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.data.command import headrace

COUNTS = """
SELECT 'type' AS kind, event_type AS value, count(*) AS n FROM {table} GROUP BY 2
UNION ALL SELECT 'country', coalesce(country, ''), count(*) FROM {table} GROUP BY 2
UNION ALL SELECT 'hour', {hour}, count(*) FROM {table} GROUP BY 2
ORDER BY 1, 2"""
IN_THE_TABLE = COUNTS.format(table="events", hour=""" "year" || '-' || "month" || '-' || "day" || ' ' || "hour" """)
IN_THE_FILES = COUNTS.format(table="source", hour="strftime(moment, '%Y-%m-%d %H')")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Some files, their mapping, and how DuckDB reads event_type, country and UTC time from them."""

    mapping: str
    files: tuple[str, ...]
    events: int
    source: str


CASES = (
    Case(
        mapping="wikiticker",
        files=("wikiticker_20150912/wikiticker-2015-09-12-restored.json.gz",),
        events=39_244,
        source="""SELECT CASE WHEN isNew THEN 'page_created' ELSE 'page_edited' END AS event_type,
            countryIsoCode AS country, CAST(time AS TIMESTAMP) AS moment
            FROM read_json($files, format = 'newline_delimited', columns = {isNew: 'BOOLEAN', countryIsoCode: 'VARCHAR',
            time: 'VARCHAR'})""",
    ),
    Case(
        mapping="open_bandit",
        files=tuple(
            f"open_bandit_zozo/{policy}/{campaign}/{campaign}.csv.gz"
            for policy in ("bts", "random")
            for campaign in ("all", "men", "women")
        ),
        events=60_000,
        source="""SELECT CASE click WHEN '1' THEN 'click' ELSE 'impression' END AS event_type, NULL AS country,
            CAST(replace("timestamp", '+00:00', '') AS TIMESTAMP) AS moment
            FROM read_csv($files, all_varchar = true, union_by_name = true)""",
    ),
    Case(
        mapping="otto",
        files=("otto_sample/train.jsonl",),
        events=862,
        source="""SELECT CASE e.type WHEN 'clicks' THEN 'page_view' WHEN 'carts' THEN 'add_to_cart'
            ELSE 'purchase' END AS event_type, NULL AS country, epoch_ms(e.ts) AS moment
            FROM (SELECT unnest(events) AS e FROM read_json($files, format = 'newline_delimited', columns =
            {events: 'STRUCT(aid BIGINT, ts BIGINT, "type" VARCHAR)[]'}))""",
    ),
)


def in_the_files(case: Case, files: list[str]) -> list[dict[str, Any]]:
    """The same counts, by DuckDB alone."""
    connection = duckdb.connect()
    connection.execute(f"CREATE TABLE source AS {case.source}", {"files": files})
    return [{"kind": kind, "value": value, "n": n} for kind, value, n in connection.execute(IN_THE_FILES).fetchall()]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.mapping)
def test_counts_by_type_country_and_hour_are_those_of_the_files(case: Case, real_data: Path, tmp_path: Path) -> None:
    files = [str(real_data / name) for name in case.files]
    data = str(tmp_path / "data")
    mapping = f"examples/{case.mapping}.toml"
    sources = [part for path in files for part in ("--source", path)]

    [line] = headrace("up", *sources, "--mapping", mapping, "--until-drained", "--data", data).splitlines()
    run = json.loads(line)
    assert run["polled"] == run["accepted"] == run["put"] == run["received"] == run["committed"] == case.events
    assert run["rejected"] == run["extra_columns"] == run["dead_lettered"] == run["duplicates"] == 0
    assert run["objects"] >= run["partitions"] > 0

    expected = in_the_files(case, files)
    assert json.loads(headrace("query", IN_THE_TABLE, "--format", "json", "--data", data)) == expected
    assert run["partitions"] == sum(count["kind"] == "hour" for count in expected)

    [line] = headrace("up", *sources, "--mapping", mapping, "--until-drained", "--data", data).splitlines()
    again = json.loads(line)
    assert {name: count for name, count in again.items() if name != "seconds"} == dict.fromkeys(
        set(run) - {"seconds"}, 0
    )
