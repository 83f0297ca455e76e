"""Requests built from the rows of a source."""

from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any, NamedTuple

from pydantic_core import to_json

from tunesmith._json_types import is_list, is_object
from tunesmith.batch.endpoints import ENDPOINTS, Endpoint, endpoint_of
from tunesmith.batch.rows import RequestRow, content_key, is_reserved
from tunesmith.errors import DatasetError, InvalidRequestError

__all__ = ["RequestBuilder", "Template"]

Template = str | Mapping[str, Any] | Callable[[dict[str, Any]], dict[str, Any]]
"""How a row's fields become a request: a text or a body with `{field}` in its texts, or a function
from the fields to the body."""

_STRUCTURED_URLS = frozenset({"/v1/chat/completions", "/v1/responses"})
"""Endpoints with structured output."""


class _RequestDraft(NamedTuple):
    """Request before its body is encoded."""

    custom_id: str | None
    endpoint: Endpoint
    body: dict[str, Any]


class RequestBuilder:
    """Builds requests from the rows of a source.

    A row is a line of the Batch API (an object with `body`, of which `custom_id` and `url` are read
    and other keys ignored), or the fields of a template, or the body itself, or a text.

    Args:
        model: Model of rows without one.
        endpoint: Endpoint of rows without one.
        template: How fields become a request.
        params: Parameters of rows without them, such as `max_tokens`.
        response_format: Class of the responses.
        file: Name of the source, for messages.

    Raises:
        InvalidRequestError: The endpoint does not exist, or strict schemas cannot express the
            class.

    Example:
        ```python
        from tunesmith.batch.requests import RequestBuilder

        build = RequestBuilder(model="davinci-002", template="Translate: {text}")
        row, has_custom_id = build(1, {"text": "Ding"})
        assert row.body == b'{"prompt":"Translate: Ding","model":"davinci-002"}'
        ```
    """

    def __init__(
        self,
        *,
        model: str | None = None,
        endpoint: str | None = None,
        template: Template | None = None,
        params: Mapping[str, Any] | None = None,
        response_format: type[Any] | None = None,
        file: str | None = None,
    ) -> None:
        self._defaults = dict(params or {})
        if model is not None:
            self._defaults["model"] = model
        self._formats: dict[str, Any] = {}
        if response_format is not None:
            # Imported here: few jobs need them.
            from tunesmith.protocol.structured import json_schema_format  # noqa: PLC0415
            from tunesmith.protocol.structured_responses import text_format_of  # noqa: PLC0415

            self._formats["messages"] = json_schema_format(response_format)
            self._formats["input"] = text_format_of(response_format)
        self._endpoint = endpoint_of(endpoint) if endpoint else None
        self._template = template
        self._file = file

    def __call__(self, line: int, data: object) -> tuple[RequestRow, bool]:
        """Build a request; return it, and whether its key is a `custom_id`.

        Equal rows without a `custom_id` have equal keys here: the caller numbers them.

        Raises:
            DatasetError: The row is not a valid request.
        """
        draft = self._draft(line, data)
        body = draft.body
        for name, value in self._defaults.items():
            body.setdefault(name, value)
        self._check(line, draft.endpoint, body)
        self._add_format(draft.endpoint, body)
        try:
            encoded = to_json(body)
        except (ValueError, RecursionError) as error:
            raise self._error(line, f"This row cannot be encoded as JSON: {error}.") from None
        if b"NaN" in encoded or b"Infinity" in encoded:
            self._reject_non_finite(line, body, ())
        row = RequestRow(
            draft.custom_id or content_key(draft.endpoint, encoded),
            line,
            draft.endpoint,
            encoded,
            draft.endpoint.max_completion_tokens(body),
        )
        return row, draft.custom_id is not None

    def invalid_row(self, line: int, data: object) -> RequestRow:
        """Return an invalid row with a key, under which it fails."""
        custom_id = data.get("custom_id") if is_object(data) else None
        endpoint = self._default_endpoint()
        content = content_key(endpoint, repr(data).encode(errors="backslashreplace"))
        return RequestRow(_to_key(custom_id) or content, line, endpoint, b"", 0)

    def duplicate_error(self, row: RequestRow) -> DatasetError:
        """Return the error of a row whose `custom_id` is not unique."""
        return self._error(
            row.line,
            f"The custom_id {row.key!r} is not unique.",
            remedy="Choose another one, or leave it out.",
        )

    def _draft(self, line: int, data: object) -> _RequestDraft:
        if isinstance(data, DatasetError):  # it could not even be read
            raise data
        if isinstance(data, str):
            if not self._template:
                endpoint = self._default_endpoint()
                return _RequestDraft(None, endpoint, endpoint.to_body(data))
            data = {"text": data}
        if not is_object(data):
            raise self._error(
                line, f"A row must be a text or an object, not {type(data).__name__}."
            )
        key = self._read_key(line, data.get("custom_id"))
        if self._template is None and is_object(data.get("body")):
            body = dict(data["body"])
            return _RequestDraft(key, self._line_endpoint(line, data.get("url"), body), body)
        fields = {name: value for name, value in data.items() if name != "custom_id"}
        if self._template is not None:
            return self._apply_template(line, key, fields)
        endpoint = self._endpoint or self._infer_endpoint(line, fields)
        unknown = fields.keys() - endpoint.params
        if unknown:
            raise self._error(
                line,
                f"{endpoint.operation} has no such parameter.",
                field=min(unknown),
                remedy="Remove it, or choose the fields with a template: template='… {field} …'.",
            )
        return _RequestDraft(key, endpoint, fields)

    def _read_key(self, line: int, custom_id: object) -> str | None:
        key = _to_key(custom_id)
        if key is None and custom_id is not None and custom_id != "":
            raise self._error(line, "This must be a text that UTF-8 can encode.", field="custom_id")
        if key is not None and is_reserved(key):
            raise self._error(
                line,
                f"The custom_id {key!r} has the form of a key that jobs give to repeated rows.",
                field="custom_id",
                remedy="Choose another ending.",
            )
        return key

    def _apply_template(self, line: int, key: str | None, fields: dict[str, Any]) -> _RequestDraft:
        template = self._template
        if callable(template):
            try:
                body = dict(template(fields))
            except Exception as error:
                raise self._error(
                    line, f"The template raised {type(error).__name__}: {error}."
                ) from error
        else:
            # Null means missing: no prompt should contain the word None.
            fields = {name: value for name, value in fields.items() if value is not None}
            try:
                filled = _fill(template, fields)
            except Exception as error:  # noqa: BLE001 - fields of any kind can be formatted
                raise self._error(
                    line,
                    f"The template does not match this row: {error}; its fields are "
                    f"{', '.join(fields)}.",
                    remedy="Write literal braces twice: {{ }}.",
                ) from None
            body = filled if is_object(filled) else self._default_endpoint().to_body(str(filled))
        return _RequestDraft(key, self._endpoint or self._infer_endpoint(line, body), body)

    def _default_endpoint(self) -> Endpoint:
        # Completions of a prompt have no format.
        default = "/v1/chat/completions" if self._formats else "/v1/completions"
        return self._endpoint or ENDPOINTS[default]

    def _infer_endpoint(self, line: int, body: Mapping[str, Any]) -> Endpoint:
        if "messages" in body:
            return ENDPOINTS["/v1/chat/completions"]
        if "prompt" in body:
            return ENDPOINTS["/v1/completions"]
        raise self._error(
            line,
            "The endpoint of this row is unknown: it has neither messages nor a prompt.",
            remedy="Set the endpoint, such as endpoint='/v1/embeddings'"
            + ("." if self._template else ", or create the request with a template."),
        )

    def _line_endpoint(self, line: int, url: object, body: Mapping[str, Any]) -> Endpoint:
        if url is None:
            return self._endpoint or self._infer_endpoint(line, body)
        try:
            return endpoint_of(str(url))
        except InvalidRequestError as error:
            raise self._error(line, f"{error}.", field="url") from None

    def _check(self, line: int, endpoint: Endpoint, body: Mapping[str, Any]) -> None:
        if not body.get("model"):
            raise self._error(
                line,
                "This row has no model.",
                field="model",
                remedy="Set one for all rows: model=.",
            )
        if body.get("stream"):
            raise self._error(
                line, "Responses of a batch are not streamed.", field="stream", remedy="Remove it."
            )
        if self._formats and endpoint.url not in _STRUCTURED_URLS:
            raise self._error(
                line,
                f"Only chat completions and responses have response_format, not {endpoint.url}.",
                remedy="Set the endpoint: endpoint='/v1/chat/completions'.",
            )

    def _add_format(self, endpoint: Endpoint, body: dict[str, Any]) -> None:
        """Request JSON of the class, unless the row has a format of its own."""
        if not self._formats:
            return
        requested = self._formats[endpoint.prompt]
        if endpoint.prompt == "messages":
            body.setdefault("response_format", requested)
        else:
            text = body.get("text")
            body["text"] = {"format": requested, **(text if is_object(text) else {})}

    def _reject_non_finite(self, line: int, value: object, path: tuple[str, ...]) -> None:
        """Raise an error if a value contains a number that JSON does not have."""
        if isinstance(value, float) and not isfinite(value):
            raise self._error(
                line,
                f"This must be a finite number, not {value}.",
                field=".".join(path),
                remedy="Leave missing values out.",
            )
        if is_object(value):
            for name, item in value.items():
                self._reject_non_finite(line, item, (*path, str(name)))
        elif is_list(value):
            for index, item in enumerate(value):
                self._reject_non_finite(line, item, (*path, str(index)))

    def _error(
        self, line: int, message: str, *, field: str | None = None, remedy: str | None = None
    ) -> DatasetError:
        return DatasetError(message, file=self._file, line=line, field=field, remedy=remedy)


def _to_key(custom_id: object) -> str | None:
    key = str(custom_id) if isinstance(custom_id, str | int) else ""
    # A lone surrogate cannot be written to a file.
    return key if key and key == key.encode(errors="ignore").decode() else None


def _fill(template: Any, fields: Mapping[str, Any]) -> Any:
    if isinstance(template, str):
        return template.format_map(fields)
    if isinstance(template, Mapping):
        return {key: _fill(value, fields) for key, value in template.items()}  # pyright: ignore[reportUnknownVariableType]
    if isinstance(template, list | tuple):
        return [_fill(item, fields) for item in template]  # pyright: ignore[reportUnknownVariableType]
    return template
