"""Settings and fixtures shared by all tests."""

from pathlib import Path

import hypothesis
import pytest

TESTS = Path(__file__).parent

# Paths that `-m "not slow"` leaves out without importing them. Other slow tests are marked.
SLOW = {
    "clients",
    "docs",
    "examples",
    "http/test_any_request.py",
    "packaging",
    "servers",
    "typing",
    "unit/integrations/test_wandb.py",
}

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


def is_slow(path):
    return any(path.is_relative_to(TESTS / slow) for slow in SLOW)


def pytest_ignore_collect(collection_path, config):
    return True if config.option.markexpr == "not slow" and is_slow(collection_path) else None


def pytest_collection_modifyitems(items):
    for item in items:
        if is_slow(item.path):
            item.add_marker(pytest.mark.slow)
