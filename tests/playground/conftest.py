"""The playground over a service in memory, on a socket of this machine, and in a browser."""

import threading
import time
from contextlib import contextmanager

import anyio
import pytest

from tunesmith import MemoryBackend
from tunesmith.clock import VirtualClock
from tunesmith.playground.pages import Playground
from tunesmith.service.http.asgi import ASGIApp

TIMEOUT_MS = 20_000


def new_backend(**options):
    """A service whose time is real, as that of `tunesmith serve`, and whose jobs are quick."""
    clock = VirtualClock(time.time(), autojump=False, rate=1.0)
    return MemoryBackend(clock=clock, seed=1, speed=100_000, **options)


def new_app(backend, *, api_key=None):
    pages = Playground(backend, api_key=api_key, is_simulated=True)
    background = backend.service.run_lifecycles
    return ASGIApp(backend, api_key=api_key, background=background, pages=pages)


@contextmanager
def serving(app, listener):
    """Serve an app in a thread; the socket stays open afterwards."""
    from tunesmith.service.http.uvicorn_server import create_server

    server = create_server(app)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener.dup()]})
    thread.start()
    try:
        yield
    finally:
        server.should_exit = server.force_exit = True
        thread.join()


@pytest.fixture(scope="module")
def backend():
    return new_backend()


@pytest.fixture(scope="module")
def address(backend):
    pytest.importorskip("uvicorn")
    from tunesmith.service.http.uvicorn_server import bind_socket

    with bind_socket() as listener, serving(new_app(backend), listener):
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"


@pytest.fixture
def open_page(browser):
    """Function that opens a page; no script may fail, and no text may become markup."""
    pages, problems = [], []

    def open_(url, **options):
        context = browser.new_context(**options)
        page = context.new_page()
        page.set_default_timeout(TIMEOUT_MS)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda message: is_problem(message) and problems.append(message.text))
        page.goto(url)
        page.wait_for_selector("main > *:nth-child(2)")
        pages.append(page)
        return page

    yield open_
    for page in pages:
        assert page.query_selector("#app script, #app img:not(.brand img), #app iframe") is None
        page.context.close()
    assert not problems


def is_problem(message):
    """Whether the console reports more than the status of a response, which tests may expect."""
    return message.type == "error" and "Failed to load resource" not in message.text


@pytest.fixture
def page(open_page, address):
    return open_page(address)


@pytest.fixture
def run_in_service(backend):
    """Function that runs an asynchronous function with a client of the service."""
    from tunesmith import AsyncClient

    def run(function, *arguments):
        # The browser's fixture has an event loop in this thread.
        result = []
        work = threading.Thread(
            target=lambda: result.append(
                anyio.run(function, AsyncClient(backend=backend), *arguments)
            )
        )
        work.start()
        work.join()
        return result[0]

    return run
