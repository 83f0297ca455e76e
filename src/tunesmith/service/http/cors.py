"""Cross-origin requests of web pages (CORS)."""

from collections.abc import Collection, Mapping
from urllib.parse import urlsplit

__all__ = ["LOOPBACK", "CorsPolicy"]

LOOPBACK = "loopback"
"""Stands for all origins of this machine, such as `http://localhost:5173`."""

_MAX_AGE_S = 600


class CorsPolicy:
    """Origins whose web pages may use the API.

    Args:
        origins: Origins such as `https://example.com`; `*` allows all, `LOOPBACK` those of this
            machine.
    """

    def __init__(self, origins: Collection[str]) -> None:
        self._origins = frozenset(origins)

    def response_headers(self, request_headers: Mapping[str, str]) -> dict[str, str]:
        """Return the headers to add to a response; none if the origin is not allowed.

        Args:
            request_headers: Headers of the request, with lower-case names.
        """
        origin = request_headers.get("origin", "")
        if not self._is_allowed(origin):
            return {}
        return {
            "access-control-allow-origin": origin,
            "access-control-expose-headers": "*",
            "vary": "origin",
        }

    def preflight_headers(self, method: str, request_headers: Mapping[str, str]) -> dict[str, str]:
        """Return the headers of the response to a preflight; none for any other request.

        Args:
            method: Method of the request.
            request_headers: Headers of the request, with lower-case names.
        """
        if method != "OPTIONS" or "access-control-request-method" not in request_headers:
            return {}
        headers = self.response_headers(request_headers)
        if not headers:
            return {}
        return {
            **headers,
            "access-control-allow-methods": "GET, POST, DELETE",
            # `*` would leave out `authorization`.
            "access-control-allow-headers": request_headers.get(
                "access-control-request-headers", "authorization, content-type"
            ),
            "access-control-allow-private-network": "true",
            "access-control-max-age": str(_MAX_AGE_S),
        }

    def _is_allowed(self, origin: str) -> bool:
        if not origin:
            return False
        if not self._origins.isdisjoint({"*", origin}):
            return True
        return LOOPBACK in self._origins and _is_loopback(origin)


def _is_loopback(origin: str) -> bool:
    try:
        host = urlsplit(origin).hostname or ""
    except ValueError:
        return False
    return host in {"localhost", "127.0.0.1", "::1"} or host.endswith(".localhost")
