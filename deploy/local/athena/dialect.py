"""Athena's SQL, parsed. sqlglot reads the grammar; every function call stays as written, for `rewrite` to judge."""

from collections.abc import Callable, Sequence
from typing import ClassVar

from sqlglot import exp
from sqlglot.dialects.trino import Trino
from sqlglot.errors import SqlglotError
from sqlglot.parsers.trino import TrinoParser
from sqlglot.tokenizer_core import Token, TokenType

from deploy.local.athena.errors import InvalidRequestError, QueryFailedError

_OPENING = frozenset({TokenType.L_PAREN, TokenType.L_BRACKET})
_CLOSING = frozenset({TokenType.R_PAREN, TokenType.R_BRACKET})
_NO_VALUES = (exp.Column, exp.Table, exp.Subquery, exp.Placeholder, exp.Star, exp.Tuple)
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


def bind(sql: str, parameters: Sequence[str]) -> str:
    """`sql` with its `?` replaced by literals. Raises `InvalidRequestError` when their numbers differ."""
    places = [token for token in _tokens(sql) if token.token_type is TokenType.PLACEHOLDER]
    if len(places) != len(parameters):
        raise InvalidRequestError(
            f"INVALID_PARAMETER_USAGE: line 1:1: Incorrect number of parameters: expected {len(places)} "
            f"but found {len(parameters)}"
        )
    bound, end = "", 0
    for token, parameter in zip(places, parameters, strict=True):
        bound += sql[end : token.start] + _literal(parameter)
        end = token.end + 1
    return bound + sql[end:]


def expressions(sql: str) -> tuple[str, ...]:
    """`'a', DATE '2026-04-09', 3` → the text of each. Raises `InvalidRequestError` on a syntax error."""
    found, start, depth = [], 0, 0
    for token in _tokens(sql):
        depth += (token.token_type in _OPENING) - (token.token_type in _CLOSING)
        if token.token_type is TokenType.COMMA and depth == 0:
            found.append(sql[start : token.start].strip())
            start = token.end + 1
    return (*found, sql[start:].strip())


def closing_parenthesis(sql: str, start: int) -> int:
    """Where the parenthesis that opens at `start` is closed. Raises `InvalidRequestError` when it is not."""
    depth = 0
    for token in _tokens(sql):
        if token.start < start:
            continue
        depth += (token.token_type is TokenType.L_PAREN) - (token.token_type is TokenType.R_PAREN)
        if depth == 0:
            return int(token.start)
    raise InvalidRequestError("line 1:1: mismatched input '<EOF>'. Expecting: )")


def _tokens(sql: str) -> list[Token]:
    try:
        return Trino().tokenize(sql)
    except SqlglotError as error:
        raise InvalidRequestError(_first_problem(error)) from None


def _literal(parameter: str) -> str:
    """A parameter that is a value by itself: it names no column, no table and holds no query."""
    value = parse(f"SELECT ({parameter})")
    if not isinstance(value, exp.Select) or len(value.expressions) != 1 or value.find(*_NO_VALUES):
        raise InvalidRequestError(f"INVALID_PARAMETER_USAGE: {parameter} is no literal value; texts need quotes")
    return parameter.strip() if isinstance(value.expressions[0].unnest(), exp.Literal) else f"({parameter})"


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
