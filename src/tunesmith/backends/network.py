"""Which hosts may be connected to, and through which proxy.

Importing this module is cheap, so that a test run can forbid the network without loading a backend.
"""

from collections.abc import Callable
from typing import NamedTuple

from tunesmith.errors import ConfigurationError

__all__ = ["NetworkBlockedError", "Proxy", "blocked_error_for", "find_proxy", "forbid_network"]

ErrorFactory = Callable[[str], Exception]
"""Creates the error for a connection to a host."""

_state: dict[str, ErrorFactory | None] = {"error_factory": None}


class NetworkBlockedError(RuntimeError):
    """A request would have left this machine while the network is forbidden.

    It is not a `BackendError`: it is not retried and reaches the caller unchanged.
    """


def forbid_network(error_factory: ErrorFactory | None) -> ErrorFactory | None:
    """Forbid connections to other machines, or allow them again.

    Args:
        error_factory: Creates the error to raise from the name of the host; None allows everything.

    Returns:
        The previous setting.
    """
    previous, _state["error_factory"] = _state["error_factory"], error_factory
    return previous


def blocked_error_for(url: str) -> Callable[[], Exception] | None:
    """Return a factory of the error to raise on connecting, or None if connecting is allowed.

    Args:
        url: The URL of the service; this machine is always allowed.
    """
    error_factory = _state["error_factory"]
    if error_factory is None:
        return None
    host = _host(url)
    return None if _is_this_machine(host) else lambda: error_factory(host)


def _host(url: str) -> str:
    from urllib.parse import urlsplit  # noqa: PLC0415 - only needed in test runs and with proxies

    return urlsplit(url).hostname or ""


def _is_this_machine(host: str) -> bool:
    from ipaddress import ip_address  # noqa: PLC0415 - see above

    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


class Proxy(NamedTuple):
    """A proxy from the environment.

    Args:
        variable: The environment variable that names it.
        url: Its URL, which may hold a password.
    """

    variable: str
    url: str

    def __repr__(self) -> str:
        return f"<Proxy from {self.variable}>"

    def error(self, reason: str) -> ConfigurationError:
        """Return the error for a proxy that cannot be used; it does not quote the URL."""
        return ConfigurationError(f"{self.variable} does not name a usable proxy: {reason}")


def find_proxy(url: str) -> Proxy | None:
    """Return the proxy for a URL from the environment, or from the system settings.

    Entries of `NO_PROXY` are host names and domains, such as `*.example.com`, addresses of IPv4 and
    IPv6, and networks such as `10.0.0.0/8` and `fe80::/10`, hosts with an optional port. Commas or
    spaces separate them. Other entries are ignored, as curl does.

    Args:
        url: The URL of the service.
    """
    from urllib.parse import urlsplit  # noqa: PLC0415 - see above
    from urllib.request import getproxies, proxy_bypass  # noqa: PLC0415 - see above

    proxies = getproxies()
    parts = urlsplit(url)
    scheme = parts.scheme if parts.scheme in proxies else "all"
    address = proxies.get(scheme)
    if not address:
        return None
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    if proxy_bypass(f"{host}:{port}") or _is_excluded(host, port, proxies.get("no", "")):
        return None
    return Proxy(f"{scheme.upper()}_PROXY", address if "://" in address else f"http://{address}")


def _is_excluded(host: str, port: int, entries: str) -> bool:
    """Return whether an entry names a host; those that `urllib` does not understand too."""
    for entry in entries.lower().replace(",", " ").split():
        name = entry.rpartition("://")[2]
        bare, colon, entry_port = name.rpartition(":")
        if colon and entry_port.isdecimal() and (":" not in bare or bare.endswith("]")):
            if int(entry_port) != port:
                continue
            name = bare
        if _names(name.strip("[]"), host.rstrip(".")):
            return True
    return False


def _names(entry: str, host: str) -> bool:
    from ipaddress import ip_address, ip_network  # noqa: PLC0415 - see above

    try:
        return ip_address(host) in ip_network(entry, strict=False)
    except ValueError:
        domain = entry.removeprefix("*").strip(".")
        return bool(domain) and (host == domain or host.endswith(f".{domain}"))
