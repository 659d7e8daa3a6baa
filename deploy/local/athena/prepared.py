"""Prepared statements: a workgroup's queries by name, with `?` where values go."""

from typing import Any

from deploy.local.athena import ddl, dialect
from deploy.local.athena.errors import InvalidRequestError, QueryFailedError
from deploy.local.athena.statements import (
    CreateTableAs,
    Deallocate,
    Execute,
    Insert,
    Prepare,
    Prepared,
    Runnable,
    Select,
    Unload,
)
from deploy.local.athena.workgroups import Workgroups


class PreparedStatements:
    """For worker threads. The emulator remembers the texts."""

    def __init__(self, remembered: Workgroups) -> None:
        self._remembered = remembered

    def statement(self, query: str, parameters: tuple[str, ...], workgroup: str) -> Runnable:
        """What a query text and its parameters stand for. Raises `InvalidRequestError`."""
        statement = ddl.parse(query)
        if isinstance(statement, Execute):
            query = self._query(statement.name, workgroup)
            parameters = (*statement.parameters, *parameters)
            statement = ddl.parse(query)
        if isinstance(statement, Select | CreateTableAs | Insert | Unload):
            statement = ddl.parse(dialect.bind(query, parameters))
        elif parameters:
            raise InvalidRequestError("Parameters go into SELECT, INSERT, CREATE TABLE AS and UNLOAD only")
        if isinstance(statement, Execute):
            raise InvalidRequestError("EXECUTE cannot be prepared")
        if isinstance(statement, Select | CreateTableAs | Insert | Unload):
            dialect.parse(statement.query)
        return statement

    def run(self, statement: Prepared, workgroup: str) -> None:
        """PREPARE, which replaces one of the same name, and DEALLOCATE PREPARE. Raises `QueryFailedError`."""
        match statement:
            case Prepare():
                self.create(
                    {"StatementName": statement.name, "WorkGroup": workgroup, "QueryStatement": statement.query}
                )
            case Deallocate():
                try:
                    self._query(statement.name, workgroup)
                except InvalidRequestError as error:
                    raise QueryFailedError(str(error)) from None
                self._call("DeletePreparedStatement", StatementName=statement.name, WorkGroup=workgroup)

    def create(self, request: dict[str, Any]) -> dict[str, Any]:
        """CreatePreparedStatement and UpdatePreparedStatement: the later one holds."""
        if self._known(request):
            self._call("DeletePreparedStatement", **_key(request))
        return self._remembered.call("CreatePreparedStatement", request)

    def update(self, request: dict[str, Any]) -> dict[str, Any]:
        """UpdatePreparedStatement. Raises `InvalidRequestError` when there is none."""
        self._query(str(request.get("StatementName")), str(request.get("WorkGroup")))
        return self.create(request)

    def _query(self, name: str, workgroup: str) -> str:
        if not self._known({"StatementName": name, "WorkGroup": workgroup}):
            raise InvalidRequestError(f"PreparedStatement {name} was not found in workGroup {workgroup}")
        found = self._call("GetPreparedStatement", StatementName=name, WorkGroup=workgroup)
        return str(found["PreparedStatement"]["QueryStatement"])

    def _known(self, request: dict[str, Any]) -> bool:
        listed = self._call("ListPreparedStatements", WorkGroup=request.get("WorkGroup"))
        return request.get("StatementName") in {one["StatementName"] for one in listed.get("PreparedStatements", [])}

    def _call(self, operation: str, **request: Any) -> dict[str, Any]:
        return self._remembered.call(operation, request)


def _key(request: dict[str, Any]) -> dict[str, Any]:
    return {"StatementName": request.get("StatementName"), "WorkGroup": request.get("WorkGroup")}
