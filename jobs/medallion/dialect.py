"""The job's SQL: files in Athena's dialect, and what DuckDB and Spark read in their place.

Only what means the same in all three goes through; the rest raises, rather than being transpiled to something close.
What is let through on conditions:

- division is of doubles, and never by zero: `CAST(a AS DOUBLE) / NULLIF(CAST(b AS DOUBLE), 0)`. Of integers it cuts in
  Athena and does not elsewhere; by zero it is infinite, NULL or an error;
- `sum` and `hour` stand in a cast: DuckDB sums bigint to hugeint and takes hours as bigint;
- times have six digits, `TIMESTAMP(6)`: without, Athena cuts to milliseconds. In Spark they are without time zone;
- decimals say precision and scale: each engine has defaults of its own;
- patterns are literals in the part of the grammar that Java, RE2 and Joni share: no dollar, no dot and no class by name
  such as that of digits, which know of line ends or of more than ASCII here and there; `[0-9]` says what it means, and
  the end of the text is a backslash and z. LIKE has no backslash, Spark's escape;
- NULLs sort last unless the query says otherwise, as in Athena; `concat` with a NULL is NULL.

What no look at the text can tell is left to who writes it: texts are cast to numbers and times only after a pattern has
matched them, for engines accept different ones; doubles and times are not cast to text, nor doubles to integers; only
ASCII goes through `lower`; a decimal is multiplied by columns, for DuckDB's product with a literal has no more digits.
"""

import re
from collections.abc import Callable, Mapping
from importlib import resources

import sqlglot
from sqlglot import exp
from sqlglot.errors import ErrorLevel, SqlglotError

from headrace.errors import StopError

_ALLOWED: frozenset[type[exp.Expr]] = frozenset({
    # clauses
    exp.Select, exp.From, exp.Where, exp.Group, exp.Having, exp.Order, exp.Ordered, exp.Join, exp.With, exp.CTE,
    exp.Subquery, exp.Union, exp.Distinct, exp.Window, exp.Filter, exp.Table, exp.TableAlias, exp.Alias, exp.Column,
    exp.Identifier, exp.Star, exp.Dot,
    # values and types
    exp.Literal, exp.Null, exp.Boolean, exp.DataType, exp.DataTypeParam, exp.Cast, exp.TryCast,
    # operators
    exp.Paren, exp.And, exp.Or, exp.Not, exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.NullSafeEQ,
    exp.NullSafeNEQ, exp.Is, exp.In, exp.Between, exp.Like, exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod, exp.Neg,
    exp.DPipe, exp.Concat,
    # functions
    exp.Case, exp.If, exp.Coalesce, exp.Nullif, exp.RegexpLike, exp.Replace, exp.Lower, exp.Length, exp.Hour,
    exp.Abs, exp.Count, exp.CountIf, exp.Sum, exp.Min, exp.Max, exp.RowNumber,
})  # fmt: skip

_PARTS: Mapping[type[exp.Expr], frozenset[str]] = {
    exp.Select: frozenset(
        {"expressions", "from_", "where", "group", "having", "order", "with_", "joins", "distinct"}
    ),
    exp.Union: frozenset({"this", "expression", "distinct", "with_"}),
    exp.Table: frozenset({"this", "alias"}),
    exp.Window: frozenset({"this", "partition_by", "order", "over"}),
    exp.Group: frozenset({"expressions"}),
}  # fmt: skip
"""Of nodes that can hold much: what they may hold. LIMIT without a total order, say, differs from run to run."""

_TYPES = frozenset({
    exp.DType.BOOLEAN, exp.DType.INT, exp.DType.BIGINT, exp.DType.DOUBLE, exp.DType.DECIMAL, exp.DType.VARCHAR,
    exp.DType.DATE, exp.DType.TIMESTAMP,
})  # fmt: skip
_DOUBLE = exp.DType.DOUBLE
_PORTABLE_PATTERN = re.compile(
    r"""(?: [^\\\[\]$.]             # a plain character, a group, a quantifier,
          | \\[^A-Za-z0-9]          # an escaped sign,
          | \\[zntr]                # the end of the text, a control character
          | \[ (?: [^\\\[\]] | \\[^A-Za-z0-9] | \\[ntr] )+ \]   # or a class of such
        )*""",
    re.VERBOSE,
)
_PORTABLE_GROUP = re.compile(r"\((?!\?(?!:))")


class UnportableSqlError(StopError):
    """A query uses what does not mean the same in Athena, DuckDB and Spark: a defect of its file."""


def load(name: str) -> str:
    """The text of `headrace/sql/medallion/{name}.sql`. Raises `FileNotFoundError` when there is none."""
    return resources.files("headrace.sql").joinpath("medallion", f"{name}.sql").read_text(encoding="utf-8")


