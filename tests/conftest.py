"""Settings and fixtures shared by all tests."""

import os
import shutil
import sys
from pathlib import Path

import hypothesis
import pytest

TESTS = Path(__file__).parent

# Many tests start programs, which are faster when modules are compiled once.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# Paths that `-m "not slow"` leaves out without importing them. Other slow tests are marked.
SLOW = {
    "clients",
    "docs",
    "examples",
    "http/test_any_request.py",
    "packaging",
    "servers",
    "train",
    "typing",
    "unit/integrations/test_wandb.py",
}

# Where event loops differ: on trio, other tests are slow, since they repeat those on asyncio.
ON_BOTH_LOOPS = {"http", "unit/backends", "unit/calls"}

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


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium. While it runs, this thread has a running event loop."""
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    with playwright.sync_playwright() as started:
        quiet = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = started.chromium.launch(executable_path=chromium, args=quiet)
        yield browser
        browser.close()


@pytest.fixture(params=["light", "dark"])
def accessibility_violations(browser, request):
    """Function that returns what axe-core finds in a page; in both colour schemes."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page = browser.new_page(color_scheme=request.param, reduced_motion="reduce")

    def find(url):
        page.goto(str(url), wait_until="networkidle")
        found = axe.run(page).response["violations"]
        return [f"{each['id']}: {node['html']}" for each in found for node in each["nodes"]]

    yield find
    page.close()


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch):
    """Hide the keys and addresses of the developer's environment."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.delenv(name, raising=False)


def is_slow(path):
    return is_in(path, SLOW)


def is_in(path, folders):
    return any(path.is_relative_to(TESTS / folder) for folder in folders)


def is_repeated_on_trio(item):
    callspec = getattr(item, "callspec", None)
    loop = callspec and callspec.params.get("anyio_backend")
    return loop == "trio" and not is_in(item.path, ON_BOTH_LOOPS)


def pytest_ignore_collect(collection_path, config):
    return True if config.option.markexpr == "not slow" and is_slow(collection_path) else None


def pytest_collection_modifyitems(items):
    for item in items:
        if is_slow(item.path) or is_repeated_on_trio(item):
            item.add_marker(pytest.mark.slow)
