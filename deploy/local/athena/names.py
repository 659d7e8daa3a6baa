"""Names in statements → databases and tables of the catalogue."""

from deploy.local.athena.errors import QueryFailedError
from deploy.local.athena.glue import Glue
from deploy.local.athena.glue_items import Table
from deploy.local.athena.statements import TableName


class Names:
    """Looks names up; `database` is where those without one are."""

    def __init__(self, glue: Glue) -> None:
        self._glue = glue

    def schema(self, name: TableName, database: str) -> str:
        """The database that `name` is in. Raises `QueryFailedError` when it is not there."""
        schema = (name.database or database).lower()
        if not self._glue.has_database(schema):
            raise QueryFailedError(f"FAILED: SemanticException [Error 10072]: Database does not exist: {schema}")
        return schema

    def find(self, name: TableName, database: str) -> Table | None:
        """The table or view, or None."""
        return self._glue.table((name.database or database).lower(), name.table)

    def need(self, name: TableName, database: str) -> Table:
        """The table or view. Raises `QueryFailedError` when it is not there."""
        table = self.find(name, database)
        if table is None:
            full = f"{(name.database or database).lower()}.{name.table}"
            raise QueryFailedError(f"FAILED: SemanticException [Error 10001]: Table not found {full}")
        return table
