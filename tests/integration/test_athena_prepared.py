"""Prepared statements and execution parameters."""

import pytest
from botocore.exceptions import ClientError

from tests.integration.athena_lake import Lake


@pytest.fixture
def lake(athena_url: str, ministack_url: str) -> Lake:
    return Lake(athena_url, ministack_url)


def test_execution_parameters_stand_for_question_marks_outside_texts_and_comments(lake: Lake) -> None:
    sql = "SELECT '?' AS a, ? /* ? */ AS b, ? + 1 AS c -- ?"
    assert lake.rows(sql, "'it''s'", "-3") == [["?", "it's", "-2"]]
    assert lake.rows("SELECT n FROM UNNEST(sequence(1, 9)) AS t(n) WHERE n IN (?, ?) LIMIT ?", "2", "3", "1") == [["2"]]
    execution = lake.run("SELECT date_add('day', ?, ?)", "1", "DATE '2026-04-09'")
    assert execution["ExecutionParameters"] == ["1", "DATE '2026-04-09'"]


@pytest.mark.parametrize(
    ("sql", "parameters", "problem"),
    [
        ("SELECT ?", [], "expected 1 but found 0"),
        ("SELECT ?", ["1", "2"], "expected 1 but found 2"),
        ("SELECT ?", ["page_view"], "no literal"),
        ("SELECT ?", ["(SELECT 1)"], "no literal"),
        ("SELECT ?", ["1) FROM secrets --"], "no literal"),
        ("SHOW TABLES", ["1"], "Parameters go into"),
        ("EXECUTE nobody", [], "was not found"),
    ],
)
def test_a_parameter_that_is_no_value_or_has_no_place_is_refused(
    lake: Lake, sql: str, parameters: list[str], problem: str
) -> None:
    with pytest.raises(ClientError, match=problem):
        lake.start(sql, *parameters)


def test_prepare_execute_and_deallocate_in_sql(lake: Lake) -> None:
    name = f"p_{lake.database}"
    lake.create_events()
    lake.write_hour("00", rows=4)
    lake.add_hours("00")
    lake.rows(f"PREPARE {name} FROM SELECT count(*) FROM events WHERE event_type = ? AND n >= ?")
    assert lake.rows(f"EXECUTE {name} USING 'purchase', 2") == [["1"]]
    assert lake.rows(f"EXECUTE {name}", "'purchase'", "0") == [["2"]]
    lake.rows(f"PREPARE {name} FROM SELECT ?")
    assert lake.rows(f"EXECUTE {name} USING 'again'") == [["again"]]
    lake.rows(f"DEALLOCATE PREPARE {name}")
    with pytest.raises(ClientError, match="was not found"):
        lake.start(f"EXECUTE {name} USING 'again'")
    assert "was not found" in lake.reason(f"DEALLOCATE PREPARE {name}")


def test_prepared_statements_through_the_api(lake: Lake) -> None:
    one = {"StatementName": f"p_{lake.database}", "WorkGroup": "headrace"}
    lake.athena.create_prepared_statement(**one, QueryStatement="SELECT ?", Description="first")
    found = lake.athena.get_prepared_statement(**one)["PreparedStatement"]
    assert (found["QueryStatement"], found["Description"]) == ("SELECT ?", "first")
    lake.athena.update_prepared_statement(**one, QueryStatement="SELECT ? || 'b'")
    started = lake.athena.start_query_execution(
        QueryString=f"EXECUTE {one['StatementName']} USING 'a'",
        WorkGroup="headrace",
        ResultConfiguration={"OutputLocation": f"s3://{lake.bucket}/out/"},
    )["QueryExecutionId"]
    assert lake.finish(started)["Status"]["State"] == "SUCCEEDED"
    rows = lake.athena.get_query_results(QueryExecutionId=started)["ResultSet"]["Rows"]
    assert rows[1]["Data"] == [{"VarCharValue": "ab"}]
    listed = lake.athena.list_prepared_statements(WorkGroup="headrace")["PreparedStatements"]
    assert one["StatementName"] in [item["StatementName"] for item in listed]
    lake.athena.delete_prepared_statement(**one)
    with pytest.raises(ClientError):
        lake.athena.get_prepared_statement(**one)
