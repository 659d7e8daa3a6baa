"""Athena's SQL → DuckDB's. What means something else in DuckDB is rewritten; what is unknown fails.

Rewritten: integer and decimal division, sums and averages that keep their type, date arithmetic that keeps dates,
AT TIME ZONE, UNNEST of maps and several arrays, NULL in `concat`, `greatest` and `least`, casts to text and from
doubles to integers, and `_col0` as the name of an unnamed column.
"""

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from sqlglot import exp
from sqlglot.dialects.duckdb import DuckDB  # by its name it would be imported with the first query

from deploy.local.athena.calls import PARTS, call, keeping_dates, rewrite_call
from deploy.local.athena.errors import QueryFailedError

_TYPED_NODES = (
    exp.Array, exp.And, exp.Or, exp.Not, exp.Case, exp.Cast, exp.TryCast, exp.CurrentDate, exp.CurrentTimestamp,
    exp.Exists, exp.Extract, exp.If, exp.Localtimestamp, exp.StrPosition, exp.Trim, exp.Unnest, exp.Anonymous,
)  # fmt: skip
"""Function nodes that the parser makes by itself and that mean the same in DuckDB, or are rewritten below."""

_WRAPPERS = (exp.Window, exp.Filter, exp.IgnoreNulls, exp.RespectNulls, exp.WithinGroup)
_EXTRACTS = {"DOW": "ISODOW", "DAY_OF_WEEK": "ISODOW", "DOY": "DOY", "DAY_OF_YEAR": "DOY"}
_INTEGERS = frozenset(
    {exp.DataType.Type.TINYINT, exp.DataType.Type.SMALLINT, exp.DataType.Type.INT, exp.DataType.Type.BIGINT}
)
_TIMES = {
    exp.DataType.Type.TIMESTAMP: "TIMESTAMP", exp.DataType.Type.TIMESTAMPTZ: "TIMESTAMPTZ",
}  # fmt: skip
_NUMBER = re.compile(r"[+-]?\d*\.?\d+")
_ZONE = re.compile(r"\d\d:\d\d.*([+-]\d\d:?\d\d|[A-Za-z])")


def to_duckdb(query: exp.Query) -> str:
    """DuckDB's text for a query whose tables are already DuckDB's. Changes `query`."""
    for node in reversed(list(query.walk(bfs=True))):
        _check(node)
        replacement = _rewrite(node)
        if replacement is not node:
            node.replace(replacement)
    for select in query.find_all(exp.Select):
        select.set("expressions", [_named(item, index) for index, item in enumerate(select.expressions)])
    return query.sql(dialect=DuckDB, normalize_functions=False)


def _check(node: exp.Expr) -> None:
    if isinstance(node, exp.Func) and type(node) not in _TYPED_NODES:
        raise QueryFailedError(f"FUNCTION_NOT_FOUND: line 1:1: Function '{node.sql().lower()}' not registered")
    if isinstance(node, exp.Predicate) and any(_is_zoned(child) for child in node.iter_expressions()):
        raise QueryFailedError("NOT_SUPPORTED: comparing a timestamp in a time zone; cast it to timestamp first")


def _is_zoned(node: exp.Expr) -> bool:
    return isinstance(node, exp.Anonymous) and node.name.lower() == "athena_at_timezone"


def _rewrite(node: exp.Expr) -> exp.Expr:
    rewrite = next((rewrite for kind, rewrite in _REWRITES if isinstance(node, kind)), None)
    rewritten = node if rewrite is None else rewrite(node)
    if isinstance(node.parent, _WRAPPERS) and node.arg_key == "this":
        return rewritten  # the outermost of OVER, FILTER … decides
    return _keeping_type(rewritten)


def _plus_interval(node: exp.Expr) -> exp.Expr:
    if not isinstance(node.expression, exp.Interval):
        return node
    return keeping_dates(exp.paren(node), node.this, str(node.expression.unit))


def _column(node: exp.Expr) -> exp.Expr:
    """`database.table.column` → `table.column`: tables are scanned under their bare names."""
    return exp.column(node.this.copy(), node.args["table"].copy()) if node.args.get("db") else node


def _keeping_type(node: exp.Expr) -> exp.Expr:
    """Sums of integers stay bigint, sums and averages of decimals stay decimal with their scale."""
    inner = node
    while isinstance(inner, _WRAPPERS):
        inner = inner.this
    if not isinstance(inner, exp.Anonymous) or inner.name.lower() not in {"sum", "avg"}:
        return node
    sample_function = "max" if inner.name.lower() == "sum" else "median"
    value, sample = node.copy(), node.copy()
    innermost = sample
    while isinstance(innermost, _WRAPPERS):
        innermost = innermost.this
    innermost.set("this", sample_function)
    if sample_function == "max":
        sample = exp.Add(this=sample, expression=exp.cast(exp.Literal.number(0), "bigint"))
    return call("cast_to_type", value, sample)


