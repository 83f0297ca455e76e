"""What all tests share."""

import pytest


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request):
    """Both event loops; tests marked `anyio` run on each."""
    return request.param


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch):
    """No test sees a key or an address of whoever runs it."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.delenv(name, raising=False)
