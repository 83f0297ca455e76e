"""The pytest plugin, in test runs of its own."""

import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from tunesmith.backends import network

LIFECYCLE = """
    lines = b'{"prompt": "1 + 1 ->", "completion": " 2"}\\n' * 12
    file = await tunesmith_client.files.create(file=("a.jsonl", lines), purpose="fine-tune")
    job = await tunesmith_client.fine_tuning.jobs.create(
        model="davinci-002", training_file=file.id
    )
    job = await tunesmith_client.fine_tuning.jobs.wait(job)
    assert job.status == "succeeded"
    assert tunesmith_service.clock.monotonic() > 60
"""

CALL = """
import anyio
from tunesmith import AsyncClient, errors

async def call(url="https://api.openai.com/v1"):
    async with AsyncClient(api_key="sk-1", base_url=url, max_retries=0) as client:
        await client.models.list()
"""


@pytest.fixture(autouse=True)
def _unguarded():
    """Remove the guard of the surrounding test run."""
    previous = network.forbid_network(None)
    yield
    network.forbid_network(previous)


@pytest.fixture
def run(pytester):
    """Run the written tests, by default without a plugin for asynchronous tests."""

    def run(*options, plugins=("-p", "no:asyncio", "-p", "no:anyio")):
        return pytester.runpytest_inprocess("-p", "no:cacheprovider", *plugins, *options)

    return run


@pytest.fixture
def passes(run):
    def passes(count, *options, **more):
        run(*options, **more).assert_outcomes(passed=count)

    return passes


# Fixtures


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["auto", "strict"])
def test_the_fixtures_work_with_pytest_asyncio(pytester, mode, passes):
    pytester.makepyfile(f"""
import pytest

@pytest.mark.asyncio
async def test_a_job(tunesmith_client, tunesmith_service):
{LIFECYCLE}
""")
    options = ("-o", f"asyncio_mode={mode}", "-o", "asyncio_default_fixture_loop_scope=function")
    passes(1, *options, plugins=("-p", "no:anyio"))


@pytest.mark.slow
def test_the_fixtures_work_with_anyio_on_both_event_loops(pytester, passes):
    pytester.makepyfile(f"""
import pytest

@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_a_job(tunesmith_client, tunesmith_service):
{LIFECYCLE}
""")
    passes(2, plugins=("-p", "no:asyncio"))


@pytest.mark.slow
def test_the_fixtures_work_without_any_plugin(pytester, passes):
    pytester.makepyfile(f"""
import asyncio
import pytest
import trio

@pytest.mark.parametrize("run", [lambda work: asyncio.run(work()), trio.run])
def test_a_job(run, tunesmith_client, tunesmith_service):
    run(lambda: work(tunesmith_client, tunesmith_service))

async def work(tunesmith_client, tunesmith_service):
{LIFECYCLE}
""")
    passes(2)


@pytest.mark.slow
def test_the_test_in_the_documentation_passes(pytester, passes):
    page = Path(__file__).parents[3] / "docs" / "how-to" / "pytest.md"
    pytester.makepyfile(page.read_text().split("```python\n")[1].split("```")[0])
    passes(2, plugins=("-p", "no:asyncio"))


@pytest.mark.slow
def test_fixtures_can_be_overridden(pytester, passes):
    pytester.makeconftest("""
import pytest
from tunesmith.service.service import Service

@pytest.fixture
def tunesmith_service():
    return Service(seed=5, organization="org-mine")
""")
    pytester.makepyfile("""
import anyio

def test_it(
    tunesmith_client, tunesmith_recorder, tunesmith_faults, tunesmith_backend, tunesmith_service
):
    assert tunesmith_client.backend is tunesmith_recorder
    assert tunesmith_recorder.inner is tunesmith_faults
    assert tunesmith_faults.inner is tunesmith_backend
    assert tunesmith_backend.service is tunesmith_service
    page = anyio.run(tunesmith_client.models.list)
    assert page.response.headers["openai-organization"] == "org-mine"
""")
    passes(1)


def test_the_client_calls_through_the_recorder_and_faults(pytester, passes):
    pytester.makepyfile("""
import anyio

def test_it(tunesmith_client, tunesmith_faults, tunesmith_recorder):
    tunesmith_faults.on("models.list").rate_limited(retry_after=20)
    anyio.run(tunesmith_client.models.list)
    tunesmith_faults.assert_all_fired()
    tunesmith_recorder.assert_called("models.list", times=2)
    tunesmith_recorder.assert_no_violations()
""")
    passes(1)


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("-n", "2", "-p", "xdist")], ids=["alone", "xdist"])
def test_each_test_has_its_own_deterministic_service(pytester, passes, options, monkeypatch):
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # so that workers start quickly
    pytester.makepyfile("""
import anyio
import pytest

@pytest.mark.parametrize("number", range(6))
def test_it(number, tunesmith_client):
    async def work():
        assert (await tunesmith_client.files.list()).data == []
        file = await tunesmith_client.files.create(file=("a.txt", b"a"), purpose="user_data")
        with open("ids.txt", "a") as file_of_ids:
            print(file.id, file=file_of_ids)
    anyio.run(work)
""")
    passes(6, *options, "-p", "tunesmith.testing.pytest_plugin")
    ids = (pytester.path / "ids.txt").read_text().split()
    assert len(ids) == 6
    assert len(set(ids)) == 1


def test_the_plugin_is_an_entry_point():
    (plugin,) = (entry for entry in entry_points(group="pytest11") if entry.name == "tunesmith")
    assert plugin.value == "tunesmith.testing.pytest_plugin"