def to_duckdb(sql: str) -> str:
    """A query in Athena's dialect as DuckDB reads it. Raises `UnportableSqlError`."""
    return _generate(_parse(sql), "duckdb")


def to_spark(sql: str) -> str:
    """A query in Athena's dialect as Spark 3.5 and 4 read it, with or without ANSI. Raises `UnportableSqlError`."""
    return _generate(_parse(sql).transform(_without_zone), "spark")


def _parse(sql: str) -> exp.Query:
    try:
        query = sqlglot.parse_one(sql, read="athena")
    except SqlglotError as error:
        raise UnportableSqlError(str(error)) from error
    if not isinstance(query, exp.Query):
        raise UnportableSqlError(f"no query: {query.sql('athena')}")
    for node in query.walk():
        _check(node)
    plain = query.transform(_plainly)
    assert isinstance(plain, exp.Query)
    return plain


def _generate(query: exp.Expr, dialect: str) -> str:
    try:
        return query.sql(dialect, unsupported_level=ErrorLevel.RAISE, pretty=True, comments=False)
    except SqlglotError as error:
        raise UnportableSqlError(str(error)) from error


def _check(node: exp.Expr) -> None:
    if type(node) not in _ALLOWED:
        raise _refusal(node)
    parts = _PARTS.get(type(node))
    if parts is not None and (more := {name for name, value in node.args.items() if value} - parts):
        raise _refusal(node, ", ".join(sorted(more)))
    condition = _CONDITIONS.get(type(node))
    if condition is not None and not condition(node):
        raise _refusal(node)


def _refusal(node: exp.Expr, about: str = "") -> UnportableSqlError:
    what = f"{type(node).__name__} {about}".strip()
    return UnportableSqlError(f"does not mean the same in Athena, DuckDB and Spark: {what}: {node.sql('athena')}")


def _plainly(node: exp.Expr) -> exp.Expr:
    """Calls that engines know by several names, or type differently, as constructs that they share."""
    if isinstance(node, exp.CountIf):
        return exp.Count(this=exp.case().when(node.this, exp.Literal.number(1)))
    if isinstance(node, exp.Concat):
        first, *others = node.expressions
        joined = first
        for other in others:
            joined = exp.DPipe(this=joined, expression=exp.paren(other), safe=False)
        return exp.paren(joined)
    if isinstance(node, exp.DataType) and node.this is exp.DType.TIMESTAMP:
        return exp.DataType(this=exp.DType.TIMESTAMP)
    return node


def _without_zone(node: exp.Expr) -> exp.Expr:
    if isinstance(node, exp.DataType) and node.this is exp.DType.TIMESTAMP:
        return exp.DataType(this=exp.DType.TIMESTAMPNTZ)
    return node


def _is_in_cast(node: exp.Expr) -> bool:
    around = node.parent
    while isinstance(around, exp.Filter | exp.Window):
        around = around.parent
    return isinstance(around, exp.Cast)


def _is_double(node: exp.Expr) -> bool:
    return isinstance(node.unnest(), exp.Cast) and node.unnest().args["to"].this is _DOUBLE


def _divides_doubles(node: exp.Expr) -> bool:
    divisor = node.expression.unnest()
    return (
        _is_double(node.this)
        and isinstance(divisor, exp.Nullif)
        and _is_double(divisor.this)
        and divisor.expression.sql() == "0"
    )


def _is_portable_type(node: exp.Expr) -> bool:
    digits = [int(parameter.name) for parameter in node.expressions]
    match node.this:
        case exp.DType.DECIMAL:
            return len(digits) == 2  # noqa: PLR2004 - precision and scale
        case exp.DType.TIMESTAMP:
            cast = node.parent
            return digits == [6] or (isinstance(cast, exp.Cast) and cast.this.is_string)
        case kind:
            return kind in _TYPES and not digits


def _is_portable_pattern(node: exp.Expr) -> bool:
    pattern = node.expression
    if not pattern.is_string or node.args.get("flag"):
        return False
    text = pattern.name
    groups = text.replace("\\(", "")
    return bool(_PORTABLE_PATTERN.fullmatch(text)) and len(_PORTABLE_GROUP.findall(groups)) == groups.count("(")


_CONDITIONS: Mapping[type[exp.Expr], Callable[[exp.Expr], bool]] = {
    exp.Count: lambda node: not node.find(exp.Tuple) and not node.expressions,
    exp.DataType: _is_portable_type,
    exp.Div: _divides_doubles,
    exp.Hour: _is_in_cast,
    exp.In: lambda node: not node.args.get("unnest"),
    exp.Join: lambda node: node.args.get("method") in {None, ""} and not node.args.get("match_condition"),
    exp.Like: lambda node: node.expression.is_string and "\\" not in node.expression.name,
    exp.RegexpLike: _is_portable_pattern,
    exp.Sum: _is_in_cast,
    exp.Table: lambda node: isinstance(node.this, exp.Identifier),
}
