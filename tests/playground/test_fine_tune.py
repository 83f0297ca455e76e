"""Fine-tune: from a table to a compared model, in a real browser."""

import csv
import io
import json
import re
import time

import pytest

pytestmark = pytest.mark.slow

TABLE = "prompt,completion\n" + "".join(
    f"What is the capital of country {i}?,City {i} is the capital.\n" for i in [*range(20), 0]
)


def field(page, label):
    return page.get_by_label(label, exact=True)


def choose_data(page, name="capitals.csv", content=TABLE):
    file = {"name": name, "mimeType": "text/csv", "buffer": content.encode()}
    page.set_input_files("#data", file)


def saved(page, label):
    with page.expect_download() as download:
        page.click(f"button:text('{label}')")
    return download.value


@pytest.fixture
def new_job(open_page, address):
    return open_page(f"{address}#/fine-tune/new")


def test_a_table_becomes_a_compared_model(new_job, tmp_path):
    page = new_job
    choose_data(page)
    duplicates = page.locator(".findings li:has-text('duplicate')")
    assert duplicates.locator("input").is_checked()
    field(page, "Model").select_option("babbage-002")
    page.wait_for_selector("text=20 rows remain after the repairs")
    learnt = page.locator(".example >> nth=0").locator("mark").text_content()
    assert "City 0 is the capital." in learnt
    field(page, "Epochs").fill("2")
    field(page, "Suffix of the new name").fill("capitals")
    field(page, "Validation").select_option("0.1")
    with page.expect_request("**/v1/fine_tuning/jobs") as sent:
        page.click("button:text('Start fine-tuning')")
    request = sent.value.post_data_json
    assert request["method"] == {
        "type": "supervised",
        "supervised": {"hyperparameters": {"n_epochs": 2}},
    }
    assert request["validation_file"]

    page.wait_for_selector(".title:has-text('capitals') .state:text('succeeded')")
    page.wait_for_selector(".facts div:has-text('Duration'):has-text(' s')")
    page.wait_for_selector(".events [role=row]:has-text('The job has successfully completed')")
    points = page.get_attribute("figure:has-text('Loss') polyline.line", "points").split()
    heights = [float(point.split(",")[1]) for point in points]
    assert heights[-1] > heights[0]  # the loss fell, and y grows downwards
    assert page.locator("figure").first.locator("polyline[stroke-dasharray]").count() == 1
    results = saved(page, "Results as CSV").path().read_text()
    steps = list(csv.DictReader(io.StringIO(results)))
    assert float(steps[0]["train_loss"]) > float(steps[-1]["train_loss"])
    picture = saved(page, "Save as PNG")
    assert picture.path().read_bytes().startswith(b"\x89PNG")

    page.click("button:text('Compare with base')")
    page.wait_for_selector(".comparison textarea")
    prompt = field(page, "Prompt 1").input_value()
    assert prompt.startswith("What is the capital of country")
    sources = page.locator("tbody td:first-child .note").all_text_contents()
    assert sources == ["from the training data"] * 2 + ["from the validation data (held out)"] * 2
    page.wait_for_selector("text=Run sends each prompt to each model")
    page.click("button:text('Run')")
    page.wait_for_selector("tbody tr:first-child td:nth-child(3):has-text('City')")
    assert page.locator("mark.differs").count() > 0
    page.wait_for_selector("button:text('Run')")
    rows = json.loads(saved(page, "Save as JSON").path().read_text())
    assert rows[0]["prompt"] == prompt
    assert [row["source"] for row in rows] == ["training"] * 2 + ["validation"] * 2
    assert [model.split(":")[0] for model in rows[0]["answers"]] == ["babbage-002", "ft"]
    table = list(csv.reader(io.StringIO(saved(page, "Save as CSV").path().read_text())))
    assert table[0][:2] == ["prompt", "babbage-002"]


def test_a_file_is_dropped_onto_the_page(new_job):
    page = new_job
    page.evaluate(
        """table => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([table], "dropped.csv"));
            const drop = new DragEvent("drop", {dataTransfer: transfer, bubbles: true});
            document.querySelector(".drop").dispatchEvent(drop);
        }""",
        TABLE,
    )
    page.wait_for_selector(".drop:has-text('dropped.csv')")
    page.wait_for_selector(".example")


def test_a_declined_repair_is_not_applied(new_job):
    page = new_job
    choose_data(page)
    page.locator(".findings li:has-text('duplicate') input").uncheck()
    page.wait_for_selector("text=20 rows remain", state="detached")


def test_files_that_cannot_be_used_are_errors_in_words(new_job):
    page = new_job
    page.wait_for_selector(".actions:has-text('Choose training data first.')")
    choose_data(page, content="prompt,completion\n")
    page.wait_for_selector("[role=alert]:has-text('no example')")
    assert page.is_disabled("button:text('Start fine-tuning')")
    assert "The data cannot be used" in page.text_content("#obstacle")


