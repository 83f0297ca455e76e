"""Arithmetic expressions over names, evaluated without running them as code."""

import ast
import math
from collections.abc import Callable, Mapping

__all__ = ["ExpressionError", "UndefinedExpressionError", "evaluate"]

_MAX_CHARACTERS = 2000

_BINARY: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
    ast.Pow: math.pow,
}
_UNARY: Mapping[type[ast.unaryop], Callable[[float], float]] = {
    ast.UAdd: lambda a: a,
    ast.USub: lambda a: -a,
}
_FUNCTIONS: Mapping[str, Callable[..., float]] = {
    "abs": math.fabs,
    "ceil": math.ceil,
    "exp": math.exp,
    "floor": math.floor,
    "log": math.log,
    "max": max,
    "min": min,
    "sqrt": math.sqrt,
}


class ExpressionError(ValueError):
    """An expression is invalid or has no value."""


class UndefinedExpressionError(ExpressionError):
    """An expression has no value, such as `1 / 0`."""


def evaluate(expression: str, values: Mapping[str, float]) -> float:
    """Evaluate an expression.

    Args:
        expression: Numbers, names, `+ - * / **`, parentheses, and the functions `abs`, `ceil`,
            `exp`, `floor`, `log`, `max`, `min` and `sqrt`.
        values: Values of the names.

    Raises:
        ExpressionError: The expression is invalid.
        UndefinedExpressionError: It has no value.

    Example:
        ```python
        from tunesmith.service.grading.expressions import evaluate

        assert evaluate("0.5 * (style + truth)", {"style": 1, "truth": 0}) == 0.5
        ```
    """
    try:
        return _value(_parse(expression), values)
    except ExpressionError:
        raise
    except (ArithmeticError, TypeError, ValueError, RecursionError) as error:
        raise UndefinedExpressionError(f"{expression!r} has no value: {error}") from None


def _parse(expression: str) -> ast.expr:
    if len(expression) > _MAX_CHARACTERS:
        raise ExpressionError(f"a formula may have at most {_MAX_CHARACTERS} characters")
    try:
        return ast.parse(expression.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ExpressionError(f"{expression!r} is not a formula") from None


def _value(node: ast.expr, values: Mapping[str, float]) -> float:
    match node:
        case ast.Constant(value=bool()):
            pass
        case ast.Constant(value=int() | float() as number):
            return float(number)
        case ast.Name(id=name) if name in values:
            return float(values[name])
        case ast.Name(id=name):
            raise ExpressionError(f"unknown grader {name!r}")
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            return _BINARY[type(op)](_value(left, values), _value(right, values))
        case ast.UnaryOp(op=op, operand=operand) if type(op) in _UNARY:
            return _UNARY[type(op)](_value(operand, values))
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in _FUNCTIONS:
            return float(_FUNCTIONS[name](*(_value(argument, values) for argument in arguments)))
        case _:
            pass
    raise ExpressionError(f"{ast.unparse(node)!r} cannot be part of a formula")
