"""Encoding of operations as requests."""

import json
from collections.abc import Iterator, Mapping
from math import isfinite
from typing import Any
from urllib.parse import quote

from pydantic_core import PydanticSerializationError, to_json

from tunesmith._json_types import is_list, is_object
from tunesmith.errors import InvalidRequestError
from tunesmith.operations.base import Operation, OperationSpec
from tunesmith.operations.files import FileSource
from tunesmith.protocol.file_input import to_file_source
from tunesmith.protocol.flatten import flatten, flatten_all
from tunesmith.protocol.message import Body, Request, SecretQuery, find_header_problem
from tunesmith.protocol.multipart import MultipartBody, Part

__all__ = ["FILE_PARAMS", "encode"]

FILE_PARAMS = frozenset({"file", "data"})
"""Parameters of multipart operations that are files."""


def encode(
    operation: Operation[Any],
    *,
    streaming: bool = False,
    headers: Mapping[str, str] | None = None,
    query: Mapping[str, object] | None = None,
    timeout_s: float | None = None,
) -> Request:
    """Encode an operation as a request.

    Args:
        operation: The operation.
        streaming: Whether to ask for a stream of events.
        headers: Headers to send, names in lower case; those of the operation take precedence.
        query: Query parameters to send; those of the operation take precedence.
        timeout_s: Seconds an attempt may take; the timeout of the operation takes precedence.

    Raises:
        InvalidRequestError: A path parameter is empty, a file cannot be read, or a value cannot be
            sent, such as NaN or a lone surrogate.

    Example:
        ```python
        from tunesmith.operations.models import RetrieveModel
        from tunesmith.protocol.encode import encode

        assert encode(RetrieveModel("davinci-002")).path == "/models/davinci-002"
        ```
    """
    spec = operation.spec
    pairs = [pair for name in spec.query_params for pair in _flat(operation, name)]
    if operation.extra_query:
        pairs += flatten_all(operation.extra_query)
    if query:
        names = {name for name, _ in pairs}
        pairs += [pair for pair in flatten_all(query) if pair[0] not in names]
    body, body_headers, replayable = _body(operation, spec, streaming=streaming)
    if streaming and spec.method == "GET":
        pairs.append(("stream", "true"))
    all_headers = {"accept": "text/event-stream" if streaming else "application/json"}
    if headers:
        all_headers.update(headers)
    all_headers.update(body_headers)
    if operation.extra_headers:
        problem = find_header_problem(operation.extra_headers)
        if problem is not None:
            raise InvalidRequestError(
                f"{spec.name}: extra_headers: {problem}",
                operation=spec.name,
                param="extra_headers",
            )
        all_headers.update((name.lower(), v) for name, v in operation.extra_headers.items())
    return Request(
        operation=spec.name,
        method=spec.method,
        path=_path(operation, spec),
        query=SecretQuery(pairs),
        headers=all_headers,
        body=body,
        timeout=timeout_s if operation.timeout is None else operation.timeout,
        replayable=replayable,
    )


def _path(operation: Operation[Any], spec: OperationSpec) -> str:
    values: dict[str, str] = {}
    for name in spec.path_params:
        value = str(getattr(operation, name))
        if not value.strip(".") or not value.strip():
            # The path would be that of another operation.
            raise InvalidRequestError(
                f"{spec.name}: {name} must not be {value!r}",
                operation=spec.name,
                param=name,
            )
        try:
            values[name] = quote(value, safe=":@!$&'()*+,;=")
        except UnicodeEncodeError as error:
            raise InvalidRequestError(
                f"{spec.name}: {name} cannot be part of a URL: {error}",
                operation=spec.name,
                param=name,
            ) from None
    return spec.path.format_map(values)


def _flat(operation: Operation[Any], name: str) -> Iterator[tuple[str, str]]:
    return flatten(name, getattr(operation, name))


def _body(
    operation: Operation[Any], spec: OperationSpec, *, streaming: bool
) -> tuple[Body | None, dict[str, str], bool]:
    if spec.method != "POST":
        return None, {}, True
    if spec.multipart:
        return _form(operation, spec)
    values = vars(operation)
    payload = {name: values[name] for name in spec.body_params if values[name] is not None}
    if streaming:
        payload["stream"] = True
    if operation.extra_body:
        payload.update(operation.extra_body)
    if not payload:
        return None, {"content-length": "0"}, True
    try:
        body = to_json(payload)
    except PydanticSerializationError:
        raise _encoding_error(spec, payload) from None
    if b"NaN" in body or b"Infinity" in body:
        _reject_non_finite(spec, json.loads(body), ())  # of any class, as they are sent
    return body, {"content-type": "application/json", "content-length": str(len(body))}, True


def _reject_non_finite(spec: OperationSpec, value: object, path: tuple[str, ...]) -> None:
    """Raise an error if a value contains a number that JSON does not have."""
    if isinstance(value, float) and not isfinite(value):
        param = ".".join(path)
        raise InvalidRequestError(
            f"{spec.name}: {param} must be a finite number, not {value}",
            operation=spec.name,
            param=param,
        )
    if is_object(value):
        for name, item in value.items():
            _reject_non_finite(spec, item, (*path, name))
    elif is_list(value):
        for index, item in enumerate(value):
            _reject_non_finite(spec, item, (*path, str(index)))


def _encoding_error(spec: OperationSpec, payload: Mapping[str, object]) -> InvalidRequestError:
    """Return the error that names the parameter which cannot be encoded."""
    for name, value in payload.items():
        try:
            to_json(value)
        except PydanticSerializationError as error:
            reason = str(error).removeprefix("Error serializing to JSON: ")
            return InvalidRequestError(
                f"{spec.name}: {name} cannot be sent as JSON: {reason}",
                operation=spec.name,
                param=name,
            )
    return InvalidRequestError(
        f"{spec.name}: the name of a parameter must be text", operation=spec.name
    )


def _form(operation: Operation[Any], spec: OperationSpec) -> tuple[Body, dict[str, str], bool]:
    parts: list[Part] = []
    sources: list[FileSource] = []
    for name in spec.body_params:
        if name in FILE_PARAMS:
            source = to_file_source(getattr(operation, name))
            sources.append(source)
            parts.append(_file_part(name, source))
        else:
            parts += [_text_part(*pair) for pair in _flat(operation, name)]
    parts += [_text_part(*pair) for pair in flatten_all(operation.extra_body or {})]
    form = MultipartBody(parts)
    headers = {"content-type": form.content_type}
    if form.length_bytes is not None:
        headers["content-length"] = str(form.length_bytes)
    return form.chunks, headers, all(source.replayable for source in sources)


def _text_part(name: str, value: str) -> Part:
    return Part(name=name, content=value.encode())


def _file_part(name: str, source: FileSource) -> Part:
    return Part(
        name=name,
        filename=source.filename,
        content_type=source.content_type,
        content=source.content,
        length_bytes=source.length_bytes,
    )