def test_the_reason_of_a_refused_job_is_shown(new_job):
    page = new_job
    answer = {"status": 403, "json": {"error": {"message": "No new jobs are taken."}}}
    page.route("**/v1/fine_tuning/jobs", lambda route: route.fulfill(**answer))
    choose_data(page)
    page.wait_for_selector(".example")
    page.click("button:text('Start fine-tuning')")
    page.wait_for_selector("[role=alert]:has-text('No new jobs are taken.')")
    page.wait_for_selector("button:enabled:text('Start fine-tuning')")


JOB = {
    "id": "ftjob-1",
    "object": "fine_tuning.job",
    "model": "babbage-002",
    "created_at": 1,
    "status": "running",
    "training_file": "file-1",
    "result_files": [],
    "hyperparameters": {},
}


def serve_job(page, **fields):
    """Serve one job from here, whose status the actions change."""
    job = {**JOB, **fields}
    actions = {"pause": "paused", "resume": "running", "cancel": "cancelled"}

    def answer(route):
        path = route.request.url.split("?")[0]
        action = path.rsplit("/", 1)[1]
        if action in actions:
            job["status"] = actions[action]
        if action in {"events", "checkpoints"}:
            route.fulfill(json={"object": "list", "data": [], "has_more": False})
        else:
            route.fulfill(json=job)

    page.route("**/v1/fine_tuning/jobs/**", answer)
    page.route(
        "**/playground/api/jobs/**",
        lambda route: route.fulfill(json={"points": [], "last_step": 0, "is_complete": True}),
    )


def test_jobs_are_paused_resumed_and_cancelled(page, address):
    serve_job(page)
    page.goto(f"{address}#/fine-tune/ftjob-1")
    for button, status in [("Pause", "paused"), ("Resume", "running"), ("Cancel", "cancelled")]:
        page.click(f"button:text-is('{button}')")
        page.wait_for_selector(f".title .state:text('{status}')")
    assert page.locator("button:text-is('Cancel')").count() == 0


def test_a_running_job_shows_its_name_its_files_and_the_time_left(page, address):
    now = int(time.time())
    serve_job(page, user_provided_suffix="kant", created_at=now - 200)
    steps = [
        {"id": f"e{step}", "created_at": at, "data": {"step": step, "total_steps": 500}}
        for step, at in [(50, now), (1, now - 98)]  # 2 s a step
    ]
    page.route("**/events?**", lambda route: route.fulfill(json={"data": steps}))
    file = {"id": "file-1", "filename": "kant.jsonl", "purpose": "fine-tune", "bytes": 2}
    page.route("**/v1/files/file-1", lambda route: route.fulfill(json=file))
    page.route("**/v1/files/file-1/content", lambda route: route.fulfill(body="{}"))
    page.goto(f"{address}#/fine-tune/ftjob-1")
    page.wait_for_selector(".title:has-text('kant')")
    page.wait_for_selector(".progress:has-text('step 50 of 500 · 3 min ')")
    assert re.search(r"about 1[45] min( \d+ s)? left", page.text_content(".progress"))
    page.click(".facts a:text('kant.jsonl')")
    page.wait_for_selector(".panel h2:text('kant.jsonl')")


def test_names_and_events_of_a_service_stay_text(page, address):
    hostile = "<img src=x onerror=\"document.title='hacked'\">"
    serve_job(page, status="failed", model=hostile, error={"message": hostile, "code": hostile})
    event = {"id": "e1", "created_at": 1, "level": hostile, "message": hostile, "data": {}}
    page.route(
        "**/events?**", lambda route: route.fulfill(json={"data": [event], "has_more": False})
    )
    page.goto(f"{address}#/fine-tune/ftjob-1")
    page.wait_for_selector(".events [role=cell]:nth-child(3)")
    assert page.text_content(".events [role=cell]:nth-child(3)") == hostile
    assert page.text_content(".facts dd") == hostile
    assert "hacked" not in page.title()


def test_curves_of_several_jobs_are_shown_together(page, address):
    jobs = [
        {**JOB, "id": f"ftjob-{i}", "status": "succeeded", "user_provided_suffix": "kant"}
        for i in range(3)
    ]
    page.route(
        "**/v1/fine_tuning/jobs?**",
        lambda route: route.fulfill(json={"data": jobs, "has_more": False}),
    )
    points = [
        {"step": step, "train_loss": 5 / step, "valid_loss": 6 / step} for step in range(1, 99)
    ]
    page.route(
        "**/playground/api/jobs/**",
        lambda route: route.fulfill(json={"points": points, "last_step": 98, "is_complete": True}),
    )
    page.goto(f"{address}#/fine-tune")
    page.wait_for_selector("[role=row]:has-text('ftjob-2') a:text-is('kant')")
    page.check("input[aria-label='Show the curves of kant (ftjob-2)']")
    page.locator("polyline.line:not(.raw)").nth(5).wait_for()
    assert page.locator("polyline[stroke-dasharray]").count() == 3
    page.wait_for_selector(".field:has-text('Smoothing') small:has-text('until you set it')")
    field(page, "Smoothing").fill("0")
    page.wait_for_selector(".field:has-text('Smoothing') small", state="detached")
    page.focus("figure svg")
    page.keyboard.press("ArrowRight")
    assert "step 1" in page.text_content("figure .legend")
