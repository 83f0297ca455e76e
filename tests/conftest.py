"""Settings and fixtures shared by all tests."""

from pathlib import Path

import hypothesis
import pytest

TESTS = Path(__file__).parent

# Folders that `-m "not slow"` leaves out, since they start other programs. Slow tests of other
# folders are marked individually.
SLOW = {"clients", "docs", "examples", "packaging", "servers", "typing"}

# Timing depends on the machine: the first test of a fresh checkout builds hypothesis' table of
# characters, and cores may be shared.
hypothesis.settings.register_profile(
    "tunesmith", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("tunesmith")


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request):
    """Both event loops; tests marked `anyio` run on each."""
    return request.param


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch):
    """Hide the keys and addresses of the developer's environment."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.delenv(name, raising=False)


def pytest_ignore_collect(collection_path, config):
    """Do not even import the tests of these folders in the fast lane."""
    if config.option.markexpr == "not slow" and collection_path.parent == TESTS:
        return True if collection_path.name in SLOW else None
    return None


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.is_relative_to(TESTS) and item.path.relative_to(TESTS).parts[0] in SLOW:
            item.add_marker(pytest.mark.slow)
