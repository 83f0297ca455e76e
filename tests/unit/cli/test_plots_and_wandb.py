"""`fine-tunes plot`, `fine-tunes report` and `wandb sync`."""

import json

import pytest


@pytest.fixture
def job(as_json, run, few, remembered):
    """The id of a job that succeeded."""
    job = as_json("fine-tunes create -t few.jsonl -m babbage-002 --seed 1")
    followed = run(f"fine-tunes follow {job['id']}")
    assert followed.exit_code == 0, followed.output
    return job["id"]


@pytest.mark.slow
def test_plots_have_the_format_of_their_suffix(run, job, folder):
    for name, begin in (("losses.png", b"\x89PNG"), ("losses.svg", b"<?xml")):
        done = run(f"fine-tunes plot {job} {job} -o {name}")
        assert (done.exit_code, done.stderr) == (0, f"Saved: {name}\n")
        assert (folder / name).read_bytes().startswith(begin)


@pytest.mark.slow
def test_a_failed_plot_leaves_the_old_file(run, job, folder, monkeypatch):
    figure = pytest.importorskip("matplotlib.figure").Figure
    (folder / "losses.png").write_text("old")
    before = set(folder.iterdir())

    def full(self, path, **_):
        path.write_text("half")
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(figure, "savefig", full)
    done = run(f"fine-tunes plot {job} -o losses.png")
    assert done.exit_code == 1
    assert done.stderr == "Error: losses.png: No space left on device\n"
    assert (folder / "losses.png").read_text() == "old"
    assert set(folder.iterdir()) == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "name"), [("plot", "a.txt"), ("plot", "a"), ("report", "a.png"), ("report", "a")]
)
def test_an_unknown_suffix_is_a_usage_error(run, job, folder, command, name):
    before = set(folder.iterdir())
    done = run(f"fine-tunes {command} {job} -o {name}")
    assert done.exit_code == 2
    assert "--output" in done.stderr
    assert set(folder.iterdir()) == before


@pytest.mark.slow
def test_a_report_is_written(run, as_json, job, folder):
    assert as_json(f"fine-tunes report {job} -o job.html") == {"saved": "job.html"}
    page = (folder / "job.html").read_text()
    assert job in page
    assert "<svg" in page


@pytest.mark.slow
def test_jobs_are_logged_once(run, as_json, job, folder, monkeypatch):
    pytest.importorskip("wandb")
    for name in ("WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_ARTIFACT_DIR"):
        monkeypatch.setenv(name, str(folder / name.lower()))
    done = run(f"wandb sync -i {job} --offline --project kant")
    assert (done.exit_code, done.stdout) == (0, f"{job}  logged\n"), done.output
    assert done.stderr == "To send the logs: wandb sync wandb/offline-run-*\n"
    assert list(folder.glob("wandb/offline-run-*"))
    assert as_json("wandb sync --offline --project kant") == {job: "already logged"}
    (details,) = folder.glob("wandb/*run-*/files/fine_tune_details.json")
    assert json.loads(details.read_text())["id"] == job


def test_without_jobs_nothing_is_logged(run, remembered, folder):
    done = run("wandb sync --offline")
    assert (done.exit_code, done.stdout) == (0, "")
    assert "No jobs to log." in done.stderr


@pytest.mark.slow
def test_a_failed_job_does_not_stop_others_from_being_logged(
    run, as_json, job, folder, monkeypatch
):
    pytest.importorskip("wandb")
    for name in ("WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_ARTIFACT_DIR"):
        monkeypatch.setenv(name, str(folder / name.lower()))
    (folder / "one.jsonl").write_text('{"prompt": "a", "completion": "b"}\n')
    fails = as_json("fine-tunes create -t one.jsonl -m babbage-002")["id"]
    done = run("wandb sync --offline --follow")
    assert done.exit_code == 3
    assert done.stdout == f"{fails}  not succeeded\n{job}  logged\n"
    assert "must have at least 10 examples" in done.stderr.splitlines()[-1]


@pytest.mark.slow
def test_a_missing_wandb_account_has_a_hint(run, job, monkeypatch):
    wandb = pytest.importorskip("wandb")

    def refuse():
        raise wandb.errors.UsageError("No API key configured.")

    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setattr(wandb, "Api", refuse)
    done = run(f"wandb sync {job}")
    assert done.exit_code == 1
    assert done.stderr.endswith("send it later, use --offline.\n")
