"""Keys, and servers that go away and come back."""

import httpx
import pytest
from tests.playground.conftest import new_app, new_backend, serving

pytestmark = pytest.mark.slow


@pytest.fixture
def listener():
    pytest.importorskip("uvicorn")
    from tunesmith.service.http.uvicorn_server import bind_socket

    with bind_socket() as listener:
        yield listener


def address_of(listener):
    return f"http://127.0.0.1:{listener.getsockname()[1]}/"


def test_the_key_is_asked_for_until_it_is_right_and_stays_in_memory(open_page, listener):
    with serving(new_app(new_backend(), api_key="sk-right"), listener):
        page = open_page(address_of(listener))
        page.fill("dialog input", "sk-wrong")
        page.keyboard.press("Enter")
        page.wait_for_selector("dialog [role=alert]:has-text('Incorrect API key provided')")
        page.fill("dialog input", "sk-right")
        page.click("dialog button")
        page.wait_for_selector("option", state="attached")
        assert page.locator("dialog").count() == 0
        stored = "JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])"
        assert "sk-right" not in page.evaluate(stored) + page.content() + page.url


def test_the_key_of_the_address_is_used_and_removed_from_it(open_page, listener):
    with serving(new_app(new_backend(), api_key="sk-right"), listener):
        page = open_page(f"{address_of(listener)}#key=sk-right")
        page.wait_for_selector("option", state="attached")
        assert "sk-right" not in page.url


def test_a_server_that_comes_back_is_used_again(open_page, listener):
    backend = new_backend()
    with serving(new_app(backend), listener):
        page = open_page(f"{address_of(listener)}#/fine-tune/new")
        page.wait_for_selector("option", state="attached")
        page.goto(f"{address_of(listener)}#/files")
        page.wait_for_selector("text=No files.")
    page.route("**/v1/**", lambda route: route.abort())
    page.route("**/playground/api/**", lambda route: route.abort())
    page.select_option("main select", "batch")
    page.wait_for_selector(".lost:has-text('does not respond')")
    page.unroute_all()
    with serving(new_app(backend), listener):
        body = {
            "purpose": (None, "fine-tune"),
            "file": ("new.jsonl", b'{"prompt":"a","completion":"b"}\n'),
        }
        key = {"authorization": "Bearer any"}
        httpx.post(f"{address_of(listener)}v1/files", headers=key, files=body).raise_for_status()
        page.wait_for_selector(".lost", state="detached")
        page.select_option("main select", "")
        page.wait_for_selector("text=new.jsonl")
