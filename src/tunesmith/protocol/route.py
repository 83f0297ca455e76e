"""Decoding of requests as operations, for services."""

import json
import re
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, TypeVar, cast
from urllib.parse import unquote

from pydantic import ValidationError
from pydantic_core import ErrorDetails, from_json

from tunesmith.errors import InvalidRequestError
from tunesmith.operations.base import Operation, OperationSpec
from tunesmith.protocol.flatten import unflatten
from tunesmith.protocol.json import problem_path
from tunesmith.protocol.message import Request
from tunesmith.protocol.multipart import MultipartError, decode_multipart

__all__ = ["DecodedRequest", "Router", "UnknownRouteError"]

O = TypeVar("O", bound=Operation[Any])  # noqa: E741 - an operation


@dataclass(frozen=True, slots=True)
class DecodedRequest:
    """Operation decoded from a request.

    Args:
        operation: The operation.
        streaming: Whether a stream of events was requested.
    """

    operation: Operation[Any]
    streaming: bool


class UnknownRouteError(Exception):
    """Method and path without an operation.

    Args:
        method: The requested method.
        path: The requested path.
        allowed: The methods allowed for the path; empty if the path is unknown.
    """

    def __init__(self, method: str, path: str, allowed: tuple[str, ...]) -> None:
        super().__init__(f"{method} {path}")
        self.method = method
        self.path = path
        self.allowed = allowed


class Router:
    """Router that decodes requests as operations.

    Args:
        operations: The operations of the service.
        max_body_bytes: Maximum size of a body.

    Example:
        ```python
        from tunesmith.operations.models import ListModels, RetrieveModel
        from tunesmith.protocol.route import Router

        router = Router([ListModels, RetrieveModel])
        assert router.find("GET", "/models/ada") == (RetrieveModel, {"model": "ada"})
        ```
    """

    def __init__(
        self,
        operations: Iterable[type[Operation[Any]]],
        *,
        max_body_bytes: int = 513 * 1024 * 1024,
    ) -> None:
        self._max_body_bytes = max_body_bytes
        self._routes = [(_pattern(operation.spec.path), operation) for operation in operations]
        self._fixed: dict[tuple[str, str], type[Operation[Any]]] = {
            (operation.spec.method, operation.spec.path): operation
            for _, operation in self._routes
            if not operation.spec.path_params
        }

    def find(self, method: str, path: str) -> tuple[type[Operation[Any]], dict[str, str]]:
        """Find the operation and the path parameters.

        Raises:
            UnknownRouteError: No operation has this method and path.
        """
        if fixed := self._fixed.get((method, path)):
            return fixed, {}
        allowed: list[str] = []
        for pattern, operation in self._routes:
            if match := pattern.fullmatch(path):
                if operation.spec.method == method:
                    return operation, {k: unquote(v) for k, v in match.groupdict().items()}
                allowed.append(operation.spec.method)
        raise UnknownRouteError(method, path, tuple(allowed))

    async def decode(self, request: Request) -> DecodedRequest:
        """Decode a request.

        Args:
            request: The request, its path below the base URL; its `operation` is ignored.

        Raises:
            UnknownRouteError: No operation has this method and path.
            InvalidRequestError: A parameter is missing, invalid or unknown, or the body is
                malformed; worded as by the hosted service.
        """
        operation, path_values = self.find(request.method, request.path)
        spec = operation.spec
        async with aclosing(request.chunks()) as chunks:
            body = await self._body(request.headers, chunks, spec)
        values = unflatten(request.query) if spec.method != "POST" else body
        streaming = _pop_stream(values)
        return DecodedRequest(
            _build(operation, {**values, **path_values}), streaming and spec.event_type is not None
        )

    async def _body(
        self, headers: Mapping[str, str], chunks: AsyncIterator[bytes], spec: OperationSpec
    ) -> dict[str, Any]:
        if spec.method != "POST":
            return {}
        if spec.multipart:
            try:
                parts = await decode_multipart(
                    headers.get("content-type", ""),
                    chunks,
                    max_bytes=self._max_body_bytes,
                    spool_bytes=_SPOOL_BYTES,
                )
            except MultipartError as error:
                raise InvalidRequestError(f"Could not parse multipart form: {error}") from None
            return unflatten(
                (
                    part.name,
                    part.content.decode("utf-8", "replace")
                    if part.filename is None
                    else (part.filename, part.spooled or part.content, part.content_type),
                )
                for part in parts
            )
        content = bytearray()
        async for chunk in chunks:
            content += chunk
            if len(content) > self._max_body_bytes:
                raise InvalidRequestError(f"The body is larger than {self._max_body_bytes} bytes.")
        return parse_json_object(bytes(content)) if content else {}


