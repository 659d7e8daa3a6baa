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

from deploy.local.athena.errors import QueryFailedError
from deploy.local.athena.functions import duckdb_name
from deploy.local.athena.time_formats import to_strftime

_TYPED_NODES = (
    exp.Array, exp.And, exp.Or, exp.Not, exp.Case, exp.Cast, exp.TryCast, exp.CurrentDate, exp.CurrentTimestamp,
    exp.Exists, exp.Extract, exp.If, exp.Localtimestamp, exp.StrPosition, exp.Trim, exp.Unnest, exp.Anonymous,
)  # fmt: skip
"""Function nodes that the parser makes by itself and that mean the same in DuckDB, or are rewritten below."""

_WRAPPERS = (exp.Window, exp.Filter, exp.IgnoreNulls, exp.RespectNulls, exp.WithinGroup)
_DATE_PARTS = frozenset({"DAY", "WEEK", "MONTH", "QUARTER", "YEAR"})
_PARTS = _DATE_PARTS | {"MILLISECOND", "SECOND", "MINUTE", "HOUR"}
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
    return query.sql(dialect="duckdb", normalize_functions=False)


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
    return _keeping_dates(exp.paren(node), node.this, str(node.expression.unit))


def _column(node: exp.Expr) -> exp.Expr:
    """`database.table.column` → `table.column`: tables are scanned under their bare names."""
    return exp.column(node.this.copy(), node.args["table"].copy()) if node.args.get("db") else node


def _function(node: exp.Anonymous) -> exp.Expr:
    name, arguments = node.name.lower(), node.expressions
    if name in _SPECIAL:
        return _SPECIAL[name](arguments)
    target = name if name in {"sum", "avg"} else duckdb_name(name)
    if target is None:
        raise QueryFailedError(f"FUNCTION_NOT_FOUND: line 1:1: Function '{name}' not registered")
    return node if target == name else exp.Anonymous(this=target, expressions=arguments)


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
    return _call("cast_to_type", value, sample)


def _keeping_dates(value: exp.Expr, sample: exp.Expr, unit: str) -> exp.Expr:
    """A date plus days stays a date; DuckDB would make it a timestamp."""
    return _call("cast_to_type", value, sample.copy()) if unit.upper() in _DATE_PARTS else value


def _extract(node: exp.Extract) -> exp.Expr:
    part = node.this.name.upper()
    if part not in _PARTS | _EXTRACTS.keys() or part == "MILLISECOND":
        raise QueryFailedError(f"NOT_SUPPORTED: EXTRACT({part})")
    return exp.Extract(this=exp.var(_EXTRACTS.get(part, part)), expression=node.expression)


def _cast(node: exp.Cast) -> exp.Expr:
    to: exp.DataType = node.to
    if to.this in _TIMES:
        name = _TIMES[to.this]
        if isinstance(node.this, exp.Literal) and _ZONE.search(node.this.name):
            name = "TIMESTAMPTZ"
        return type(node)(this=node.this, to=exp.DataType.build(name, dialect="duckdb"))
    if to.this is exp.DataType.Type.DECIMAL and not to.expressions:
        return type(node)(this=node.this, to=_decimal_type(node.this))
    if to.this in exp.DataType.TEXT_TYPES:
        text = _call("athena_varchar", node.this)
        return _call("left", text, to.expressions[0].this) if to.expressions else text
    if to.this in _INTEGERS:
        rounded = exp.TryCast(this=node.this.copy(), to=exp.DataType.build("double"))
        whole = type(node)(this=_call("round", rounded), to=to.copy())
        is_double = exp.EQ(this=_call("typeof", node.this.copy()), expression=exp.Literal.string("DOUBLE"))
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
        sources = [_call("map_keys", sources[0]), _call("map_values", sources[0])]
    if len(sources) == 1 and not ordinality:
        return node
    items = [_call("unnest", source) for source in sources]
    if ordinality:
        longest = _call("greatest", *(_call("len", source) for source in sources))
        count = exp.Add(this=longest, expression=exp.Literal.number(1))
        items.append(_call("unnest", _call("range", exp.Literal.number(1), count)))
    name = alias.this if alias is not None and alias.this else exp.to_identifier("_unnest")
    return exp.Lateral(
        this=exp.Subquery(this=exp.select(*(exp.alias_(item, f"_col{n}") for n, item in enumerate(items)))),
        alias=exp.TableAlias(this=name.copy(), columns=[column.copy() for column in columns]),
    )


def _named(item: exp.Expr, index: int) -> exp.Expr:
    if isinstance(item, exp.Alias | exp.Column | exp.Star | exp.Dot):
        return item
    return exp.alias_(item.copy(), f"_col{index}")


def _call(name: str, *arguments: exp.Expr) -> exp.Anonymous:
    return exp.Anonymous(this=name, expressions=[argument.copy() for argument in arguments])


