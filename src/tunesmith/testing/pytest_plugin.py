"""The pytest plugin: a service of its own for each test, and no call that leaves the machine.

It is there as soon as tunesmith is installed. Whoever uses none of it does not notice: neither
httpx nor a model is loaded before a fixture is asked for.

- Fixtures `tunesmith_service`, `tunesmith_backend`, `tunesmith_faults`, `tunesmith_record` and
  `tunesmith_client`, each over the one before. They are plain ones, so they work with
  pytest-asyncio, with anyio's plugin on asyncio and trio, and in tests that run an event loop
  themselves.
- `--tunesmith-no-network`, or `tunesmith_no_network = true` in the configuration: calls to other
  machines are errors. Tests marked `tunesmith_network` may make them.
"""

from collections.abc import Generator
from typing import TYPE_CHECKING

import pytest

from tunesmith.backends.network import NetworkBlockedError, forbid_network

if TYPE_CHECKING:
    from tunesmith.backends.base import Backend
    from tunesmith.client import AsyncClient
    from tunesmith.service.memory_backend import MemoryBackend
    from tunesmith.service.service import Service
    from tunesmith.testing.faults.faults import Faults
    from tunesmith.testing.recorder.recorder import CallRecorder

__all__ = [
    "tunesmith_backend",
    "tunesmith_client",
    "tunesmith_faults",
    "tunesmith_record",
    "tunesmith_service",
]

pytest.register_assert_rewrite("tunesmith.testing.contract")

_OPTION = "tunesmith_no_network"
_MARK = "tunesmith_network"


@pytest.fixture
def tunesmith_service() -> "Service":
    """A service in memory that only this test knows; the same one, byte by byte, in each run."""
    from tunesmith.service.service import Service

    return Service()


@pytest.fixture
def tunesmith_backend(tunesmith_service: "Service") -> "MemoryBackend":
    """A backend over `tunesmith_service`."""
    from tunesmith.service.memory_backend import MemoryBackend

    return MemoryBackend(tunesmith_service)


@pytest.fixture
def tunesmith_faults(tunesmith_backend: "Backend") -> "Faults":
    """What goes wrong on the way to `tunesmith_backend`: nothing, until a test says so."""
    from tunesmith.testing.faults.faults import Faults

    return Faults(tunesmith_backend)


@pytest.fixture
def tunesmith_record(tunesmith_faults: "Faults") -> "CallRecorder":
    """A record of all calls of `tunesmith_client`."""
    from tunesmith.testing.recorder.recorder import CallRecorder

    return CallRecorder(tunesmith_faults)


@pytest.fixture
def tunesmith_client(tunesmith_record: "CallRecorder") -> "AsyncClient":
    """A client of `tunesmith_service`, in virtual time; it holds nothing that must be closed."""
    from tunesmith.client import AsyncClient

    return AsyncClient(backend=tunesmith_record)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Offer the option."""
    text = "make every call of tunesmith to another machine an error"
    parser.getgroup("tunesmith").addoption(
        "--tunesmith-no-network", action="store_true", dest=_OPTION, help=text
    )
    parser.addini(_OPTION, text, type="bool", default=False)


def pytest_configure(config: pytest.Config) -> None:
    """Forbid what shall be forbidden."""
    config.addinivalue_line(
        "markers", f"{_MARK}: this test's calls may leave the machine, whatever the options say"
    )
    if config.getoption(_OPTION) or config.getini(_OPTION):
        guard = _NetworkGuard()
        config.pluginmanager.register(guard, "tunesmith-network-guard")
        config.add_cleanup(guard.leave)


class _NetworkGuard:
    """Turns calls to other machines into errors, which a test cannot swallow."""

    def __init__(self) -> None:
        self._test: str | None = None
        self._refused: list[NetworkBlockedError] = []
        self._before = forbid_network(self._refuse)

    def leave(self) -> None:
        """Leave everything as it was."""
        forbid_network(self._before)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Forbid calls from the first fixture to the last one's end."""
        self._test = item.nodeid
        self._refused.clear()
        allowed = item.get_closest_marker(_MARK) is not None
        forbid_network(self._before if allowed else self._refuse)
        try:
            return (yield)
        finally:
            forbid_network(self._refuse)
            self._test = None

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self) -> Generator[None, object, object]:
        """Let a test fail whose code made nothing of the error."""
        result = yield
        if self._refused:
            raise self._refused[0]
        return result

    def _refuse(self, host: str) -> NetworkBlockedError:
        where = f"{self._test} made" if self._test else "outside of a test there was"
        error = NetworkBlockedError(
            f"{where} a call to {host}, and calls to other machines are forbidden here. Use the "
            "fixture tunesmith_client or another backend, such as MemoryBackend or ReplayBackend; "
            f"or mark the test with @pytest.mark.{_MARK}; or leave --tunesmith-no-network "
            f"({_OPTION}) out."
        )
        self._refused.append(error)
        return error
