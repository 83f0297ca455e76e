"""Validation of a batch's input file."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from pydantic_core import from_json

from tunesmith.service.batches.counts import estimate_tokens
from tunesmith.service.files.json_lines import split_lines
from tunesmith.types.batch_lines import BatchRequestLine
from tunesmith.types.batches import BatchError

__all__ = ["BatchInput", "validate_batch_input"]

_MAX_LINES = 50_000
_MAX_ERRORS = 100


@dataclass(slots=True)
class BatchInput:
    """Summary of an input file.

    Args:
        n_requests: Number of its requests.
        tokens: Estimated number of their input tokens.
        errors: Its errors; any of them fails the batch.
        model: The model of all requests.
    """

    n_requests: int = 0
    tokens: int = 0
    errors: list[BatchError] = field(default_factory=list[BatchError])
    model: str | None = None


def validate_batch_input(
    chunks: Iterable[bytes], *, endpoint: str, has_model: Callable[[str], bool] | None
) -> BatchInput:
    """Validate an input file.

    Args:
        chunks: Its content.
        endpoint: The `url` that all lines must have.
        has_model: Returns whether a model exists; None if another server decides.
    """
    result = BatchInput()
    validator = _LineValidator(endpoint, has_model)
    for number, text in split_lines(chunks):
        try:
            result.tokens += estimate_tokens(validator.read(text))
            result.n_requests += 1
        except _InvalidLineError as error:
            result.errors.append(error.to_batch_error(number))
            if len(result.errors) == _MAX_ERRORS:
                break
    if not result.n_requests and not result.errors:
        empty = _InvalidLineError("empty_file", "The input file is empty: a batch needs a request.")
        result.errors.append(empty.to_batch_error(None))
    if result.n_requests > _MAX_LINES:
        message = f"The input file has {result.n_requests} requests; the maximum is {_MAX_LINES}."
        too_many = _InvalidLineError("too_many_tasks", message)
        result.errors.append(too_many.to_batch_error(None))
    result.model = validator.model
    return result


class _InvalidLineError(Exception):
    def __init__(self, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param

    def to_batch_error(self, line: int | None) -> BatchError:
        return BatchError(code=self.code, message=self.message, param=self.param, line=line)


class _LineValidator:
    """Validator of the lines of one file: ids must be unique, and the model the same."""

    def __init__(self, endpoint: str, has_model: Callable[[str], bool] | None) -> None:
        self.model: str | None = None
        self._endpoint = endpoint
        self._has_model = has_model
        self._custom_ids: set[str] = set()

    def read(self, text: bytes) -> BatchRequestLine:
        fields = _read_fields(text)
        self._validate_url(fields)
        self._validate_model(fields["body"].get("model"))
        custom_id = fields["custom_id"]
        if custom_id in self._custom_ids:
            raise _InvalidLineError(
                "duplicate_custom_id",
                f"The custom_id '{custom_id}' for this request is a duplicate of another "
                "request. The custom_id parameter must be unique for each request in a batch.",
                "custom_id",
            )
        self._custom_ids.add(custom_id)
        return BatchRequestLine.model_validate(fields)

    def _validate_url(self, fields: Mapping[str, Any]) -> None:
        if fields["method"] != "POST":
            raise _InvalidLineError(
                "invalid_method", "The method of a request in a batch must be POST.", "method"
            )
        if not fields["url"].startswith("/v1/"):
            raise _InvalidLineError(
                "invalid_url", "The URL provided for this request is not valid.", "url"
            )
        if fields["url"] != self._endpoint:
            raise _InvalidLineError(
                "url_mismatch",
                "The URL provided for this request does not match the batch endpoint.",
                "url",
            )

    def _validate_model(self, model: object) -> None:
        if model is None:
            raise _missing("body.model")
        is_known = isinstance(model, str) and (self._has_model is None or self._has_model(model))
        if not isinstance(model, str) or not is_known:
            raise _InvalidLineError(
                "model_not_found",
                f"The provided model '{model}' is not supported by the Batch API.",
                "body.model",
            )
        self.model = self.model or model
        if model != self.model:
            raise _InvalidLineError(
                "model_mismatch",
                f"The model '{model}' differs from '{self.model}' of earlier requests. All "
                "requests of a batch must have the same model.",
                "body.model",
            )


def _read_fields(text: bytes) -> dict[str, Any]:
    try:
        value: Any = from_json(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise _InvalidLineError("invalid_json_line", "This line is not parseable as valid JSON.")
    fields = cast("dict[str, Any]", value)
    for name, kind in (("custom_id", str), ("method", str), ("url", str), ("body", dict)):
        if fields.get(name) is None:
            raise _missing(name)
        if not isinstance(fields[name], kind):
            raise _InvalidLineError("invalid_type", f"Invalid type for '{name}'.", name)
    return fields


def _missing(name: str) -> _InvalidLineError:
    return _InvalidLineError(
        "missing_required_parameter", f"Missing required parameter: '{name}'.", name
    )
