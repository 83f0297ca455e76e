"""`typing.TypedDict` for pydantic, which refuses it before Python 3.12."""

import sys
from types import UnionType
from typing import (
    Any,
    NotRequired,
    Required,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

from typing_extensions import TypedDict

__all__ = ["convert_typed_dicts"]


def convert_typed_dicts(kind: Any) -> Any:
    """Replace each `typing.TypedDict` in a type by an equal one that pydantic accepts.

    Args:
        kind: The type; fields of other classes are not converted.
    """
    return kind if sys.version_info >= (3, 12) else _convert(kind, ())


def _convert(kind: Any, outer: tuple[Any, ...]) -> Any:
    if is_typeddict(kind):
        # Recursive ones are left to pydantic, whose error names the class.
        is_convertible = type(kind).__module__ == "typing" and kind not in outer
        return _convert_class(kind, (*outer, kind)) if is_convertible else kind
    arguments = get_args(kind)
    converted = tuple(_convert(argument, outer) for argument in arguments)
    if converted == arguments:
        return kind
    origin: Any = Union if isinstance(kind, UnionType) else get_origin(kind)
    return origin[converted]


def _convert_class(kind: Any, outer: tuple[Any, ...]) -> Any:
    required = cast("frozenset[str]", kind.__required_keys__)
    fields: dict[str, Any] = {}
    for name, hint in get_type_hints(kind, include_extras=True).items():
        is_marked = get_origin(hint) in {NotRequired, Required}
        field = _convert(get_args(hint)[0] if is_marked else hint, outer)
        fields[name] = field if name in required else NotRequired[field]
    create: Any = TypedDict  # type checkers accept only literal fields
    converted = create(kind.__name__, fields)
    converted.__doc__ = kind.__doc__
    return converted
