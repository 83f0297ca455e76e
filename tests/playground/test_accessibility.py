"""axe-core finds nothing wrong in any view, in both colour schemes and at both widths."""

import httpx
import pytest

pytestmark = pytest.mark.slow

KEY = {"authorization": "Bearer any"}
VIEWS = ["compare", "fine-tune", "fine-tune/new", "files", "batches"]


@pytest.fixture(scope="module")
def job(address):
    """A job that has succeeded."""
    with httpx.Client(base_url=address, headers=KEY, timeout=60) as http:
        rows = "prompt,completion\n" + "".join(f"Question {i}?,Answer {i}.\n" for i in range(20))
        query = {"name": "table.csv", "model": "babbage-002", "upload": "1", "split": "0.2"}
        files = http.post("playground/api/datasets", params=query, content=rows).json()
        body = {"model": "babbage-002", **{k: v for k, v in files.items() if k.endswith("_file")}}
        job = http.post("v1/fine_tuning/jobs", json=body).json()
        while job["status"] != "succeeded":
            job = http.get(f"v1/fine_tuning/jobs/{job['id']}").json()
    return job["id"]


@pytest.mark.parametrize(("scheme", "width"), [("light", 1400), ("dark", 400)])
def test_views_are_accessible(open_page, address, job, scheme, width):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    viewport = {"width": width, "height": 900}
    # axe is a script from elsewhere, which the policy of the page forbids.
    page = open_page(address, color_scheme=scheme, viewport=viewport, bypass_csp=True)
    found = []

    def inspect(view):
        page.wait_for_load_state("networkidle")
        violations = axe.run(page).response["violations"]
        found.extend(f"{view} {v['id']}: {n['html'][:200]}" for v in violations for n in v["nodes"])
        assert page.evaluate("document.documentElement.scrollWidth") <= width, view

    page.get_by_label("Show probabilities").check()
    page.get_by_label("Prompt").fill("Hi")
    page.click("button:text('Run')")
    page.locator(".token").first.hover()
    page.click("summary")
    inspect("try")
    for view in VIEWS:
        page.goto(f"{address}#/{view}")
        if view.endswith("new"):
            page.click("text=Use the example")
            page.wait_for_selector(".example")
        inspect(view)
    page.goto(f"{address}#/fine-tune/{job}")
    page.wait_for_selector("polyline")
    inspect("job")
    page.click("button:text('Compare with base')")
    page.click("button:text('Run')")
    page.wait_for_selector("button:text('Save as JSON')")
    page.wait_for_selector("button:text('Run')")
    inspect("comparison")
    assert not found, "\n".join(found)


def test_colours_are_those_of_the_system_unless_chosen(open_page, address):
    page = open_page(address, color_scheme="light")
    colour = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(colour)
    page.get_by_label("Colours").select_option("Dark")
    page.wait_for_function(f"light => {colour} !== light", arg=light)
    page.get_by_label("Colours").select_option("System colours")
    page.wait_for_function(f"light => {colour} === light", arg=light)
