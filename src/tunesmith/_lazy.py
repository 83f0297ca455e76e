"""Public names: read from a package's stub and loaded on first use; errors for missing ones."""

import sys
from collections.abc import Callable, Iterable
from functools import cache, wraps
from importlib import import_module
from pkgutil import get_data
from types import CodeType, FunctionType, ModuleType
from typing import Any, ParamSpec, TypeVar, cast

__all__ = ["attach_stub", "explain_parameter", "explains_parameters", "missing_attribute"]

P = ParamSpec("P")
R = TypeVar("R")


def attach_stub(package: str) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Return `__getattr__` and `__dir__` for a package whose public names stand in its stub.

    `__init__.pyi` imports each public name from the module that defines it. Type checkers and
    editors read it, and so does the interpreter when a name is first used: importing the package
    loads none of its modules, and each name is listed once.

    Args:
        package: The package's `__name__`.

    Example:
        ```python
        __getattr__, __dir__ = attach_stub(__name__)
        ```
    """

    @cache
    def sources() -> dict[str, str]:
        import ast  # noqa: PLC0415 - only needed once a name is used

        stub = get_data(package, "__init__.pyi") or b""
        return {
            alias.name: node.module
            for node in ast.parse(stub).body
            if isinstance(node, ast.ImportFrom) and node.module
            for alias in node.names
        }

    def load(name: str) -> object:
        value: object
        if name == "__all__":
            value = sorted(sources())
        elif name in sources():
            value = getattr(import_module(sources()[name]), name)
        else:
            raise _missing_name(package, name)
        setattr(sys.modules[package], name, value)
        return value

    def list_names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *sources()})

    return load, list_names


def missing_attribute(value: object, owners: tuple[str, ...], name: str) -> AttributeError:
    """Return the error for a missing attribute, with a hint if the official SDK has it.

    Args:
        value: The object that lacks it.
        owners: Kinds of object in the official SDK, most specific first; see `_sdk_names`.
        name: The attribute.
    """
    from tunesmith._sdk_names import find_hint  # noqa: PLC0415 - only needed for errors

    if isinstance(value, ModuleType):
        message = f"module {value.__name__!r} has no attribute {name!r}"
    else:
        message = f"{type(value).__name__!r} object has no attribute {name!r}"
    hint = find_hint(owners, name)
    if hint is None:
        usual = name.rstrip("_")
        usual = _USUAL_NAMES.get(usual, usual)
        hint = f"write {usual}(…)" if hasattr(type(value), usual) else None
    if hint is None:
        return AttributeError(message, name=name, obj=value)
    return AttributeError(f"{message}: {hint}")


_USUAL_NAMES = {
    "del": "delete",
    "fetch": "retrieve",
    "get": "retrieve",
    "poll": "wait",
    "remove": "delete",
    "stop": "cancel",
}
"""Names of methods in other clients, by which users look for the usual ones."""


def explain_parameter(name: str, owners: tuple[str, ...], known: Iterable[str]) -> str | None:
    """Return what to write instead of an unknown parameter; None for one without any likeness.

    Args:
        name: The parameter.
        owners: Owners of hints, most specific first; see `_sdk_names`.
        known: Names of the parameters that there are.
    """
    # Both imported late: only needed for errors.
    from difflib import get_close_matches  # noqa: PLC0415

    from tunesmith._sdk_names import find_hint  # noqa: PLC0415

    hint = find_hint(owners, name)
    if hint is not None:
        return f": {hint}"
    for match in get_close_matches(name, known, n=1):
        return f". Did you mean {match!r}?"
    return None


def _find_problem(
    function: str, code: CodeType, number: int, names: Iterable[str]
) -> TypeError | None:
    """Return the error for an unknown parameter, or one that must be passed by name."""
    known = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    for name in names:
        if name not in known:
            hint = explain_parameter(name, ("parameter",), known) or ""
            return TypeError(f"{function}() got an unexpected keyword argument {name!r}{hint}")
    is_exceeded = number > code.co_argcount and not code.co_flags & _CO_VARARGS
    if is_exceeded and code.co_kwonlyargcount:
        keywords = ", ".join(f"{name}=…" for name in known[code.co_argcount :])
        return TypeError(
            f"{function}() takes fewer positional arguments: pass the others by name ({keywords})"
        )
    return None


def explains_parameters(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a function so that errors about parameters suggest what to write.

    Args:
        function: The function; one with `**` parameters is returned as it is.
    """
    code = cast("FunctionType", function).__code__
    if code.co_flags & _CO_VARKEYWORDS:
        return function
    # Reports of errors print the variables of each frame, and parameters may hold a key.
    run = cast("Callable[..., Any]", function)
    if not code.co_flags & _CO_COROUTINE:

        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            problem = _find_problem(function.__qualname__, code, len(args), kwargs)
            if problem is not None:
                del args, kwargs
                raise problem
            arguments: list[Any] = [kwargs, args]
            del args, kwargs
            return cast("R", run(*arguments.pop(), **arguments.pop()))

        return call

    @wraps(function)
    async def call_async(*args: P.args, **kwargs: P.kwargs) -> Any:
        problem = _find_problem(function.__qualname__, code, len(args), kwargs)
        if problem is not None:
            del args, kwargs
            raise problem
        arguments: list[Any] = [kwargs, args]
        del args, kwargs
        return await run(*arguments.pop(), **arguments.pop())

    return cast("Callable[P, R]", call_async)


_CO_COROUTINE = 0x80
_CO_VARARGS = 0x04
_CO_VARKEYWORDS = 0x08
"""Flags of code: those of `inspect`, whose import would be slow."""


def _missing_name(package: str, name: str) -> Exception:
    owners = {"tunesmith": ("openai",), "tunesmith.types": ("types",)}.get(package, ())
    error = missing_attribute(sys.modules[package], owners, name)
    # `from tunesmith import NAME` would replace an AttributeError, and with it the hint.
    caller = sys._getframe(2).f_code.co_name  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
    has_hint = error.name is None
    return ImportError(*error.args) if caller == "_handle_fromlist" and has_hint else error
