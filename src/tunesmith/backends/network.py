"""Whether backends may connect to other machines: a test run can forbid it.

Importing this is cheap, so that who forbids it need not load a backend.
"""

from collections.abc import Callable

__all__ = ["NetworkBlockedError", "blocked_error_for", "forbid_network"]

ErrorFactory = Callable[[str], Exception]
"""Makes the error for a call to a host."""

_state: dict[str, ErrorFactory | None] = {"refuse": None}


class NetworkBlockedError(RuntimeError):
    """A call would have left this machine, where that is forbidden.

    It is no `BackendError`: nothing tries again, and it comes through a client as it is.
    """


def forbid_network(error_factory: ErrorFactory | None) -> ErrorFactory | None:
    """Forbid connections to other machines, or allow them again.

    Args:
        error_factory: Makes the error to raise, from the host's name; None allows everything.

    Returns:
        What held before.
    """
    before, _state["refuse"] = _state["refuse"], error_factory
    return before


def blocked_error_for(url: str) -> Callable[[], Exception] | None:
    """Tell whether a backend may not connect to where it sends its requests.

    Args:
        url: Where that is; this machine may always be connected to.

    Returns:
        Makes the error to raise where a connection is really made or used; None if it may be.
    """
    refuse = _state["refuse"]
    if refuse is None:
        return None
    from urllib.parse import urlsplit  # noqa: PLC0415 - only asked where something is forbidden

    host = urlsplit(url).hostname or ""
    return None if _is_this_machine(host) else lambda: refuse(host)


def _is_this_machine(host: str) -> bool:
    from ipaddress import ip_address  # noqa: PLC0415 - see above

    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
