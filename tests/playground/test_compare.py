"""Compare: the prompts that are suggested, and the answers as they arrive."""

import json

import pytest

pytestmark = pytest.mark.slow

COMPARE = """async ([models, job]) =>
    (await import("/playground/comparison.js")).compareModels(models, job)"""


def serve_data(page, **files):
    """Serve files of prompts from here."""

    def answer(route):
        prompts = files.get(route.request.url.split("/")[-2])
        if prompts is None:
            return route.fulfill(status=404, json={"error": {"message": "No such file."}})
        rows = [json.dumps({"prompt": prompt, "completion": " x"}) for prompt in prompts]
        return route.fulfill(body="\n".join(rows))

    page.route("**/v1/files/*/content", answer)


def prompts_of(page):
    page.wait_for_selector(".comparison textarea")
    return [area.input_value() for area in page.locator(".comparison textarea").all()]


def test_prompts_of_a_job_are_replaced_by_those_of_the_next_and_own_ones_kept(page):
    serve_data(page, first=["A", "B", "C", "D"], second=["E"], held_out=["F", "G", "H"])
    models = ["babbage-002", "davinci-002"]
    page.evaluate(COMPARE, [models, {"training_file": "first"}])
    assert prompts_of(page) == ["A", "B", "C"]
    page.get_by_label("Prompt 2", exact=True).fill("constructor")
    job = {"training_file": "second", "validation_file": "held_out"}
    page.evaluate(COMPARE, [models, job])
    assert prompts_of(page) == ["E", "F", "G", "constructor"]
    page.evaluate(COMPARE, [models, {"training_file": "deleted"}])
    assert prompts_of(page) == ["constructor"]


def test_a_cell_shows_that_it_waits_for_its_first_token(page):
    page.route("**/v1/completions", lambda route: None)  # never answered
    serve_data(page, first=["A"])
    page.evaluate(COMPARE, [["babbage-002", "davinci-002"], {"training_file": "first"}])
    page.click("button:text('Run')")
    page.locator("td [aria-busy=true]:has-text('…')").nth(1).wait_for()
    page.click("button:text('Stop')")
    page.wait_for_selector("td [aria-busy]", state="detached")
