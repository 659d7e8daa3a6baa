"""The operations of the Athena API, from a decoded request to the reply's JSON."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from deploy.local.athena import replies
from deploy.local.athena.data_catalog import DataCatalog
from deploy.local.athena.errors import InvalidRequestError
from deploy.local.athena.executions import Executions, State
from deploy.local.athena.prepared import PreparedStatements
from deploy.local.athena.runner import StatementRunner
from deploy.local.athena.server import Operation
from deploy.local.athena.workgroups import Workgroups

MAX_QUERY_BYTES = 262_144
MAX_PAGE_ROWS = 1000
MAX_LISTED = 50
_REMEMBERED = (
    "GetWorkGroup", "ListWorkGroups", "CreateWorkGroup", "UpdateWorkGroup", "DeleteWorkGroup",
    "GetPreparedStatement", "ListPreparedStatements", "DeletePreparedStatement",
    "CreateNamedQuery", "GetNamedQuery", "ListNamedQueries", "DeleteNamedQuery", "BatchGetNamedQuery",
)  # fmt: skip
"""Operations that the emulator answers."""


class AthenaApi:
    """One method per operation; `operations` names them. Each raises `InvalidRequestError` for a bad request."""

    def __init__(
        self, executions: Executions, runner: StatementRunner, workgroups: Workgroups, prepared: PreparedStatements,
        catalog: DataCatalog,
    ) -> None:  # fmt: skip
        self._executions = executions
        self._runner = runner
        self._workgroups = workgroups
        self._prepared = prepared
        self.operations: dict[str, Operation] = {
            "StartQueryExecution": self.start_query_execution,
            "GetQueryExecution": self.get_query_execution,
            "BatchGetQueryExecution": self.batch_get_query_execution,
            "ListQueryExecutions": self.list_query_executions,
            "StopQueryExecution": self.stop_query_execution,
            "GetQueryResults": self.get_query_results,
            "GetQueryRuntimeStatistics": self.get_query_runtime_statistics,
            "CreatePreparedStatement": _in_thread(prepared.create),
            "UpdatePreparedStatement": _in_thread(prepared.update),
            "ListDataCatalogs": _in_thread(catalog.list_data_catalogs),
            "GetDataCatalog": _in_thread(catalog.get_data_catalog),
            "ListDatabases": _in_thread(catalog.list_databases),
            "GetDatabase": _in_thread(catalog.get_database),
            "ListTableMetadata": _in_thread(catalog.list_table_metadata),
            "GetTableMetadata": _in_thread(catalog.get_table_metadata),
            **{name: _in_thread(partial(workgroups.call, name)) for name in _REMEMBERED},
        }

    async def start_query_execution(self, request: dict[str, Any]) -> dict[str, Any]:
        """Check, queue, and return at once. A syntax error is refused here, as Athena does."""
        query = _text(request, "QueryString")
        if len(query.encode()) > MAX_QUERY_BYTES:
            raise InvalidRequestError(f"QueryString must not be longer than {MAX_QUERY_BYTES} bytes")
        parameters = _texts(request, "ExecutionParameters")
        workgroup = request.get("WorkGroup") or "primary"
        asked = request.get("ResultConfiguration", {}).get("OutputLocation", "")
        folder = await asyncio.to_thread(self._folder, workgroup, asked)
        statement = await asyncio.to_thread(self._prepared.statement, query, parameters, workgroup)
        execution = self._executions.submit(
            query=query,
            statement=statement,
            database=request.get("QueryExecutionContext", {}).get("Database") or "default",
            workgroup=workgroup,
            folder=folder,
            parameters=parameters,
            token=request.get("ClientRequestToken"),
        )
        return {"QueryExecutionId": execution.id}

    async def get_query_execution(self, request: dict[str, Any]) -> dict[str, Any]:
        """State, reason and statistics of one."""
        execution = self._executions.get(_text(request, "QueryExecutionId"))
        return {"QueryExecution": replies.query_execution(execution)}

    async def get_query_runtime_statistics(self, request: dict[str, Any]) -> dict[str, Any]:
        """Times, rows and bytes of one."""
        return replies.runtime_statistics(self._executions.get(_text(request, "QueryExecutionId")))

    async def batch_get_query_execution(self, request: dict[str, Any]) -> dict[str, Any]:
        """The same of up to 50."""
        ids = request.get("QueryExecutionIds") or []
        found, missing = [], []
        for execution_id in ids[:MAX_LISTED]:
            try:
                found.append(replies.query_execution(self._executions.get(str(execution_id))))
            except InvalidRequestError as error:
                missing.append(
                    {"QueryExecutionId": execution_id, "ErrorCode": "INVALID_INPUT", "ErrorMessage": str(error)}
                )
        return {"QueryExecutions": found, "UnprocessedQueryExecutionIds": missing}

    async def list_query_executions(self, request: dict[str, Any]) -> dict[str, Any]:
        """Ids of a workgroup's executions, the latest first."""
        ids = self._executions.latest(request.get("WorkGroup") or "primary")
        first, count = _number(request.get("NextToken") or "0"), request.get("MaxResults") or MAX_LISTED
        page: dict[str, Any] = {"QueryExecutionIds": ids[first : first + count]}
        return page | ({"NextToken": str(first + count)} if first + count < len(ids) else {})

    async def stop_query_execution(self, request: dict[str, Any]) -> dict[str, Any]:
        """Cancel one; no harm when it is over."""
        self._executions.stop(self._executions.get(_text(request, "QueryExecutionId")))
        return {}

    async def get_query_results(self, request: dict[str, Any]) -> dict[str, Any]:
        """A page of up to 1,000 rows; the first row of a query's first page is its header."""
        execution = self._executions.get(_text(request, "QueryExecutionId"))
        outcome = execution.outcome
        if execution.state in {State.QUEUED, State.RUNNING}:
            raise InvalidRequestError(f"Query has not yet finished. Current state: {execution.state}")
        if execution.state is not State.SUCCEEDED or outcome is None:
            raise InvalidRequestError(f"Query did not finish successfully. Final query state: {execution.state}")
        count = request.get("MaxResults") or MAX_PAGE_ROWS
        if not isinstance(count, int) or not 1 <= count <= MAX_PAGE_ROWS:
            raise InvalidRequestError(f"MaxResults is more than maximum allowed length {MAX_PAGE_ROWS}")
        first = _number(request.get("NextToken") or "0")
        rows = await asyncio.to_thread(self._runner.page, execution, first, count)
        next_token = str(first + count) if first + count < len(outcome.rows) else None
        return replies.query_results(execution, outcome, rows, next_token)

    def _folder(self, workgroup: str, asked: str) -> str:
        """The s3:// URL that the result goes below, with its slash."""
        output = self._workgroups.output(workgroup)
        folder = output.location if output.location and (output.enforced or not asked) else asked
        if not folder:
            raise InvalidRequestError(
                "No output location provided. An output location is required either through the Workgroup result "
                "configuration setting or as an API input."
            )
        if not folder.startswith("s3://"):
            raise InvalidRequestError(f"outputLocation is not a valid S3 path: {folder}")
        return folder.rstrip("/") + "/"


def _in_thread(call: Callable[[dict[str, Any]], dict[str, Any]]) -> Operation:
    return lambda request: asyncio.to_thread(call, request)


def _texts(request: dict[str, Any], key: str) -> tuple[str, ...]:
    values = request.get(key) or []
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise InvalidRequestError(f"{key} must be a list of texts")
    return tuple(values)


def _text(request: dict[str, Any], key: str) -> str:
    value = request.get(key)
    if not isinstance(value, str) or not value:
        raise InvalidRequestError(f"{key} must not be empty")
    return value


def _number(token: Any) -> int:
    if not isinstance(token, str) or not token.isdecimal():
        raise InvalidRequestError("NextToken is not valid")
    return int(token)