def parse_json_object(content: bytes) -> dict[str, Any]:
    """Parse a JSON object.

    Raises:
        InvalidRequestError: The content is not a JSON object; worded as by the hosted service.
    """
    n_containers = content.count(b"{") + content.count(b"[")
    if n_containers > _MAX_CONTAINERS or content.count(b",") > _MAX_VALUES:
        raise InvalidRequestError(
            f"The JSON body must have at most {_MAX_CONTAINERS} objects and arrays, and "
            f"{_MAX_VALUES} values."
        )
    try:
        value = from_json(content)
    except ValueError:
        raise InvalidRequestError(
            "We could not parse the JSON body of your request. (HINT: This likely means you "
            "aren't using your HTTP library correctly. The OpenAI API expects a JSON payload, "
            "but what was sent was not valid JSON.)"
        ) from None
    if not isinstance(value, dict):
        raise InvalidRequestError("The JSON body of a request must be an object.")
    return cast("dict[str, Any]", value)


def _pattern(path: str) -> re.Pattern[str]:
    # Parameters are one segment, but names of models may contain slashes.
    with_models = re.sub(r"\{(model)\}", r"(?P<\1>.+)", path)
    return re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", with_models))


def _build(operation: type[O], received: Mapping[str, Any]) -> O:
    spec = operation.spec
    known = {*spec.path_params, *spec.query_params, *spec.body_params}
    values: dict[str, Any] = {}
    for name, value in received.items():
        if name not in known:
            raise InvalidRequestError(f"Unrecognized request argument supplied: {name}", param=name)
        if value is not None:
            values[name] = value
    _check_lengths(values)
    try:
        return operation(**values)
    except ValidationError as error:
        raise _validation_error(error.errors()[0], values) from None


_SPOOL_BYTES = 1024 * 1024
_MAX_ITEMS = 10_000
_MAX_CONTAINERS = 100_000
_MAX_VALUES = 1_000_000
"""Parsing and validating more takes long, during which no other request could be served. Prompts
with more braces or commas exceed the context of every model.
"""

_LONG_PARAMS = frozenset({"input", "part_ids", "prompt"})
"""Parameters that may be long lists of texts and numbers."""


def _check_lengths(values: Mapping[str, Any]) -> None:
    """Refuse lists that are too long before their items are validated.

    Raises:
        InvalidRequestError: A parameter has too many items, or its items have.
    """
    for name, value in values.items():
        if not isinstance(value, list):
            continue
        items = cast("list[object]", value)
        objects = [cast("dict[str, object]", item) for item in items if isinstance(item, dict)]
        length = 0 if name in _LONG_PARAMS and not objects else len(items)
        for item in objects:
            for field in item.values():
                length += len(cast("list[object]", field)) if isinstance(field, list) else 0
        if length > _MAX_ITEMS:
            raise InvalidRequestError(
                f"Invalid '{name}': array too long. Expected an array with maximum length "
                f"{_MAX_ITEMS}, but got an array with length {length} instead.",
                param=name,
            )


def _pop_stream(values: dict[str, Any]) -> bool:
    stream = values.pop("stream", None)
    if stream not in (None, *_TRUE, *_FALSE):
        message = f"{_abbreviate(stream)} is not of type 'boolean' - 'stream'"
        raise InvalidRequestError(message, param="stream")
    return stream in _TRUE


_TRUE = (True, "true", "True", "1")
_FALSE = (False, "false", "False", "0")


def _validation_error(problem: ErrorDetails, values: dict[str, Any]) -> InvalidRequestError:
    """Word an error as the hosted service does: `'x' is not one of ['batch'] - 'purpose'`."""
    names = problem_path(problem, values)
    param = "".join(f"[{n}]" if isinstance(n, int) else f".{n}" for n in names)
    param = param.removeprefix(".")
    value, kind, context = problem["input"], problem["type"], problem.get("ctx", {})
    if kind in {"missing", "union_tag_not_found"}:
        return InvalidRequestError(f"'{param}' is a required property", param=param)
    shown = _abbreviate(value)
    if kind in {"literal_error", "union_tag_invalid"}:
        options = str(context.get("expected") or context.get("expected_tags")).replace(" or ", ", ")
        text = f"{shown} is not one of [{options}]"
    elif kind == "less_than_equal":
        text = f"{shown} is greater than the maximum of {context['le']}"
    elif kind == "greater_than_equal":
        text = f"{shown} is less than the minimum of {context['ge']}"
    elif kind == "greater_than":
        text = f"{shown} is less than or equal to the minimum of {context['gt']}"
    elif kind in {"too_long", "string_too_long"}:
        text = f"{shown} is too long"
    elif kind in {"too_short", "string_too_short"}:
        text = f"{shown} is too short"
    elif kind.endswith(("_type", "_parsing")):
        text = f"{shown} is not of type '{_JSON_TYPES.get(kind.split('_')[0], kind.split('_')[0])}'"
    else:
        text = f"{shown}: {problem['msg']}"
    return InvalidRequestError(f"{text} - '{param}'", param=param)


_MAX_CHARS = 60

_JSON_TYPES = {"int": "integer", "float": "number", "bool": "boolean", "dict": "object"} | {
    "list": "array",
    "mapping": "object",
    "model": "object",
}


def _abbreviate(value: Any) -> str:
    if isinstance(value, bytes | tuple):
        return "the file"
    text = json.dumps(value, ensure_ascii=False, default=str) if value is not None else "None"
    text = repr(value) if isinstance(value, str) else text
    return text if len(text) <= _MAX_CHARS else f"{text[:_MAX_CHARS]}..."
