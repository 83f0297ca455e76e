"""What all doors for HTTP have in common: from what was heard to a request, and its answer."""

from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from secrets import token_hex
from urllib.parse import parse_qsl

from pydantic import SecretStr
from pydantic_core import to_json

from tunesmith.backends.base import Backend
from tunesmith.operations import all_operations
from tunesmith.protocol.message import Body, Request, Response
from tunesmith.protocol.route import Router, UnknownRouteError
from tunesmith.service.core.errors import ServiceError, unknown_url
from tunesmith.service.http.auth import authenticate
from tunesmith.service.http.openapi import DOCUMENT_PATH, openapi_document

__all__ = ["BASE_PATH", "HttpGateway", "RawRequest"]

BASE_PATH = "/v1"

# What concerns one connection, or lets somebody in, is not for the backend.
_HOP = {"connection", "keep-alive", "transfer-encoding", "upgrade"}
_STRIPPED_REQUEST_HEADERS = _HOP | {
    "accept-encoding",
    "api-key",
    "authorization",
    "cookie",
    "host",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
}
_STRIPPED_RESPONSE_HEADERS = _HOP | {"content-encoding", "set-cookie"}


@dataclass(frozen=True, slots=True)
class RawRequest:
    """A call as HTTP has it.

    Args:
        method: The method.
        target: Path and query, percent-encoded.
        headers: Names in lower case, credentials among them.
        body: The body.
        timeout_s: Seconds that the caller will wait.
    """

    method: str
    target: str
    headers: dict[str, str]
    body: Body
    timeout_s: float | None = None

    @staticmethod
    def join_repeated_headers(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
        """Join the values of headers that come several times."""
        joined: dict[str, str] = {}
        for name, value in headers:
            key = name.lower()
            joined[key] = f"{joined[key]}, {value}" if key in joined else value
        return joined


class HttpGateway:
    """Answers calls by a backend: keys are checked, operations named, credentials kept outside.

    Args:
        backend: Answers.
        api_key: The key to ask for; with None any key will do, but one must be there.
    """

    def __init__(self, backend: Backend, api_key: str | SecretStr | None = None) -> None:
        self.backend = backend
        self._key = SecretStr(api_key) if isinstance(api_key, str) else api_key
        self._router = Router(all_operations())

    @asynccontextmanager
    async def handle(self, raw_request: RawRequest) -> AsyncGenerator[Response]:
        """Answer a call; leaving the context ends the answer at once, read or not.

        Raises:
            BackendError: The backend gave no answer; also from the response's stream.
        """
        path, _, query = raw_request.target.partition("?")
        async with AsyncExitStack() as stack:
            try:
                if (raw_request.method, path) == ("GET", DOCUMENT_PATH):
                    response = _json_response(200, to_json(openapi_document()))
                else:
                    authenticate(raw_request.headers, self._key)
                    request = self._request(raw_request, path, query)
                    response = await stack.enter_async_context(self.backend.send(request))
            except ServiceError as error:
                response = _json_response(error.status, to_json(error.body()), error.headers)
            yield _strip_response_headers(response)

    def _request(self, raw_request: RawRequest, path: str, query: str) -> Request:
        below = path.removeprefix(BASE_PATH)
        if not path.startswith(f"{BASE_PATH}/"):
            raise unknown_url(raw_request.method, path)
        return Request(
            operation=self._operation(raw_request.method, below),
            method=raw_request.method,
            path=below,
            query=tuple(parse_qsl(query, keep_blank_values=True)),
            headers={
                k: v for k, v in raw_request.headers.items() if k not in _STRIPPED_REQUEST_HEADERS
            },
            body=raw_request.body if _has_body(raw_request.headers) else None,
            timeout_s=raw_request.timeout_s,
            replayable=isinstance(raw_request.body, bytes),
        )

    def _operation(self, method: str, path: str) -> str:
        try:
            return self._router.find(method, path)[0].spec.name
        except UnknownRouteError:
            return ""  # it is the backend's matter to refuse it


def _has_body(headers: dict[str, str]) -> bool:
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"


def _strip_response_headers(response: Response) -> Response:
    kept = {k: v for k, v in response.headers.items() if k not in _STRIPPED_RESPONSE_HEADERS}
    if "content-encoding" in response.headers:
        kept.pop("content-length", None)  # it was that of the packed body
    return replace(response, headers=kept)


def _json_response(status: int, body: bytes, headers: Mapping[str, str] | None = None) -> Response:
    about = {"content-type": "application/json", "content-length": str(len(body))}
    return Response(
        status,
        {**about, "x-request-id": f"req_{token_hex(16)}", **(headers or {})},
        _single_chunk(body),
    )


async def _single_chunk(body: bytes) -> AsyncGenerator[bytes]:
    yield body