def test_a_failure_shows_the_calls_and_the_line_of_the_test(pytester, run):
    pytester.makepyfile("""
import anyio

def test_it(tunesmith_client, tunesmith_recorder):
    anyio.run(tunesmith_client.models.list)
    tunesmith_recorder.assert_not_called("models.list")  # the line that fails
""")
    result = run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            ">*assert_not_called(*# the line that fails",
            "test_a_failure_shows_the_calls_and_the_line_of_the_test.py:5: AssertionError",
            "*tunesmith calls*",
            "1 models.list 200 in 0 s",
        ]
    )
    result.stdout.no_fnmatch_line("*recorder.py*")


# Cost


@pytest.mark.slow
def test_the_plugin_imports_nothing_until_it_is_used(pytester):
    pytester.makepyfile("def test_nothing(): pass")
    loaded = """
import sys
import pytest

class PrintLoaded:
    def pytest_unconfigure(self):
        loaded = {"httpx", "pydantic", "anyio", "tunesmith.service"} & set(sys.modules)
        print("loaded:", sorted(loaded), "tunesmith.testing.pytest_plugin" in sys.modules)

raise SystemExit(pytest.main(sys.argv[1:], plugins=[PrintLoaded()]))
"""
    for option in ("--help", "--tunesmith-no-network"):
        # Other plugins load httpx and pydantic.
        alone = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        command = [sys.executable, "-c", loaded, option, "-p", "tunesmith.testing.pytest_plugin"]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=alone)
        assert "loaded: [] True" in done.stdout


# Network guard


@pytest.fixture(params=["option", "configuration"])
def guard_option(request, pytester):
    """Option of a test run in which calls to other machines are forbidden."""
    if request.param == "option":
        return "--tunesmith-no-network"
    pytester.makeini("[pytest]\ntunesmith_no_network = true")
    return "-q"


@pytest.mark.slow
def test_a_call_to_another_machine_is_an_error_that_names_the_test(pytester, run, guard_option):
    pytester.makepyfile(f"{CALL}\ndef test_mine(): anyio.run(call)")
    result = run(guard_option)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*NetworkBlockedError: *::test_mine called api.openai.com*tunesmith_client*"]
    )


def test_calls_are_allowed_without_the_option(pytester, passes):
    pytester.makepyfile("""
from tunesmith.backends.network import blocked_error_for

def test_mine(): assert blocked_error_for("https://api.openai.com/v1") is None
""")
    passes(1)


def test_a_test_that_catches_the_error_fails(pytester, run):
    pytester.makepyfile(f"""{CALL}
def test_mine():
    try:
        anyio.run(call)
    except Exception:
        pass

def test_another(): pass
""")
    result = run("--tunesmith-no-network")
    result.assert_outcomes(failed=1, passed=1)


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_calls_on_the_same_machine_are_allowed(pytester, passes, loop):
    pytester.makepyfile(f"""{CALL}
import pytest

@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_mine(host):
    with pytest.raises(errors.APIConnectionError, match="models.list"):
        anyio.run(call, f"http://{{host}}:1/v1", backend="{loop}")
""")
    passes(3, "--tunesmith-no-network")


def test_a_marked_test_may_call(pytester, passes):
    pytester.makepyfile("""
import pytest
from tunesmith.backends.network import blocked_error_for

@pytest.mark.tunesmith_network
def test_marked(): assert blocked_error_for("https://api.openai.com/v1") is None

def test_other(): assert blocked_error_for("https://api.openai.com/v1") is not None
""")
    passes(2, "--tunesmith-no-network", "--strict-markers")


def test_mock_transports_are_allowed(pytester, passes):
    pytester.makepyfile("""
import anyio, httpx, respx
from tunesmith import AsyncClient

PAGE = {"object": "list", "data": []}

async def models(**options):
    async with AsyncClient(api_key="sk-1", **options) as client:
        return (await client.models.list()).data

def test_respx():
    with respx.mock(base_url="https://api.openai.com/v1") as router:
        router.get("/models").respond(json=PAGE)
        assert anyio.run(models) == []

def test_mock_transport():
    async def work():
        transport = httpx.MockTransport(lambda request: httpx.Response(200, json=PAGE))
        async with httpx.AsyncClient(transport=transport) as http:
            return await models(http_client=http)
    assert anyio.run(work) == []
""")
    passes(2, "--tunesmith-no-network")


@pytest.mark.slow
def test_calls_in_fixtures_and_outside_of_tests_are_errors(pytester, run):
    pytester.makepyfile(f"""{CALL}
import pytest

@pytest.fixture
def models():
    anyio.run(call)

def test_mine(models): pass
""")
    pytester.makepyfile(test_early=f"{CALL}\nanyio.run(call)")
    result = run("--tunesmith-no-network", "--continue-on-collection-errors")
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(["*code outside of tests called api.openai.com*"])
    result.stdout.fnmatch_lines(["*::test_mine called api.openai.com*"])


@pytest.mark.slow
def test_a_custom_http_client_is_guarded(pytester, run):
    pytester.makepyfile("""
import anyio, httpx, pytest
from tunesmith import AsyncClient
from tunesmith.testing import NetworkBlockedError

def test_mine():
    async def work():
        async with httpx.AsyncClient() as http:
            client = AsyncClient(api_key="sk-1", http_client=http, base_url="http://192.0.2.1/v1")
            await client.models.list()
    anyio.run(work)
""")
    result = run("--tunesmith-no-network")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*::test_mine called 192.0.2.1*"])


def test_the_guard_is_removed_after_the_run(pytester, passes):
    previous = network.blocked_error_for("https://api.openai.com/v1")
    pytester.makepyfile("def test_nothing(): pass")
    passes(1, "--tunesmith-no-network")
    assert network.blocked_error_for("https://api.openai.com/v1") is previous is None
