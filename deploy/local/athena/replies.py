"""Executions and results in the shapes of the Athena API."""

from typing import Any

from deploy.local.athena.executions import Execution, Outcome, State
from deploy.local.athena.statements import StatementType


def query_execution(execution: Execution) -> dict[str, Any]:
    """The `QueryExecution` structure."""
    status: dict[str, Any] = {"State": execution.state, "SubmissionDateTime": execution.submitted}
    if execution.reason:
        status["StateChangeReason"] = execution.reason
    if execution.completed is not None:
        status["CompletionDateTime"] = execution.completed
    if execution.state is State.FAILED:
        status["AthenaError"] = {
            "ErrorCategory": 1 if execution.reason.startswith("GENERIC_INTERNAL_ERROR") else 2,
            "ErrorType": 1001,
            "Retryable": False,
            "ErrorMessage": execution.reason,
        }
    reply = {
        "QueryExecutionId": execution.id,
        "Query": execution.query,
        "StatementType": execution.type,
        "ResultConfiguration": {"OutputLocation": execution.output},
        "QueryExecutionContext": {"Database": execution.database, "Catalog": "awsdatacatalog"},
        "Status": status,
        "Statistics": _statistics(execution),
        "WorkGroup": execution.workgroup,
        "EngineVersion": {
            "SelectedEngineVersion": "Athena engine version 3",
            "EffectiveEngineVersion": "Athena engine version 3",
        },
    }
    if execution.parameters:
        reply["ExecutionParameters"] = list(execution.parameters)
    return reply


def runtime_statistics(execution: Execution) -> dict[str, Any]:
    """The `QueryRuntimeStatistics` structure, without the stages that there are none of here."""
    times = _statistics(execution)
    timeline = {name: value for name, value in times.items() if name.endswith("Millis")}
    rows: dict[str, int] = {"InputBytes": execution.bytes_scanned}
    if execution.outcome is not None:
        rows["OutputRows"] = execution.outcome.updated or max(0, len(execution.outcome.rows) - 1)
    return {"QueryRuntimeStatistics": {"Timeline": timeline, "Rows": rows}}


def _statistics(execution: Execution) -> dict[str, Any]:
    statistics: dict[str, Any] = {"DataScannedInBytes": execution.bytes_scanned}
    if execution.outcome is not None and execution.outcome.manifest:
        statistics["DataManifestLocation"] = execution.outcome.manifest
    if execution.started is not None:
        statistics["QueryQueueTimeInMillis"] = _milliseconds(execution.started - execution.submitted)
    if execution.completed is not None:
        started = execution.completed if execution.started is None else execution.started
        statistics["EngineExecutionTimeInMillis"] = _milliseconds(execution.completed - started)
        statistics["TotalExecutionTimeInMillis"] = _milliseconds(execution.completed - execution.submitted)
    return statistics


def _milliseconds(seconds: float) -> int:
    return max(0, round(seconds * 1000))


def query_results(
    execution: Execution, outcome: Outcome, rows: list[list[str | None]], next_token: str | None
) -> dict[str, Any]:
    """One page of GetQueryResults. NULL is a datum without a value."""
    columns = [
        {
            "CatalogName": "hive",
            "SchemaName": "",
            "TableName": "",
            "Name": column.name,
            "Label": column.name,
            "Type": column.type if execution.type is StatementType.DML else "string",
            "Precision": column.precision,
            "Scale": column.scale,
            "Nullable": "UNKNOWN",
            "CaseSensitive": column.type == "varchar",
        }
        for column in outcome.columns
    ]
    data = [{"Data": [{} if value is None else {"VarCharValue": value} for value in row]} for row in rows]
    page: dict[str, Any] = {
        "UpdateCount": outcome.updated,
        "ResultSet": {"Rows": data, "ResultSetMetadata": {"ColumnInfo": columns}},
    }
    return page | ({"NextToken": next_token} if next_token else {})
