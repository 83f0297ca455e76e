"""Live view of a job in a notebook."""

import sys
from types import SimpleNamespace

import pytest

from tunesmith.batch import BatchJob
from tunesmith.errors import ConfigurationError, NotFoundError
from tunesmith.integrations.notebook import follow_job, show_progress

pytestmark = pytest.mark.anyio


class Output:
    """Stand-in for IPython.display, which keeps what it was given."""

    def __init__(self):
        self.shown = []
        self.HTML = str

    def display(self, html, display_id):
        assert display_id is True
        self.shown.append(html)
        return SimpleNamespace(update=self.shown.append)


@pytest.fixture
def output(monkeypatch):
    output = Output()
    monkeypatch.setitem(sys.modules, "IPython.display", output)
    return output


async def test_the_output_ends_with_the_curves_and_the_model(client, job, output):
    finished = await follow_job(client, job)
    assert finished.status == "succeeded"
    assert "waiting for the first event" in output.shown[0]
    last = output.shown[-1]
    assert finished.fine_tuned_model in last
    assert last.count("<polyline") >= 2
    steps = len(await client.fine_tuning.jobs.results(finished))
    assert f"{steps:,} of {steps:,}" in last


async def test_a_failed_job_shows_why(client, data, output):
    (data / "few.jsonl").write_text('{"prompt": "a", "completion": "b"}\n')
    file = await client.files.upload(data / "few.jsonl")
    job = await client.fine_tuning.jobs.create(model="babbage-002", training_file=file.id)
    finished = await follow_job(client, job.id)
    assert finished.status == "failed"
    assert "at least 10 examples" in output.shown[-1]


async def test_outside_of_a_notebook_the_job_is_followed_all_the_same(client, job, output):
    output.display = lambda html, display_id: None
    assert (await follow_job(client, job)).status == "succeeded"


@pytest.mark.usefixtures("output")
async def test_a_job_that_does_not_exist_is_an_error(client):
    with pytest.raises(NotFoundError):
        await follow_job(client, "ftjob-none")


async def test_without_ipython_the_error_names_the_extra(client, job, monkeypatch):
    monkeypatch.setitem(sys.modules, "IPython.display", None)
    with pytest.raises(ConfigurationError, match=r"tunesmith\[notebook\]"):
        await follow_job(client, job)


async def run_batch(client, folder):
    rows = ["a", "b"]
    options = {"model": "davinci-002", "on_progress": show_progress()}
    async with BatchJob(rows, folder / "answers.jsonl", client=client, **options) as batch:
        return await batch.run()


async def test_the_progress_of_a_batch_job_is_shown_until_its_end(client, tmp_path, output):
    await run_batch(client, tmp_path)
    assert str(output.shown[-1]).startswith("2 of 2 rows, 0 failed, 0 in flight")
    assert '<progress value="2" max="2">' in output.shown[-1]._repr_html_()


async def test_outside_of_a_notebook_the_progress_is_a_line(client, tmp_path, output, capsys):
    output.display = lambda html, display_id: None
    await run_batch(client, tmp_path)
    assert "\r2 of 2 rows" in capsys.readouterr().err
