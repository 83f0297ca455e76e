"""The pytest plugin: a service in memory for each test, and a guard against network calls.

It is active as soon as tunesmith is installed. It costs nothing when unused: httpx and the service
are imported when a fixture is first used.

- Fixtures `tunesmith_service`, `tunesmith_backend`, `tunesmith_faults`, `tunesmith_recorder` and
  `tunesmith_client`, each around the previous one. They are synchronous, so they work with
  pytest-asyncio, with anyio's plugin on asyncio and trio, and in tests that run an event loop
  themselves. When a test that uses them fails, its calls are reported.
- `--tunesmith-no-network`, or `tunesmith_no_network = true` in the configuration: calls to other
  machines are errors, except in tests marked `tunesmith_network`.
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
    "tunesmith_recorder",
    "tunesmith_service",
]

pytest.register_assert_rewrite("tunesmith.testing.contract")

_OPTION = "tunesmith_no_network"
_MARK = "tunesmith_network"


@pytest.fixture
def tunesmith_service() -> "Service":
    """Service in memory for one test; its ids and texts are the same in every run."""
    from tunesmith.service.service import Service

    return Service()


@pytest.fixture
def tunesmith_backend(tunesmith_service: "Service") -> "MemoryBackend":
    """Backend of `tunesmith_service`."""
    from tunesmith.service.memory_backend import MemoryBackend

    return MemoryBackend(tunesmith_service)


@pytest.fixture
def tunesmith_faults(tunesmith_backend: "Backend") -> "Faults":
    """Fault injection around `tunesmith_backend`; without faults until a test declares them."""
    from tunesmith.testing.faults.faults import Faults

    return Faults(tunesmith_backend)


@pytest.fixture
def tunesmith_recorder(tunesmith_faults: "Faults") -> "CallRecorder":
    """Recorder of all calls of `tunesmith_client`."""
    from tunesmith.testing.recorder.recorder import CallRecorder

    return CallRecorder(tunesmith_faults)


@pytest.fixture
def tunesmith_client(tunesmith_recorder: "CallRecorder") -> "AsyncClient":
    """Client of `tunesmith_service` in virtual time; it need not be closed."""
    from tunesmith.client import AsyncClient

    return AsyncClient(backend=tunesmith_recorder)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    text = "make calls of tunesmith to other machines an error"
    parser.getgroup("tunesmith").addoption(
        "--tunesmith-no-network", action="store_true", dest=_OPTION, help=text
    )
    parser.addini(_OPTION, text, type="bool", default=False)


def pytest_configure(config: pytest.Config) -> None:
    """Install the network guard if it is configured."""
    config.addinivalue_line("markers", f"{_MARK}: allow calls to other machines in this test")
    if config.getoption(_OPTION) or config.getini(_OPTION):
        guard = _NetworkGuard()
        config.pluginmanager.register(guard, "tunesmith-network-guard")
        config.add_cleanup(guard.uninstall)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Report the calls of a failed test that uses the fixtures."""
    report = yield
    recorder = getattr(item, "funcargs", {}).get("tunesmith_recorder")
    if call.when == "call" and report.failed and recorder is not None:
        report.sections.append(("tunesmith calls", str(recorder)))
    return report


class _NetworkGuard:
    """Guard that turns calls to other machines into errors, even if a test catches them."""

    def __init__(self) -> None:
        self._test: str | None = None
        self._errors: list[NetworkBlockedError] = []
        self._previous = forbid_network(self._refuse)

    def uninstall(self) -> None:
        """Restore the previous guard."""
        forbid_network(self._previous)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Guard a test from the setup of its first fixture to the teardown of its last."""
        self._test = item.nodeid
        self._errors.clear()
        allowed = item.get_closest_marker(_MARK) is not None
        forbid_network(self._previous if allowed else self._refuse)
        try:
            return (yield)
        finally:
            forbid_network(self._refuse)
            self._test = None

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self) -> Generator[None, object, object]:
        """Fail a test that caught the error."""
        result = yield
        if self._errors:
            raise self._errors[0]
        return result

    def _refuse(self, host: str) -> NetworkBlockedError:
        caller = self._test or "code outside of tests"
        error = NetworkBlockedError(
            f"{caller} called {host}, but calls to other machines are forbidden. Use the fixture "
            "tunesmith_client or a backend such as MemoryBackend or ReplayBackend, mark the test "
            f"with @pytest.mark.{_MARK}, or remove --tunesmith-no-network ({_OPTION})."
        )
        self._errors.append(error)
        return error
