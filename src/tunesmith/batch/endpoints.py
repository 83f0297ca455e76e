"""The endpoints that batches of requests go to."""

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import Any, NamedTuple, TypeVar

from pydantic import TypeAdapter

from tunesmith.errors import InvalidRequestError

__all__ = ["ENDPOINTS", "Endpoint", "endpoint_of"]

A = TypeVar("A")

_DEFAULT_COMPLETION_TOKENS = 16
"""What the service writes where a completion has no `max_tokens`.

Source: https://platform.openai.com/docs/api-reference/completions/create
"""


class Endpoint(NamedTuple):
    """One of the places that rows can be sent to.

    Attributes:
        url: As in the lines of a batch: `/v1/completions`.
        operation: The operation's name, such as `completions.create`.
        prompt: The parameter that holds what is asked: a row that is only a text fills it.
        definition: Where the operation's class is; None for one that is sent as plain JSON.
        length_params: The parameters that bound an answer's tokens, the first one that is there.
        default_tokens: What bounds an answer where none of them is there; None for nothing.
    """

    url: str
    operation: str
    prompt: str
    definition: tuple[str, str] | None
    length_params: tuple[str, ...]
    default_tokens: int | None

    @property
    def path(self) -> str:
        """The path below the base URL."""
        return self.url.removeprefix("/v1")

    def asked(self, text: str) -> dict[str, Any]:
        """Make the body that asks a text."""
        if self.prompt == "messages":
            return {"messages": [{"role": "user", "content": text}]}
        return {self.prompt: text}

    def max_completion_tokens(self, body: Mapping[str, Any]) -> int | None:
        """Return the most tokens that an answer can have; None if nothing bounds it."""
        given = [body[name] for name in self.length_params if body.get(name) is not None]
        limits = [limit for limit in given or [self.default_tokens] if isinstance(limit, int)]
        if not limits or len(limits) < len(given):
            return None
        limit: int = max([0, *limits])  # servers differ in which of two limits they obey
        if self.prompt not in {"prompt", "messages"}:
            return limit
        prompts: object = body.get("prompt")
        texts = len(prompts) if isinstance(prompts, list) else 1  # pyright: ignore[reportUnknownArgumentType]
        counts = [body.get("best_of"), body.get("n")]
        choices = max([1, *(count for count in counts if isinstance(count, int))])
        return limit * max(texts, 1) * choices

    def known_params(self) -> frozenset[str]:
        """The parameters of the operation; none are known of one that is sent as plain JSON."""
        return _params(self.definition) if self.definition else frozenset()

    def read_answer(self, body: bytes) -> Any:
        """Read an answer's body as the operation's type, or as plain JSON."""
        return _answers(self.definition).validate_json(body)


ENDPOINTS: Mapping[str, Endpoint] = {
    endpoint.url: endpoint
    for endpoint in (
        Endpoint(
            "/v1/completions",
            "completions.create",
            "prompt",
            ("tunesmith.operations.completions", "CreateCompletion"),
            ("max_tokens",),
            _DEFAULT_COMPLETION_TOKENS,
        ),
        Endpoint(
            "/v1/chat/completions",
            "chat.completions.create",
            "messages",
            ("tunesmith.operations.chat", "CreateChatCompletion"),
            ("max_completion_tokens", "max_tokens"),
            None,
        ),
        Endpoint(
            "/v1/embeddings",
            "embeddings.create",
            "input",
            ("tunesmith.operations.embeddings", "CreateEmbedding"),
            (),
            0,
        ),
        Endpoint(
            "/v1/responses",
            "responses.create",
            "input",
            ("tunesmith.operations.responses", "CreateResponse"),
            ("max_output_tokens",),
            None,
        ),
    )
}
"""By their url."""


def endpoint_of(url: str) -> Endpoint:
    """Find an endpoint by its url, with or without `/v1`.

    Raises:
        InvalidRequestError: There is none.
    """
    found = ENDPOINTS.get(url) or ENDPOINTS.get(f"/v1/{url.lstrip('/')}")
    if found is None:
        raise InvalidRequestError(
            f"batches do not go to {url!r}, but to {', '.join(ENDPOINTS)}", param="endpoint"
        )
    return found


@cache
def _params(definition: tuple[str, str]) -> frozenset[str]:
    module, name = definition
    return frozenset(getattr(import_module(module), name).spec.body_params)


@cache
def _answers(definition: tuple[str, str] | None) -> TypeAdapter[Any]:
    if definition is None:
        return TypeAdapter(dict[str, Any])
    module, name = definition
    return TypeAdapter(getattr(import_module(module), name).spec.response_type)