def _extract(node: exp.Extract) -> exp.Expr:
    part = node.this.name.upper()
    if part not in PARTS | _EXTRACTS.keys() or part == "MILLISECOND":
        raise QueryFailedError(f"NOT_SUPPORTED: EXTRACT({part})")
    return exp.Extract(this=exp.var(_EXTRACTS.get(part, part)), expression=node.expression)


def _cast(node: exp.Cast) -> exp.Expr:
    to: exp.DataType = node.to
    if to.this in _TIMES:
        name = _TIMES[to.this]
        if isinstance(node.this, exp.Literal) and _ZONE.search(node.this.name):
            name = "TIMESTAMPTZ"
        return type(node)(this=node.this, to=exp.DataType.build(name, dialect=DuckDB))
    if to.this is exp.DataType.Type.DECIMAL and not to.expressions:
        return type(node)(this=node.this, to=_decimal_type(node.this))
    if to.this in exp.DataType.TEXT_TYPES:
        text = call("athena_varchar", node.this)
        return call("left", text, to.expressions[0].this) if to.expressions else text
    if to.this in _INTEGERS:
        rounded = exp.TryCast(this=node.this.copy(), to=exp.DataType.build("double"))
        whole = type(node)(this=call("round", rounded), to=to.copy())
        is_double = exp.EQ(this=call("typeof", node.this.copy()), expression=exp.Literal.string("DOUBLE"))
        return exp.Case(ifs=[exp.If(this=is_double, true=whole)], default=node.copy())
    return node


def _decimal_type(value: exp.Expr) -> exp.DataType:
    """`DECIMAL '9.50'` has the digits of its text; any other cast to decimal has no fraction."""
    if not (isinstance(value, exp.Literal) and value.is_string and _NUMBER.fullmatch(value.name)):
        return exp.DataType.build("decimal(38, 0)")
    _, digits, exponent = Decimal(value.name).as_tuple()
    scale = max(0, -int(exponent))
    return exp.DataType.build(f"decimal({max(len(digits), scale)}, {scale})")


def _unnest(node: exp.Unnest) -> exp.Expr:
    """Anything beyond one array becomes a lateral query; a single array with two columns is taken as a map."""
    alias = node.args.get("alias")
    columns = list(alias.columns) if alias is not None else []
    ordinality = node.args.get("offset")
    sources = list(node.expressions)
    if isinstance(ordinality, exp.Expr):
        columns.append(ordinality)
    if len(sources) == 1 and len(columns) - bool(ordinality) == 2:  # noqa: PLR2004 - key and value
        sources = [call("map_keys", sources[0]), call("map_values", sources[0])]
    if len(sources) == 1 and not ordinality:
        return node
    items = [call("unnest", source) for source in sources]
    if ordinality:
        longest = call("greatest", *(call("len", source) for source in sources))
        count = exp.Add(this=longest, expression=exp.Literal.number(1))
        items.append(call("unnest", call("range", exp.Literal.number(1), count)))
    name = alias.this if alias is not None and alias.this else exp.to_identifier("_unnest")
    return exp.Lateral(
        this=exp.Subquery(this=exp.select(*(exp.alias_(item, f"_col{n}") for n, item in enumerate(items)))),
        alias=exp.TableAlias(this=name.copy(), columns=[column.copy() for column in columns]),
    )


def _named(item: exp.Expr, index: int) -> exp.Expr:
    if isinstance(item, exp.Alias | exp.Column | exp.Star | exp.Dot):
        return item
    return exp.alias_(item.copy(), f"_col{index}")


_REWRITES: tuple[tuple[type[exp.Expr] | tuple[type[exp.Expr], ...], Callable[[Any], exp.Expr]], ...] = (
    (exp.Anonymous, rewrite_call),
    (exp.Div, lambda node: call("athena_divide", node.this, node.expression)),
    ((exp.Add, exp.Sub), _plus_interval),
    (exp.AtTimeZone, lambda node: call("athena_at_timezone", node.this, node.args["zone"])),
    (exp.Localtimestamp, lambda _node: call("athena_localtimestamp")),
    (exp.Extract, _extract),
    (exp.Cast, _cast),
    (exp.Unnest, _unnest),
    (exp.Column, _column),
)
