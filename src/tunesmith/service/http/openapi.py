"""OpenAPI document of the API, generated from the operations."""

import dataclasses
import re
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import version
from typing import Any, Literal, get_type_hints

from pydantic import TypeAdapter

from tunesmith.operations.base import Operation
from tunesmith.operations.registry import all_operations
from tunesmith.protocol.encode import FILE_PARAMS
from tunesmith.types.base import ErrorObject

__all__ = ["DOCUMENT_PATH", "openapi_document"]

DOCUMENT_PATH = "/openapi.json"

_SOURCE = re.compile(r"^Source: (\S+)$", re.MULTILINE)
_BINARY = {"type": "string", "format": "binary"}
_STREAM = {"anyOf": [{"type": "boolean"}, {"type": "null"}], "default": False}

_Schema = dict[str, Any]
_Key = tuple[str, str]
"""Names of an operation and of its parameter, or `response` or `event`."""


@cache
def openapi_document() -> Mapping[str, Any]:
    """Return the OpenAPI 3.1 document of all operations.

    Example:
        ```python
        from tunesmith.service.http.openapi import openapi_document

        document = openapi_document()
        assert document["paths"]["/models"]["get"]["operationId"] == "models.list"
        ```
    """
    operations = all_operations()
    schemas, components = _schemas(operations)
    paths: dict[str, _Schema] = {}
    for operation in operations:
        spec = operation.spec
        paths.setdefault(spec.path, {})[spec.method.lower()] = _operation_item(operation, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "tunesmith",
            "version": version("tunesmith"),
            "description": "Fine-tuning, completions and batches, as tunesmith serves them.",
        },
        "servers": [{"url": "/v1"}],
        "security": [{"key": []}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _schemas(
    operations: Iterable[type[Operation[Any]]],
) -> tuple[dict[_Key, _Schema], _Schema]:
    adapters: dict[_Key, TypeAdapter[Any]] = {("", "error"): TypeAdapter(ErrorObject)}
    for operation in operations:
        spec = operation.spec
        hints = get_type_hints(operation, include_extras=True)
        for name in (*spec.path_params, *spec.query_params, *spec.body_params):
            if name not in FILE_PARAMS:
                adapters[spec.name, name] = TypeAdapter(hints[name])
        adapters[spec.name, "response"] = TypeAdapter(spec.response_type)
        if spec.event_type is not None:
            adapters[spec.name, "event"] = TypeAdapter(spec.event_type)
    # Responses leave out unset fields, so their schemas are those of validation.
    generated, definitions = TypeAdapter.json_schemas(
        [(key, "validation", adapter) for key, adapter in adapters.items()],
        ref_template="#/components/schemas/{model}",
    )
    return {key: schema for (key, _), schema in generated.items()}, definitions.get("$defs", {})


def _operation_item(operation: type[Operation[Any]], schemas: Mapping[_Key, _Schema]) -> _Schema:
    spec = operation.spec
    doc = operation.__doc__ or ""
    item: _Schema = {
        "operationId": spec.name,
        "summary": doc.partition("\n")[0],
        "tags": [spec.name.rpartition(".")[0]],
        "parameters": [
            *(_parameter(operation, name, "path", schemas) for name in spec.path_params),
            *(_parameter(operation, name, "query", schemas) for name in spec.query_params),
        ],
        "responses": _responses(operation, schemas),
    }
    if source := _SOURCE.search(doc):
        item["externalDocs"] = {"url": source.group(1)}
    if spec.event_type is not None and spec.method == "GET":
        item["parameters"].append({"name": "stream", "in": "query", "schema": _STREAM})
    if spec.body_params:
        item["requestBody"] = _body(operation, schemas)
    return item


def _parameter(
    operation: type[Operation[Any]],
    name: str,
    location: Literal["path", "query"],
    schemas: Mapping[_Key, _Schema],
) -> _Schema:
    parameter = {
        "name": name,
        "in": location,
        "required": name in _required(operation),
        "schema": schemas[operation.spec.name, name],
    }
    if "metadata" in name:
        parameter["style"] = "deepObject"
        parameter["explode"] = True
    return parameter


def _body(operation: type[Operation[Any]], schemas: Mapping[_Key, _Schema]) -> _Schema:
    spec = operation.spec
    required = [name for name in spec.body_params if name in _required(operation)]
    properties = {
        name: _BINARY if name in FILE_PARAMS else schemas[spec.name, name]
        for name in spec.body_params
    }
    if spec.event_type is not None:
        properties["stream"] = _STREAM
    schema: _Schema = {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }
    media_type = "multipart/form-data" if spec.multipart else "application/json"
    return {"required": bool(required), "content": {media_type: {"schema": schema}}}


def _required(operation: type[Operation[Any]]) -> frozenset[str]:
    return frozenset(
        field.name
        for field in dataclasses.fields(operation)
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    )


def _responses(operation: type[Operation[Any]], schemas: Mapping[_Key, _Schema]) -> _Schema:
    spec = operation.spec
    content: _Schema
    if spec.response_type is bytes:
        content = {"application/octet-stream": {"schema": _BINARY}}
    else:
        content = {"application/json": {"schema": schemas[spec.name, "response"]}}
    if spec.event_type is not None:
        # OpenAPI 3.1 cannot describe the events of a stream.
        content["text/event-stream"] = {"x-event-schema": schemas[spec.name, "event"]}
    error = {"type": "object", "properties": {"error": schemas["", "error"]}, "required": ["error"]}
    failure = {"application/json": {"schema": error}}
    responses = {
        "200": {"description": "Success.", "content": content},
        "default": {"description": "Error.", "content": failure},
    }
    if spec.response_type is bytes:
        responses["206"] = {"description": "The requested range.", "content": content}
    return responses
