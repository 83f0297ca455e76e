"""From what a source holds to the rows of a job."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from pydantic import BaseModel
from pydantic_core import to_json

from tunesmith._json_types import is_object
from tunesmith.batch.endpoints import ENDPOINTS, Endpoint, endpoint_of
from tunesmith.batch.rows import RequestRow, content_key, is_reserved
from tunesmith.errors import DatasetError, InvalidRequestError
from tunesmith.protocol.structured import json_schema_format

__all__ = ["RequestBuilder", "Template"]

Template = str | Mapping[str, Any] | Callable[[dict[str, Any]], dict[str, Any]]
"""How a row's fields become a request: a text or a body with `{field}` in its texts, or a function
from the fields to the body."""


class _RequestDraft(NamedTuple):
    """A request before its body is bytes."""

    custom_id: str | None
    endpoint: Endpoint
    body: dict[str, Any]


class RequestBuilder:
    """Makes rows of what a source holds.

    A row is a line as the Batch API has it (`custom_id`, `url`, `body`), or the fields of a
    template, or the body itself, or a text.

    Args:
        model: The model of rows that name none.
        endpoint: Where rows go that do not say it themselves.
        template: How fields become a request.
        params: Parameters for rows that do not give them, such as `max_tokens`.
        response_format: The class that answers shall fit.
        file: The source's name, for messages.

    Raises:
        InvalidRequestError: There is no such endpoint, or strict schemas cannot express the class.

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
        response_format: type[BaseModel] | None = None,
        file: str | None = None,
    ) -> None:
        self._defaults = dict(params or {})
        if model is not None:
            self._defaults["model"] = model
        if response_format is not None:
            self._defaults["response_format"] = json_schema_format(response_format)
        self._schema = response_format is not None
        self._endpoint = endpoint_of(endpoint) if endpoint else None
        self._template = template
        self._file = file

    def __call__(self, line: int, data: object) -> tuple[RequestRow, bool]:
        """Make a row; tells beside it whether its key is a `custom_id`.

        Equal rows without a `custom_id` have equal keys here: whoever reads them numbers them.

        Raises:
            DatasetError: It is no request.
        """
        asked = self._asked(line, data)
        body = asked.body
        for name, value in self._defaults.items():
            body.setdefault(name, value)
        self._check(line, asked.endpoint, body)
        try:
            encoded = to_json(body)
        except (ValueError, RecursionError) as error:
            raise self._wrong(line, f"This cannot be written as JSON: {error}.") from None
        row = RequestRow(
            asked.custom_id or content_key(asked.endpoint, encoded),
            line,
            asked.endpoint,
            encoded,
            asked.endpoint.max_completion_tokens(body),
        )
        return row, asked.custom_id is not None

    def invalid_row(self, line: int, data: object) -> RequestRow:
        """Give a row that is no request a key, under which it fails."""
        custom_id = data.get("custom_id") if is_object(data) else None
        endpoint = self._default_endpoint()
        content = content_key(endpoint, repr(data).encode(errors="backslashreplace"))
        return RequestRow(_name(custom_id) or content, line, endpoint, b"", 0)

    def duplicate_error(self, row: RequestRow) -> DatasetError:
        """What is wrong with a row whose `custom_id` was there before."""
        return self._wrong(
            row.line,
            f"The custom_id {row.key!r} is there more than once.",
            remedy="Each row needs one of its own; rows without one are named by content.",
        )

    def _asked(self, line: int, data: object) -> _RequestDraft:
        if isinstance(data, DatasetError):  # it could not even be read
            raise data
        if isinstance(data, str):
            data = {"text": data} if self._template else self._default_endpoint().asked(data)
        if not is_object(data):
            raise self._wrong(line, f"A row is a text or an object, not {type(data).__name__}.")
        custom_id = data.get("custom_id")
        name = _name(custom_id)
        if name is None and custom_id is not None and custom_id != "":
            raise self._wrong(line, "This is not a name.", field="custom_id")
        if name is not None and is_reserved(name):
            raise self._wrong(
                line,
                f"The custom_id {name!r} has the form of a key that jobs give to repeated rows.",
                field="custom_id",
                remedy="Give it another ending.",
            )
        if self._template is None and is_object(data.get("body")) and "url" in data:
            return _RequestDraft(name, self._endpoint_at(line, data["url"]), dict(data["body"]))
        fields = {key: value for key, value in data.items() if key != "custom_id"}
        if self._template is not None:
            return self._apply_template(line, name, fields)
        endpoint = self._endpoint or self._infer_endpoint(line, fields)
        known = endpoint.known_params()
        strange = next((key for key in fields if known and key not in known), None)
        if strange is not None:
            raise self._wrong(
                line,
                f"{endpoint.operation} has no parameter of this name.",
                field=strange,
                remedy="Say with a template which fields go where: template='… {field} …'.",
            )
        return _RequestDraft(name, endpoint, fields)

    def _apply_template(self, line: int, name: str | None, fields: dict[str, Any]) -> _RequestDraft:
        template = self._template
        if callable(template):
            try:
                body = dict(template(fields))
            except Exception as error:
                raise self._wrong(
                    line, f"The template raised {type(error).__name__}: {error}."
                ) from error
        else:
            # A field that is null is missing: nobody asks for the word None.
            fields = {key: value for key, value in fields.items() if value is not None}
            try:
                filled = _fill(template, fields)
            except Exception as error:  # noqa: BLE001 - fields of any kind can be formatted
                raise self._wrong(
                    line,
                    f"The template does not fit this row: {error}; it has the fields "
                    f"{', '.join(fields)}.",
                    remedy="Braces that are meant as such are doubled: {{ }}.",
                ) from None
            body = filled if is_object(filled) else self._default_endpoint().asked(str(filled))
        return _RequestDraft(name, self._endpoint or self._infer_endpoint(line, body), body)

    def _default_endpoint(self) -> Endpoint:
        # Only chat completions take a response_format.
        usual = "/v1/chat/completions" if self._schema else "/v1/completions"
        return self._endpoint or ENDPOINTS[usual]

    def _infer_endpoint(self, line: int, body: Mapping[str, Any]) -> Endpoint:
        if "messages" in body:
            return ENDPOINTS["/v1/chat/completions"]
        if "prompt" in body:
            return ENDPOINTS["/v1/completions"]
        raise self._wrong(
            line,
            "It cannot be told where this row goes.",
            remedy="Name the endpoint, as in endpoint='/v1/embeddings'"
            + ("." if self._template else ", or say with a template what is asked."),
        )

    def _endpoint_at(self, line: int, url: object) -> Endpoint:
        try:
            return endpoint_of(str(url))
        except InvalidRequestError as error:
            raise self._wrong(line, f"{error}.", field="url") from None

    def _check(self, line: int, endpoint: Endpoint, body: Mapping[str, Any]) -> None:
        if not body.get("model"):
            raise self._wrong(
                line, "This row names no model.", field="model", remedy="Name one for all: model=."
            )
        if body.get("stream"):
            raise self._wrong(
                line,
                "The answers of a batch do not stream.",
                field="stream",
                remedy="Leave it out.",
            )
        if self._schema and endpoint.prompt != "messages":
            raise self._wrong(
                line,
                "Only chat completions take a response_format, and this row goes to "
                f"{endpoint.url}.",
                remedy="Name the endpoint: endpoint='/v1/chat/completions'.",
            )

    def _wrong(
        self, line: int, message: str, *, field: str | None = None, remedy: str | None = None
    ) -> DatasetError:
        return DatasetError(message, file=self._file, line=line, field=field, remedy=remedy)


def _name(custom_id: object) -> str | None:
    name = str(custom_id) if isinstance(custom_id, str | int) else ""
    # Half of a pair of surrogates is no text that a file can hold.
    return name if name and name == name.encode(errors="ignore").decode() else None


def _fill(template: Any, fields: Mapping[str, Any]) -> Any:
    if isinstance(template, str):
        return template.format_map(fields)
    if isinstance(template, Mapping):
        return {key: _fill(value, fields) for key, value in template.items()}  # pyright: ignore[reportUnknownVariableType]
    if isinstance(template, list | tuple):
        return [_fill(item, fields) for item in template]  # pyright: ignore[reportUnknownVariableType]
    return template
