"""Endpoints that accept batches of requests."""

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import Any, NamedTuple

from tunesmith.errors import InvalidRequestError
from tunesmith.operations.base import OperationSpec
from tunesmith.protocol.json import validate_json

__all__ = ["ENDPOINTS", "Endpoint", "endpoint_of"]

_DEFAULT_COMPLETION_TOKENS = 16
"""Default of `max_tokens` for completions.

Source: https://platform.openai.com/docs/api-reference/completions/create
"""


class Endpoint(NamedTuple):
    """Endpoint of the rows of a job.

    Attributes:
        url: URL as in the lines of a batch: `/v1/completions`.
        operation: Name of the operation, such as `completions.create`.
        prompt: Parameter with the input; a row that is only a text sets it.
        length_params: Parameters that limit the output tokens, the first that is set.
        default_tokens: Limit of the output tokens if none of them is set; None for no limit.
    """

    url: str
    operation: str
    prompt: str
    length_params: tuple[str, ...]
    default_tokens: int | None

    @property
    def path(self) -> str:
        """Path below the base URL."""
        return self.url.removeprefix("/v1")

    @property
    def params(self) -> frozenset[str]:
        """Parameters of the operation."""
        return _params(self.operation)

    def to_body(self, text: str) -> dict[str, Any]:
        """Return the body of a request with a text as its input."""
        if self.prompt == "messages":
            return {"messages": [{"role": "user", "content": text}]}
        return {self.prompt: text}

    def max_completion_tokens(self, body: Mapping[str, Any]) -> int | None:
        """Return the maximum output tokens of a request; None if there is no limit."""
        limit = self.default_tokens
        values = [body[name] for name in self.length_params if body.get(name) is not None]
        if values:
            if not all(isinstance(value, int) for value in values):
                return None
            limit = max(0, *values)  # servers differ in which of two limits they obey
        if not limit or self.prompt == "input":
            return limit
        prompts: object = body.get("prompt")
        texts = len(prompts) if isinstance(prompts, list) else 1  # pyright: ignore[reportUnknownArgumentType]
        counts = (body.get("best_of"), body.get("n"))
        choices = max([1, *[count for count in counts if isinstance(count, int)]])
        return limit * max(texts, 1) * choices

    def parse_response(self, body: bytes) -> Any:
        """Parse the body of a response as the operation's type.

        Raises:
            ValidationError: The body has another shape.
        """
        return validate_json(_spec(self.operation).response_type, body)


ENDPOINTS: Mapping[str, Endpoint] = {
    endpoint.url: endpoint
    for endpoint in (
        Endpoint(
            "/v1/completions",
            "completions.create",
            "prompt",
            ("max_tokens",),
            _DEFAULT_COMPLETION_TOKENS,
        ),
        Endpoint(
            "/v1/chat/completions",
            "chat.completions.create",
            "messages",
            ("max_completion_tokens", "max_tokens"),
            None,
        ),
        Endpoint("/v1/embeddings", "embeddings.create", "input", (), 0),
        Endpoint(
            "/v1/responses",
            "responses.create",
            "input",
            ("max_output_tokens",),
            None,
        ),
    )
}
"""Endpoints by their URL."""


def endpoint_of(url: str) -> Endpoint:
    """Return an endpoint by its URL, with or without `/v1`.

    Raises:
        InvalidRequestError: The endpoint does not exist.
    """
    endpoint = ENDPOINTS.get(url) or ENDPOINTS.get(f"/v1/{url.lstrip('/')}")
    if endpoint is None:
        raise InvalidRequestError(
            f"Unknown endpoint {url!r}. Use one of {', '.join(ENDPOINTS)}", param="endpoint"
        )
    return endpoint


@cache
def _params(operation: str) -> frozenset[str]:
    return frozenset(_spec(operation).body_params)


@cache
def _spec(operation: str) -> OperationSpec:
    # Only the module that defines it: loading all of them takes longer than a small job.
    module = import_module(f"tunesmith.operations.{operation.partition('.')[0]}")
    specs: list[OperationSpec] = [
        value.spec for value in vars(module).values() if "spec" in getattr(value, "__dict__", ())
    ]
    return next(spec for spec in specs if spec.name == operation)
