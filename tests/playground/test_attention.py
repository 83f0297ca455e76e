"""Attention: the matrix and the tokens, base and tuned side by side."""

import httpx
import pytest
from tests.playground.conftest import new_backend, serving

from tunesmith.playground.pages import Playground
from tunesmith.service.core.errors import ServiceError
from tunesmith.service.http.asgi import ASGIApp

KEY = {"authorization": "Bearer any"}
TOKENS = ["Sp", "ace", " is"]
SHARP = [[1.0, 0.0, 0.0], [0.1, 0.9, 0.0], [0.75, 0.2, 0.05]]
FLAT = [[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.25, 0.25, 0.5]]


async def compute_attention(model, prompt):
    if prompt == "long":
        raise ServiceError(400, "the prompt has 100 tokens; it must have 1 to 64")
    tuned = {"attention": [[SHARP, FLAT], [FLAT, FLAT]], "next": [(" a", 0.9)]}
    base = {"attention": [[FLAT, FLAT], [FLAT, FLAT]], "next": [(" not", 0.2)]}
    return {"tokens": TOKENS, "models": {"base": base, "tuned": tuned}}


@pytest.mark.anyio
async def test_the_request_must_name_a_model_and_a_prompt():
    backend = new_backend()
    app = ASGIApp(backend, pages=Playground(backend, compute_attention=compute_attention))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://service", headers=KEY
    ) as http:
        for content in (b"", b"[]", b'{"model": "ft:x"}', b"x" * 200_000):
            response = await http.post("/playground/api/attention", content=content)
            assert response.status_code == 400
        body = {"model": "ft:x", "prompt": "Space is"}
        response = await http.post("/playground/api/attention", json=body)
    assert response.json()["tokens"] == TOKENS


@pytest.mark.slow
def test_heads_of_base_and_tuned_model_are_shown_side_by_side(open_page):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    from tunesmith.service.http.uvicorn_server import bind_socket

    backend = new_backend()
    app = ASGIApp(backend, pages=Playground(backend, compute_attention=compute_attention))
    with bind_socket() as listener, serving(app, listener):
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        page = open_page(address, bypass_csp=True)  # for axe, a script from elsewhere
        model = {"id": "ft:x:y::z", "group": "tuned", "abilities": None, "shutdown": None}
        page.route("**/playground/api/models", lambda route: route.fulfill(json={"data": [model]}))
        page.reload()
        page.click("nav >> text=Attention")
        prompt = page.get_by_label("Prompt", exact=True)
        prompt.fill("long")
        page.click("button:text('Show attention')")
        page.wait_for_selector("[role=alert]:has-text('it must have 1 to 64')")
        prompt.fill("Space is")
        page.click("button:text('Show attention')")
        base, tuned = page.get_by_label("base", exact=True), page.get_by_label("tuned", exact=True)
        tuned.locator(".token").nth(2).hover()
        page.get_by_label("Head", exact=True).fill("1")
        tuned.locator("[role=status]:has-text('“Sp” 75 %')").wait_for()
        assert "“␣is” 50 %" in base.locator("[role=status]").text_content()
        page.keyboard.press("Tab")
        tuned.locator(".token").nth(2).focus()
        page.keyboard.press("ArrowLeft")
        assert "“ace” 90 %" in tuned.locator("[role=status]").text_content()
        assert "“␣a” 90 %" in tuned.text_content()
        violations = axe.run(page).response["violations"]
        assert not [node["html"] for each in violations for node in each["nodes"]]
