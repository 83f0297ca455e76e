"""Validated settings of HTTP connections: URLs, timeouts, certificates and proxies."""

import base64
import functools
import os
import re
import ssl
from importlib.util import find_spec

import httpx
from pydantic import SecretStr

from tunesmith.backends.network import Proxy
from tunesmith.errors import ConfigurationError

__all__ = [
    "KEEPALIVE_EXPIRY_S",
    "attempt_timeouts",
    "connect_timeout_s",
    "connection_limits",
    "parse_base_url",
    "tls_context",
    "to_httpx_proxy",
]

KEEPALIVE_EXPIRY_S = 30.0
"""Seconds after which an unused connection is closed."""

_MAX_CONNECT_S = 10.0
"""A service that does not accept a connection within this time is down."""

_CONNECT_SHARE = 0.95
"""Share of the timeout of an attempt that connecting may take. The attempt's own limit would end it
at the same moment, and hide that nothing was sent.
"""

_HOST_NAME = re.compile(rb"(?:[\w-]{1,63}\.)*[\w-]{1,63}\.?")
"""Python fails on parts of more than 63 bytes (RFC 1035, section 2.3.4)."""


def parse_base_url(base_url: SecretStr | str) -> tuple[str, SecretStr | None]:
    """Return the URL without its userinfo, and the value of `authorization` made from that."""
    parsed = _split_base_url(base_url) if isinstance(base_url, SecretStr) else None
    if parsed is None:
        raise ConfigurationError(
            "base_url must be an http or https URL without a query, such as "
            f"https://api.openai.com/v1{_quote_harmless(base_url)}"
        )
    return parsed


def _split_base_url(base_url: SecretStr) -> tuple[str, SecretStr | None] | None:
    # Returns None instead of raising: a traceback would hold the URL.
    try:
        url = httpx.URL(base_url.get_secret_value())
    except httpx.InvalidURL:
        return None
    if url.scheme not in {"http", "https"} or url.query or url.fragment or not _has_address(url):
        return None
    if not url.userinfo:
        return str(url).rstrip("/"), None
    credentials = base64.b64encode(f"{url.username}:{url.password}".encode()).decode()
    address = str(url.copy_with(userinfo=b"")).rstrip("/")
    return address, SecretStr(f"Basic {credentials}")


def _has_address(url: httpx.URL) -> bool:
    """Return whether host and port of a URL can be connected to."""
    is_host = ":" in url.host or _HOST_NAME.fullmatch(url.raw_host) is not None
    return is_host and (url.port is None or 0 < url.port < 1 << 16)


def _quote_harmless(base_url: object) -> str:
    """Return ", not ..." with a URL that cannot hold a password or a key."""
    text = base_url.get_secret_value() if isinstance(base_url, SecretStr) else repr(base_url)
    return "" if "@" in text or "?" in text or "#" in text else f", not {text!r}"


def connection_limits(connections: int) -> httpx.Limits:
    """Return limits of httpx that keep every connection alive."""
    return httpx.Limits(
        max_connections=connections,
        max_keepalive_connections=connections,
        keepalive_expiry=KEEPALIVE_EXPIRY_S,
    )


def connect_timeout_s(timeout_s: float | None) -> float:
    """Return how many seconds connecting may take.

    Args:
        timeout_s: Seconds that the attempt may take; None for no limit.
    """
    return _MAX_CONNECT_S if timeout_s is None else min(timeout_s * _CONNECT_SHARE, _MAX_CONNECT_S)


def attempt_timeouts(timeout_s: float | None) -> dict[str, float | None]:
    """Return the timeouts of httpx for an attempt; None for no limit."""
    return httpx.Timeout(timeout_s, connect=connect_timeout_s(timeout_s)).as_dict()


@functools.cache
def tls_context(*, http2: bool) -> ssl.SSLContext:  # noqa: ARG001 - httpcore sets ALPN in it
    """Return the trusted certificates: those of the environment, or the ones of certifi.

    Raises:
        ConfigurationError: They cannot be loaded.
    """
    try:
        return httpx.create_ssl_context()
    except OSError as error:
        variable = next((v for v in ("SSL_CERT_FILE", "SSL_CERT_DIR") if os.environ.get(v)), None)
        raise ConfigurationError(
            f"the certificates of {variable or 'certifi'} cannot be loaded: {error}"
        ) from None


def to_httpx_proxy(proxy: Proxy | None) -> httpx.Proxy | None:
    """Convert a proxy of the environment.

    Raises:
        ConfigurationError: httpx cannot use it.
    """
    if proxy is None:
        return None
    try:
        converted = httpx.Proxy(proxy.url)
    except (httpx.InvalidURL, ValueError):
        converted = None
    if converted is None or not _has_address(converted.url):
        raise proxy.error("use http://HOST:PORT, https:// or socks5://")
    if converted.url.scheme.startswith("socks") and not find_spec("socksio"):
        raise proxy.error("SOCKS needs a package: pip install 'httpx[socks]'")
    return converted
