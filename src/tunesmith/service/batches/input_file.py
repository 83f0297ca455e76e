"""The input file of a batch: its lines, or what is wrong with them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from pydantic_core import from_json

from tunesmith.types.batch_lines import BatchRequestLine
from tunesmith.types.batches import BatchError

__all__ = ["BatchInput", "read_batch_input"]

_MAX_LINES = 50_000
_MAX_ERRORS = 100


@dataclass(slots=True)
class BatchInput:
    """What a file holds.

    Args:
        lines: Its requests.
        errors: What is wrong; with any of these, no request is done.
        model: The model that all requests name.
    """

    lines: list[BatchRequestLine] = field(default_factory=list[BatchRequestLine])
    errors: list[BatchError] = field(default_factory=list[BatchError])
    model: str | None = None


def read_batch_input(
    content: bytes, *, endpoint: str, has_model: Callable[[str], bool]
) -> BatchInput:
    """Read the lines of a batch, and check them as the service does before it begins.

    Args:
        content: The file.
        endpoint: The `url` that all lines must have.
        has_model: Tells whether there is a model of a name.
    """
    found = BatchInput()
    check = _LineCheck(endpoint, has_model)
    for number, text in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        if not text.strip():
            continue
        try:
            found.lines.append(check.read(text))
        except _InvalidLineError as wrong:
            found.errors.append(wrong.to_error(number))
            if len(found.errors) == _MAX_ERRORS:
                break
    if not found.lines and not found.errors:
        empty = _InvalidLineError("empty_file", "The input file is empty: a batch needs a request.")
        found.errors.append(empty.to_error(None))
    if len(found.lines) > _MAX_LINES:
        message = f"The input file has {len(found.lines)} requests: a batch takes {_MAX_LINES}."
        found.errors.append(_InvalidLineError("too_many_tasks", message).to_error(None))
    found.model = check.model
    return found


class _InvalidLineError(Exception):
    def __init__(self, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param

    def to_error(self, number: int | None) -> BatchError:
        return BatchError(code=self.code, message=self.message, param=self.param, line=number)


class _LineCheck:
    """Reads line after line, and remembers what must not change and not repeat."""

    def __init__(self, endpoint: str, has_model: Callable[[str], bool]) -> None:
        self.model: str | None = None
        self._endpoint = endpoint
        self._has_model = has_model
        self._custom_ids: set[str] = set()

    def read(self, text: bytes) -> BatchRequestLine:
        fields = _fields(text)
        self._check_address(fields)
        self._check_model(fields["body"].get("model"))
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

    def _check_address(self, fields: Mapping[str, Any]) -> None:
        if fields["method"] != "POST":
            raise _InvalidLineError(
                "invalid_method", "The method of a request in a batch is POST.", "method"
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

    def _check_model(self, model: object) -> None:
        if model is None:
            raise _missing("body.model")
        if not isinstance(model, str) or not self._has_model(model):
            raise _InvalidLineError(
                "model_not_found",
                f"The provided model '{model}' is not supported by the Batch API.",
                "body.model",
            )
        self.model = self.model or model
        if model != self.model:
            raise _InvalidLineError(
                "model_mismatch",
                f"The model '{model}' is not the one of the requests before, '{self.model}'. All "
                "requests of a batch must have the same model.",
                "body.model",
            )


def _fields(text: bytes) -> dict[str, Any]:
    try:
        fields: Any = from_json(text)
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        raise _InvalidLineError("invalid_json_line", "This line is not parseable as valid JSON.")
    found = cast("dict[str, Any]", fields)
    for name, kind in (("custom_id", str), ("method", str), ("url", str), ("body", dict)):
        if found.get(name) is None:
            raise _missing(name)
        if not isinstance(found[name], kind):
            raise _InvalidLineError("invalid_type", f"Invalid type for '{name}'.", name)
    return found


def _missing(name: str) -> _InvalidLineError:
    return _InvalidLineError(
        "missing_required_parameter", f"Missing required parameter: '{name}'.", name
    )
