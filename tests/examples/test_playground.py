"""The playground in a real browser."""

import json

import pytest


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


def test_a_visitor_trains_a_model_and_compares_it_with_its_base(page):
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


def answer_with(page, path, **answer):
    page.route(f"**/{path}", lambda route: route.fulfill(**answer))


def test_names_and_texts_of_models_are_escaped(page):
    hostile = "<img src=x onerror='document.title = 1'>"
    answer_with(page, "models", json=[hostile])
    answer_with(page, "complete", body=json.dumps({"text": hostile}) + "\n")
    page.evaluate("listModels()")
    page.wait_for_function("columns[0].model.options.length == 1")
    page.click("#ask")
    page.wait_for_selector("#ask:enabled")
    assert page.text_content("select.model option") == hostile
    assert [each.text_content() for each in page.query_selector_all("output")] == [hostile] * 2
    assert page.query_selector("img") is None


def test_the_reason_of_a_refused_job_is_shown(page):
    answer_with(page, "fine-tunes", status=403, json={"error": "No new jobs are taken."})
    page.click("#tune")
    page.wait_for_selector("#status:has-text('No new jobs are taken.')")
    page.wait_for_selector("#tune:enabled")


def test_errors_are_shown(page):
    page.evaluate("columns[0].model.append(new Option('nobody', 'nobody', true, true))")
    page.click("#ask")
    page.wait_for_selector("output.error:has-text('does not exist')")
