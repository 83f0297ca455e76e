"""The playground in a real browser: what a visitor sees."""

import shutil

import pytest

playwright = pytest.importorskip("playwright.sync_api")

CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium")


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        quiet = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = started.chromium.launch(executable_path=CHROMIUM, args=quiet)
        yield browser
        browser.close()


@pytest.fixture
def page(browser, address):
    page = browser.new_page()
    page.set_default_timeout(60_000)
    wrong = []
    page.on("pageerror", lambda error: wrong.append(error))  # noqa: PLW0108 - no bound builtin
    page.goto(address)
    page.wait_for_selector("select.model option", state="attached")
    yield page
    page.close()
    assert not wrong


def test_a_visitor_trains_a_model_watches_it_and_compares_it_with_its_base(page):
    page.click("#tune")
    page.wait_for_selector("#status:not(:empty)")
    assert "succeeded" in page.text_content("#status")
    assert "Created fine-tuning job" in page.text_content("#events li:first-child")
    points = page.get_attribute("#loss polyline", "points").split()
    heights = [float(point.split(",")[1]) for point in points]
    assert heights[-1] > heights[0]  # the loss went down, and y grows downwards
    page.click("#ask")
    page.wait_for_selector("output:has-text('space, time, substance')")
    page.wait_for_selector("#ask:enabled")
    base, tuned = page.query_selector_all("output")
    assert "space, time" not in base.text_content()
    assert "space, time" in tuned.text_content()


def test_a_visitor_reads_what_went_wrong(page):
    page.evaluate("columns[0].model.append(new Option('nobody', 'nobody', true, true))")
    page.click("#ask")
    page.wait_for_selector("output.error:has-text('does not exist')")
