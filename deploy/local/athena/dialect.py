"""Athena's SQL, parsed. sqlglot reads the grammar; every function call stays as written, for `rewrite` to judge."""

from collections.abc import Callable
from typing import ClassVar

from sqlglot import exp
from sqlglot.dialects.trino import Trino
from sqlglot.errors import SqlglotError
from sqlglot.parsers.trino import TrinoParser

from deploy.local.athena.errors import InvalidRequestError, QueryFailedError

_TABLE_EXTRAS = ("sample", "version", "pivots", "when", "changes", "rows_from")


class _Parser(TrinoParser):
    """Trino's grammar, with every function call left as it is written."""

    FUNCTIONS: ClassVar[dict[str, Callable[..., exp.Expr]]] = {}
    FUNCTION_PARSERS = {  # noqa: RUF012
        name: parser
        for name, parser in TrinoParser.FUNCTION_PARSERS.items()
        if name in {"CAST", "TRY_CAST", "EXTRACT", "TRIM", "POSITION"}
    }


def parse(sql: str) -> exp.Query:
    """The one query in `sql`. Raises `InvalidRequestError` on a syntax error, or when it is no query."""
    dialect = Trino()
    try:
        found = _Parser(dialect=dialect).parse(dialect.tokenize(sql), sql)
    except SqlglotError as error:
        raise InvalidRequestError(_first_problem(error)) from None
    statements = [statement for statement in found if statement is not None]
    if len(statements) != 1:
        raise InvalidRequestError("Only one sql statement is allowed")
    query = statements[0]
    if isinstance(query, exp.Values):
        query = exp.select("*").from_(query)
    if not isinstance(query, exp.Query):
        raise InvalidRequestError("Queries of this type are not supported")
    return query


def real_tables(query: exp.Query) -> list[exp.Table]:
    """The tables in the query that are not names of WITH queries. Raises `QueryFailedError` for table functions."""
    found = []
    for table in query.find_all(exp.Table):
        if not isinstance(table.this, exp.Identifier):
            raise QueryFailedError(f"FUNCTION_NOT_FOUND: table function {table.this.sql()} is not supported")
        if any(table.args.get(extra) for extra in _TABLE_EXTRAS):
            raise QueryFailedError(f"NOT_SUPPORTED: {table.sql()}")
        if not _names_cte(table):
            found.append(table)
    return found


def _first_problem(error: SqlglotError) -> str:
    for problem in getattr(error, "errors", None) or []:
        return f"line {problem['line']}:{problem['col']}: {problem['description']}"
    return f"line 1:1: {str(error).splitlines()[0]}"


def _names_cte(table: exp.Table) -> bool:
    """Whether a WITH query in scope has this name; inside a WITH query only those before it count."""
    if table.args.get("db"):
        return False
    name, child, node = table.name.lower(), None, table.parent
    inside: exp.Expr | None = None
    while node is not None:
        if isinstance(node, exp.CTE):
            inside = node
        if isinstance(node, exp.With):
            earlier = [] if inside is None else node.expressions[: node.expressions.index(inside)]
            visible = node.expressions if node.args.get("recursive") else earlier
            if any(cte.alias.lower() == name for cte in visible):
                return True
        with_ = node.args.get("with_")
        if with_ is not None and with_ is not child and any(cte.alias.lower() == name for cte in with_.expressions):
            return True
        child, node = node, node.parent
    return False
