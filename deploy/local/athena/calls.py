"""Calls of Athena's functions → DuckDB's: by another name, with other arguments, or as another expression."""

from collections.abc import Callable

from sqlglot import exp

from deploy.local.athena.errors import QueryFailedError
from deploy.local.athena.functions import duckdb_name
from deploy.local.athena.time_formats import to_strftime

_DATE_PARTS = frozenset({"DAY", "WEEK", "MONTH", "QUARTER", "YEAR"})
PARTS = _DATE_PARTS | {"MILLISECOND", "SECOND", "MINUTE", "HOUR"}
"""Units of time that Athena knows."""


def rewrite_call(node: exp.Anonymous) -> exp.Expr:
    """The call as DuckDB understands it. Raises `QueryFailedError` for a function that Athena does not have."""
    name, arguments = node.name.lower(), node.expressions
    if name in _SPECIAL:
        return _SPECIAL[name](arguments)
    target = name if name in {"sum", "avg"} else duckdb_name(name)
    if target is None:
        raise QueryFailedError(f"FUNCTION_NOT_FOUND: line 1:1: Function '{name}' not registered")
    return node if target == name else exp.Anonymous(this=target, expressions=arguments)


def keeping_dates(value: exp.Expr, sample: exp.Expr, unit: str) -> exp.Expr:
    """A date plus days stays a date; DuckDB would make it a timestamp."""
    return call("cast_to_type", value, sample.copy()) if unit.upper() in _DATE_PARTS else value


def call(name: str, *arguments: exp.Expr) -> exp.Anonymous:
    """A call of a function of DuckDB's, or of ours in it."""
    return exp.Anonymous(this=name, expressions=[argument.copy() for argument in arguments])


def _unit(argument: exp.Expr) -> str:
    unit = argument.name.upper() if isinstance(argument, exp.Literal) else ""
    if unit not in PARTS:
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
    return keeping_dates(exp.paren(later), moment, _unit(unit))


def _date_diff(arguments: list[exp.Expr]) -> exp.Expr:
    unit, start, end = _arguments("date_diff", arguments, 3)
    return call("date_sub", exp.Literal.string(_unit(unit).lower()), start, end)


def _date_trunc(arguments: list[exp.Expr]) -> exp.Expr:
    unit, moment = _arguments("date_trunc", arguments, 2)
    truncated = call("date_trunc", exp.Literal.string(_unit(unit).lower()), moment)
    return call("cast_to_type", truncated, moment)


def _with_format(function: str) -> Callable[[list[exp.Expr]], exp.Expr]:
    def build(arguments: list[exp.Expr]) -> exp.Expr:
        value, pattern = _arguments(function, arguments, 2)
        if not isinstance(pattern, exp.Literal):
            raise QueryFailedError("NOT_SUPPORTED: a time format must be a literal")
        return call(function, value, exp.Literal.string(to_strftime(pattern.name, parsing=function == "strptime")))

    return build


def _concat(arguments: list[exp.Expr]) -> exp.Expr:
    joined = arguments[0]
    for argument in arguments[1:]:
        joined = exp.DPipe(this=joined.copy(), expression=exp.paren(argument), safe=False)
    return exp.paren(joined)


def _unless_null(function: str) -> Callable[[list[exp.Expr]], exp.Expr]:
    def build(arguments: list[exp.Expr]) -> exp.Expr:
        missing = exp.or_(*(exp.Is(this=exp.paren(one), expression=exp.null()) for one in arguments))
        return exp.Case(ifs=[exp.If(this=missing, true=exp.null())], default=call(function, *arguments))

    return build


def _reduce(arguments: list[exp.Expr]) -> exp.Expr:
    values, initial, step, finish = _arguments("reduce", arguments, 4)
    if not isinstance(finish, exp.Lambda) or finish.this.sql() != finish.expressions[0].sql():
        raise QueryFailedError("NOT_SUPPORTED: reduce with an output function other than s -> s")
    return call("list_reduce", values, step, initial)


def _count_if(arguments: list[exp.Expr]) -> exp.Expr:
    condition = _arguments("count_if", arguments, 1)[0]
    return call("count", call("nullif", condition, exp.false()))


def _map_agg(arguments: list[exp.Expr]) -> exp.Expr:
    key, value = _arguments("map_agg", arguments, 2)
    return call("map_from_entries", call("list", call("row", key, value)))


_SPECIAL: dict[str, Callable[[list[exp.Expr]], exp.Expr]] = {
    "cardinality": lambda arguments: exp.cast(call("cardinality", *arguments), "bigint"),
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
    "substring": lambda arguments: call("athena_substr", *arguments),
}
