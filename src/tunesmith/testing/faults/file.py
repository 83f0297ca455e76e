"""Faults declared in a file, for clients in other processes and languages."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError, validate_call

from tunesmith.backends.base import Backend
from tunesmith.errors import ConfigurationError
from tunesmith.testing.faults.faults import FaultRule, Faults

__all__ = ["load_faults"]

# `edit` takes a function, which no file can hold.
_NAMES = frozenset(
    name
    for name, method in vars(FaultRule).items()
    if callable(method) and not name.startswith("_")
) - {"begin_call", "edit", "unfired"}

_RULES: TypeAdapter[list[Any]] = TypeAdapter(list[Any])
_NTH: TypeAdapter[int | list[int] | None] = TypeAdapter(int | list[int] | None)


def load_faults(path: str | os.PathLike[str], inner: Backend) -> Faults:
    """Read faults from a JSON file: a list of rules, each with `on`, `nth` and faults by name.

    The value of a fault is an object with the arguments of the method of `FaultRule`, or its first
    argument alone.

    Args:
        path: The file.
        inner: The backend to inject the faults into.

    Raises:
        ConfigurationError: The file cannot be read, or a rule in it is wrong; the message names the
            rule.

    Example:
        ```python
        from tunesmith.testing import load_faults

        Path("faults.json").write_text(
            '[{"on": "models.list", "nth": [1, 2], "rate_limited": {"retry_after": 20}}]'
        )
        async with AsyncClient(backend=load_faults("faults.json", MemoryBackend())) as client:
            await client.models.list()
        ```
    """
    name = os.fspath(path)
    try:
        rules = _RULES.validate_python(json.loads(Path(path).read_text("utf-8")))
    except ValidationError:
        raise ConfigurationError(f"{name} must hold a list of rules: [{{…}}, …]") from None
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"cannot read {name}: {error}") from error
    faults = Faults(inner)
    for number, rule in enumerate(rules, 1):
        try:
            _add(faults, rule)
        except ValueError as error:
            raise ConfigurationError(f"{name}, rule {number}: {error}") from error
    return faults


def _add(faults: Faults, rule: Any) -> None:
    if not isinstance(rule, dict) or not isinstance(rule.get("on"), str):  # pyright: ignore[reportUnknownMemberType]
        raise ValueError('a rule must be an object with "on", the name of an operation')  # noqa: TRY004 - one kind for a wrong file
    planned: dict[str, Any] = dict(rule)  # pyright: ignore[reportUnknownArgumentType]
    operation = planned.pop("on")
    try:
        nth = _NTH.validate_python(planned.pop("nth", 1), strict=True)
    except ValidationError:
        raise ValueError('"nth" must be a number, a list of numbers or null') from None
    added = faults.on(operation, nth=nth)
    if not planned:
        raise ValueError(f"it names no fault; use one of {', '.join(sorted(_NAMES))}")
    for name, arguments in planned.items():
        if name not in _NAMES:
            raise ValueError(f"unknown fault {name!r}; use one of {', '.join(sorted(_NAMES))}")
        _call(getattr(added, name), name, arguments)


def _call(method: Callable[..., object], name: str, arguments: object) -> None:
    try:
        if isinstance(arguments, dict):
            validate_call(method)(**arguments)
        elif arguments is None or arguments is True:
            validate_call(method)()
        else:
            validate_call(method)(arguments)
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(str(part) for part in problem["loc"])
        raise ValueError(f"{name}: {place}: {problem['msg']}") from None
