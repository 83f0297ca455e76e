"""Inference by another server: requests that are passed on, in the words of that server."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace
from typing import Any, Final, cast

from pydantic_core import from_json, to_json

from tunesmith._json_types import is_object
from tunesmith.backends.base import Backend
from tunesmith.errors import BackendError
from tunesmith.protocol.accumulate import accumulate
from tunesmith.protocol.json import validate_json
from tunesmith.protocol.message import Request, Response
from tunesmith.protocol.retry import may_have_been_processed
from tunesmith.protocol.sse import SSEDecoder
from tunesmith.service.core.context import ServiceContext
from tunesmith.service.core.errors import UPSTREAM_UNAVAILABLE, ServiceError
from tunesmith.service.inference.models import Models
from tunesmith.service.inference.response_records import ResponseRecord
from tunesmith.service.inference.stored_completions import StoredCompletions
from tunesmith.types.chat import ChatCompletion, ChatCompletionChunk

__all__ = ["Upstream", "connection_error", "json_fields", "read_response"]

_OPERATIONS: Final = frozenset(
    {
        "completions.create",
        "chat.completions.create",
        "embeddings.create",
        "responses.create",
        "responses.retrieve",
        "responses.cancel",
        "responses.delete",
        "responses.input_items.list",
        "responses.input_tokens.count",
        "models.list",
        "models.retrieve",
    }
)
_REQUEST_HEADERS = frozenset({"accept", "content-type", "idempotency-key"})
_RESPONSE_HEADERS = frozenset({"content-type", "retry-after", "retry-after-ms", "x-should-retry"})
_OK = 200


class Upstream:
    """Server that completes, chats, embeds and responds in place of the engine.

    Models that were tuned here are still served by the engine.

    Args:
        backend: Access to the server.
        context: Dependencies shared by all parts of the service; time stops while the server works.
        models: The models that were tuned here.
        stored: Chat completions with `store`, which are stored here.
    """

    def __init__(
        self,
        backend: Backend,
        context: ServiceContext,
        models: Models,
        stored: StoredCompletions,
    ) -> None:
        self._backend = backend
        self._context = context
        self._models = models
        self._stored = stored
        self._responses = context.store.collection("responses", ResponseRecord)

    def handles(self, operation: str, request: Request, body: bytes | None) -> bool:
        """Return whether the server answers a request.

        Args:
            operation: Name of the operation.
            request: The request.
            body: Its body.
        """
        if operation not in _OPERATIONS:
            return False
        model = json_fields(body).get("model", request.path.removeprefix("/models/"))
        if isinstance(model, str) and self._models.is_tuned(model):
            return False
        response_id = request.path.removeprefix("/responses/").partition("/")[0]
        return self._responses.get(response_id) is None

    async def respond(
        self, operation: str, request: Request, body: bytes | None, stack: AsyncExitStack
    ) -> Response:
        """Pass a request on.

        Args:
            operation: Name of the operation.
            request: The request.
            body: Its body.
            stack: Closes the response.

        Raises:
            ServiceError: The server cannot be reached, or ended the connection (502).
        """
        fields = json_fields(body)
        is_stored = operation == "chat.completions.create" and fields.get("store") is True
        if is_stored:  # here, so servers that cannot store need not know the parameters
            own = {"store", "metadata"}
            body = to_json({name: value for name, value in fields.items() if name not in own})
        response = await self._send(request, body, stack)
        if response.status == _OK and operation == "models.list":
            return await self._with_tuned_models(response)
        if response.status == _OK and is_stored:
            return replace(response, stream=self._storing(response, fields))
        return response

    async def aclose(self) -> None:
        """Close the access to the server."""
        await self._backend.aclose()

    async def _send(self, request: Request, body: bytes | None, stack: AsyncExitStack) -> Response:
        headers = {
            name: value for name, value in request.headers.items() if name in _REQUEST_HEADERS
        }
        if body is not None:
            headers["content-length"] = str(len(body))
        passed_on = replace(request, headers=headers, body=body, replayable=True)
        try:
            with self._context.clock.hold():
                response = await stack.enter_async_context(self._backend.send(passed_on))
        except BackendError as error:
            raise self._connection_error(error) from error
        passed_back = {
            name: value
            for name, value in response.headers.items()
            if name in _RESPONSE_HEADERS or name.startswith("x-ratelimit-")
        }
        return Response(response.status, passed_back, response.stream)

    def _connection_error(self, error: BackendError) -> ServiceError:
        return connection_error(error)

    async def _with_tuned_models(self, response: Response) -> Response:
        content = await read_response(response)
        page = json_fields(content)
        listed: Any = page.get("data")
        if isinstance(listed, list):
            tuned = [model.model_dump(exclude_unset=True) for model in self._models.tuned()]
            content = to_json({**page, "data": [*listed, *tuned]})
        return replace(response, stream=_chunks(content))

    async def _storing(
        self, response: Response, fields: Mapping[str, Any]
    ) -> AsyncGenerator[bytes]:
        """Yield a response, and store the completion that it is."""
        content: list[bytes] = []
        async with aclosing(cast("AsyncGenerator[bytes]", response.stream)) as chunks:
            async for chunk in chunks:
                content.append(chunk)
                yield chunk
        is_stream = response.headers.get("content-type", "").startswith("text/event-stream")
        completion = _completion(b"".join(content), is_stream=is_stream)
        metadata: dict[str, str] = fields.get("metadata") or {}
        changes = {"id": completion.id or self._context.ids.new("chat_completion")}
        completion = completion.model_copy(update={**changes, "metadata": metadata})
        self._stored.save(completion, fields.get("messages") or ())
        self._context.scheduler.commit()


def _completion(content: bytes, *, is_stream: bool) -> ChatCompletion:
    if not is_stream:
        return validate_json(ChatCompletion, content)
    decoder = SSEDecoder()
    events = decoder.feed(content) + decoder.finish()
    pieces = [event.data for event in events if event.data not in {b"", b"[DONE]"}]
    return accumulate(ChatCompletion, [validate_json(ChatCompletionChunk, x) for x in pieces])


def connection_error(error: BackendError) -> ServiceError:
    """Convert an error of a connection to a server."""
    if may_have_been_processed(error=error):
        code, problem = "upstream_disconnected", "ended the connection before it responded"
    else:
        code, problem = UPSTREAM_UNAVAILABLE, "cannot be reached"
    message = f"The server behind this one {problem}: {error}"
    return ServiceError(502, message, type="server_error", code=code)


async def read_response(response: Response) -> bytes:
    """Return the body of a response.

    Raises:
        ServiceError: The server ended the connection.
    """
    try:
        return await response.read()
    except BackendError as error:
        raise connection_error(error) from error


async def _chunks(content: bytes) -> AsyncGenerator[bytes]:
    yield content


def json_fields(body: bytes | None) -> Mapping[str, Any]:
    """Return the fields of a body; none if it is no JSON object."""
    try:
        value = from_json(body or b"{}")
    except ValueError:
        return {}
    return value if is_object(value) else {}
