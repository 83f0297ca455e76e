"""Gateway shared by all HTTP front ends: raw requests to backend requests, and back."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from secrets import token_hex
from urllib.parse import parse_qsl

from pydantic import SecretStr
from pydantic_core import to_json

from tunesmith.backends.base import Backend
from tunesmith.operations.registry import all_operations
from tunesmith.protocol.message import Body, Request, Response
from tunesmith.protocol.route import Router, UnknownRouteError
from tunesmith.service.core.errors import ServiceError, invalid, unknown_url
from tunesmith.service.http.auth import authenticate
from tunesmith.service.http.openapi import DOCUMENT_PATH, openapi_document

__all__ = ["BASE_PATH", "HttpGateway", "Pages", "RawRequest"]

BASE_PATH = "/v1"

# Headers of one connection, and credentials, are not forwarded to the backend.
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
    """HTTP request.

    Args:
        method: The method.
        target: Path and query, percent-encoded.
        headers: Headers with lower-case names, including credentials.
        body: The body.
        timeout_s: Seconds that the client waits.
    """

    method: str
    target: str
    headers: dict[str, str]
    body: Body
    timeout_s: float | None = None

    @staticmethod
    def join_repeated_headers(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
        """Join the values of repeated headers."""
        joined: dict[str, str] = {}
        for name, value in headers:
            key = name.lower()
            joined[key] = f"{joined[key]}, {value}" if key in joined else value
        return joined


Pages = Callable[[RawRequest], Awaitable[Response | None]]
"""Function that responds to requests beside those of the API; None for those of the API.

It checks keys itself, and may raise `ServiceError`.
"""


class HttpGateway:
    """Gateway to a backend: checks keys, names operations, and removes credentials.

    Args:
        backend: The backend.
        api_key: The required key; None accepts any key, but not its absence.
        pages: Responds to requests beside those of the API.
    """

    def __init__(
        self,
        backend: Backend,
        api_key: str | SecretStr | None = None,
        pages: Pages | None = None,
    ) -> None:
        self.backend = backend
        self._pages = pages
        self._key = SecretStr(api_key) if isinstance(api_key, str) else api_key
        self._router = Router(all_operations())

    @asynccontextmanager
    async def handle(self, raw_request: RawRequest) -> AsyncGenerator[Response]:
        """Respond to a request; leaving the context ends the response at once, read or not.

        Raises:
            BackendError: The backend did not respond; also from the response's stream.
        """
        path, _, query = raw_request.target.partition("?")
        async with AsyncExitStack() as stack:
            page: Response | None = None
            try:
                page = await self._pages(raw_request) if self._pages else None
                if page is not None:
                    response = page
                elif (raw_request.method, path) == ("GET", DOCUMENT_PATH):
                    response = _json_response(200, to_json(openapi_document()))
                else:
                    authenticate(raw_request.headers, self._key)
                    request = self._to_request(raw_request, path, query)
                    response = await stack.enter_async_context(self.backend.send(request))
            except ServiceError as error:
                response = _json_response(error.status, to_json(error.body()), error.headers)
            yield response if response is page else _strip_response_headers(response)

    def _to_request(self, raw_request: RawRequest, path: str, query: str) -> Request:
        headers = raw_request.headers
        if not path.startswith(f"{BASE_PATH}/"):
            raise unknown_url(raw_request.method, path)
        if "transfer-encoding" in headers and "content-length" in headers:
            # Servers along the way may disagree on the end of such a body (request smuggling).
            raise invalid("Content-Length and Transfer-Encoding cannot be used together.")
        path = path.removeprefix(BASE_PATH)
        return Request(
            operation=self._operation_name(raw_request.method, path),
            method=raw_request.method,
            path=path,
            query=tuple(parse_qsl(query, keep_blank_values=True)),
            headers={k: v for k, v in headers.items() if k not in _STRIPPED_REQUEST_HEADERS},
            body=raw_request.body if _has_body(headers) else None,
            timeout=raw_request.timeout_s,
            replayable=isinstance(raw_request.body, bytes),
        )

    def _operation_name(self, method: str, path: str) -> str:
        try:
            return self._router.find(method, path)[0].spec.name
        except UnknownRouteError:
            return ""  # the backend refuses it in its own words


def _has_body(headers: Mapping[str, str]) -> bool:
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"


def _strip_response_headers(response: Response) -> Response:
    headers = {k: v for k, v in response.headers.items() if k not in _STRIPPED_RESPONSE_HEADERS}
    if "content-encoding" in response.headers:
        headers.pop("content-length", None)  # the length of the compressed body
    return replace(response, headers=headers)


def _json_response(status: int, body: bytes, headers: Mapping[str, str] | None = None) -> Response:
    return Response.from_bytes(
        status,
        {
            "content-type": "application/json",
            "content-length": str(len(body)),
            "x-request-id": f"req_{token_hex(16)}",
            **(headers or {}),
        },
        body,
    )
