"""Formulas as text: numbers, names, `+ - * / **`, brackets, `max`, `min`, `ceil`. What is shown is what is computed."""

import ast
import math
import operator
from collections.abc import Callable, Mapping

from headrace.errors import ConfigError

_OPERATIONS: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
_FUNCTIONS: Mapping[str, Callable[..., float]] = {"max": max, "min": min, "ceil": math.ceil}


def evaluate(formula: str, values: Mapping[str, float]) -> float:
    """The number that a formula comes to.

    Raises `ConfigError` for a name without a value and a division by zero, `SyntaxError` for what is no formula.
    """
    try:
        return _value(ast.parse(formula, mode="eval").body, values)
    except KeyError as error:
        raise ConfigError([f"{formula}: nothing is called {error.args[0]}"]) from None
    except ZeroDivisionError:
        raise ConfigError([f"{formula}: a division by zero"]) from None


def _value(node: ast.expr, values: Mapping[str, float]) -> float:
    match node:
        case ast.Constant(value=int() | float() as number):
            return float(number)
        case ast.Name(id=name):
            return values[name]
        case ast.BinOp(left=left, op=operation, right=right) if type(operation) in _OPERATIONS:
            return _OPERATIONS[type(operation)](_value(left, values), _value(right, values))
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in _FUNCTIONS:
            return float(_FUNCTIONS[name](*(_value(argument, values) for argument in arguments)))
    raise SyntaxError(f"no formula: {ast.unparse(node)}")