def _unit(argument: exp.Expr) -> str:
    unit = argument.name.upper() if isinstance(argument, exp.Literal) else ""
    if unit not in _PARTS:
        raise QueryFailedError(f"INVALID_FUNCTION_ARGUMENT: '{argument.name}' is not a valid unit of time")
    return unit


def _arguments(name: str, arguments: list[exp.Expr], count: int) -> list[exp.Expr]:
    if len(arguments) != count:
        raise QueryFailedError(f"FUNCTION_NOT_FOUND: line 1:1: Unexpected parameters for function {name}")
    return arguments


def _date_add(arguments: list[exp.Expr]) -> exp.Expr:
    unit, amount, moment = _arguments("date_add", arguments, 3)
    step = exp.Interval(this=exp.Literal.string("1"), unit=exp.var(_unit(unit)))
    later = exp.Add(this=exp.paren(moment), expression=exp.Mul(this=exp.paren(amount), expression=step))
    return _keeping_dates(exp.paren(later), moment, _unit(unit))


def _date_diff(arguments: list[exp.Expr]) -> exp.Expr:
    unit, start, end = _arguments("date_diff", arguments, 3)
    return _call("date_sub", exp.Literal.string(_unit(unit).lower()), start, end)


def _date_trunc(arguments: list[exp.Expr]) -> exp.Expr:
    unit, moment = _arguments("date_trunc", arguments, 2)
    truncated = _call("date_trunc", exp.Literal.string(_unit(unit).lower()), moment)
    return _call("cast_to_type", truncated, moment)


def _with_format(function: str) -> Callable[[list[exp.Expr]], exp.Expr]:
    def build(arguments: list[exp.Expr]) -> exp.Expr:
        value, pattern = _arguments(function, arguments, 2)
        if not isinstance(pattern, exp.Literal):
            raise QueryFailedError("NOT_SUPPORTED: a time format must be a literal")
        return _call(function, value, exp.Literal.string(to_strftime(pattern.name, parsing=function == "strptime")))

    return build


def _concat(arguments: list[exp.Expr]) -> exp.Expr:
    joined = arguments[0]
    for argument in arguments[1:]:
        joined = exp.DPipe(this=joined.copy(), expression=exp.paren(argument), safe=False)
    return exp.paren(joined)


def _unless_null(function: str) -> Callable[[list[exp.Expr]], exp.Expr]:
    def build(arguments: list[exp.Expr]) -> exp.Expr:
        missing = exp.or_(*(exp.Is(this=exp.paren(one), expression=exp.null()) for one in arguments))
        return exp.Case(ifs=[exp.If(this=missing, true=exp.null())], default=_call(function, *arguments))

    return build


def _reduce(arguments: list[exp.Expr]) -> exp.Expr:
    values, initial, step, finish = _arguments("reduce", arguments, 4)
    if not isinstance(finish, exp.Lambda) or finish.this.sql() != finish.expressions[0].sql():
        raise QueryFailedError("NOT_SUPPORTED: reduce with an output function other than s -> s")
    return _call("list_reduce", values, step, initial)


def _count_if(arguments: list[exp.Expr]) -> exp.Expr:
    condition = _arguments("count_if", arguments, 1)[0]
    return _call("count", _call("nullif", condition, exp.false()))


def _map_agg(arguments: list[exp.Expr]) -> exp.Expr:
    key, value = _arguments("map_agg", arguments, 2)
    return _call("map_from_entries", _call("list", _call("row", key, value)))


_SPECIAL: dict[str, Callable[[list[exp.Expr]], exp.Expr]] = {
    "cardinality": lambda arguments: exp.cast(_call("cardinality", *arguments), "bigint"),
    "concat": _concat,
    "count_if": _count_if,
    "date_add": _date_add,
    "date_diff": _date_diff,
    "date_format": _with_format("strftime"),
    "date_parse": _with_format("strptime"),
    "date_trunc": _date_trunc,
    "greatest": _unless_null("greatest"),
    "least": _unless_null("least"),
    "map_agg": _map_agg,
    "reduce": _reduce,
    "substring": lambda arguments: _call("athena_substr", *arguments),
}

_REWRITES: tuple[tuple[type[exp.Expr] | tuple[type[exp.Expr], ...], Callable[[Any], exp.Expr]], ...] = (
    (exp.Anonymous, _function),
    (exp.Div, lambda node: _call("athena_divide", node.this, node.expression)),
    ((exp.Add, exp.Sub), _plus_interval),
    (exp.AtTimeZone, lambda node: _call("athena_at_timezone", node.this, node.args["zone"])),
    (exp.Localtimestamp, lambda _node: _call("athena_localtimestamp")),
    (exp.Extract, _extract),
    (exp.Cast, _cast),
    (exp.Unnest, _unnest),
    (exp.Column, _column),
)
