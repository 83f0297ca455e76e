"""The input file of a batch: its lines, or what is wrong with them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

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
    custom_ids: set[str] = set()
    for number, text in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        if not text.strip():
            continue
        try:
            line = _checked(text, endpoint, has_model)
            custom_id, model = line.custom_id, str(line.body["model"])
            if custom_id in custom_ids:
                raise _Wrong(
                    "duplicate_custom_id",
                    f"The custom_id '{custom_id}' for this request is a duplicate of another "
                    "request. The custom_id parameter must be unique for each request in a batch.",
                    "custom_id",
                )
            if found.model not in {None, model}:
                raise _Wrong(
                    "model_mismatch",
                    f"The model '{model}' is not the one of the requests before, '{found.model}'. "
                    "All requests of a batch must have the same model.",
                    "body.model",
                )
        except _Wrong as wrong:
            found.errors.append(wrong.on_line(number))
            if len(found.errors) == _MAX_ERRORS:
                return found
            continue
        custom_ids.add(custom_id)
        found.model = model
        found.lines.append(line)
    if not found.lines and not found.errors:
        wrong = _Wrong("empty_file", "The input file is empty: a batch needs a request.", None)
        found.errors.append(wrong.on_line(None))
    if len(found.lines) > _MAX_LINES:
        wrong = _Wrong(
            "too_many_tasks",
            f"The input file has {len(found.lines)} requests: a batch takes {_MAX_LINES}.",
            None,
        )
        found.errors.append(wrong.on_line(None))
    return found


class _Wrong(Exception):
    def __init__(self, code: str, message: str, param: str | None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param

    def on_line(self, number: int | None) -> BatchError:
        return BatchError(code=self.code, message=self.message, param=self.param, line=number)


def _checked(text: bytes, endpoint: str, has_model: Callable[[str], bool]) -> BatchRequestLine:
    try:
        line: Any = from_json(text)
    except ValueError:
        line = None
    if not isinstance(line, dict):
        raise _Wrong("invalid_json_line", "This line is not parseable as valid JSON.", None)
    for name, kind in (("custom_id", str), ("method", str), ("url", str), ("body", dict)):
        if line.get(name) is None:
            raise _Wrong(
                "missing_required_parameter", f"Missing required parameter: '{name}'.", name
            )
        if not isinstance(line[name], kind):
            raise _Wrong("invalid_type", f"Invalid type for '{name}'.", name)
    if line["method"] != "POST":
        raise _Wrong("invalid_method", "The method of a request in a batch is POST.", "method")
    if not line["url"].startswith("/v1/"):
        raise _Wrong("invalid_url", "The URL provided for this request is not valid.", "url")
    if line["url"] != endpoint:
        raise _Wrong(
            "url_mismatch",
            "The URL provided for this request does not match the batch endpoint.",
            "url",
        )
    model = line["body"].get("model")
    if model is None:
        raise _Wrong(
            "missing_required_parameter", "Missing required parameter: 'body.model'.", "body.model"
        )
    if not isinstance(model, str) or not has_model(model):
        raise _Wrong(
            "model_not_found",
            f"The provided model '{model}' is not supported by the Batch API.",
            "body.model",
        )
    return BatchRequestLine.model_validate(line)
