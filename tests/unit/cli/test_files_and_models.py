"""`tunesmith files` and `tunesmith models`."""

import json

import pytest


@pytest.fixture
def uploaded(as_json, few, remembered):
    return as_json("files upload few.jsonl")


def test_an_uploaded_file_is_listed_shown_and_printed(run, uploaded, few):
    file_id = uploaded["id"]
    listed = run("files list").stdout
    assert listed.split("\t")[0] == file_id
    assert listed.rstrip("\n").split("\t")[-1] == "few.jsonl"
    shown = run(f"files get {file_id}").stdout
    assert f"id       {file_id}\n" in shown
    assert f"bytes    {few.stat().st_size}\n" in shown
    assert run(f"files content {file_id}").stdout == few.read_text()


def test_content_is_saved_to_a_file(run, uploaded, few, folder):
    result = run(f"files content {uploaded['id']} -o copy.jsonl")
    assert result.exit_code == 0
    assert (folder / "copy.jsonl").read_bytes() == few.read_bytes()
    assert result.stdout == ""


@pytest.mark.slow
def test_a_link_is_written_through_and_stays_one(run, tuned, folder):
    for number, command in enumerate(
        (f"files content {tuned['training_file']}", f"fine-tunes results {tuned['id']}")
    ):
        link, target = folder / f"link-{number}", folder / f"target-{number}"
        target.touch()
        link.symlink_to(target)
        assert run(f"{command} -o {link}").exit_code == 0
        assert link.is_symlink()
        assert target.read_text() == run(command).stdout


@pytest.mark.slow
def test_saved_files_are_reported_as_json_too(as_json, tuned, folder):
    saved = as_json(f"files content {tuned['training_file']} -o a.jsonl")
    assert saved == {"saved": "a.jsonl"}
    assert as_json(f"fine-tunes results {tuned['id']} -o a.csv") == {"saved": "a.csv"}


def test_files_are_deleted_one_after_the_other(run, uploaded, as_json):
    other = as_json("files upload kant.csv --purpose assistants")
    assert run(f"files delete {uploaded['id']} {other['id']}").exit_code == 0
    assert as_json("files list") == []


def test_lists_are_limited_and_filtered(as_json, uploaded):
    as_json("files upload kant.csv --purpose assistants")
    assert len(as_json("files list")) == 2
    assert len(as_json("files list --limit 1")) == 1
    assert [f["id"] for f in as_json("files list --purpose fine-tune")] == [uploaded["id"]]


def test_an_upload_suggests_the_next_command(run, few, remembered):
    result = run("--state other.state files upload few.jsonl")
    file_id = result.stdout.split()[1]
    assert f"Next: tunesmith --state other.state fine-tunes create -t {file_id}" in result.stderr


def test_an_identical_file_is_reused_in_a_script(run, uploaded, as_json):
    result = run("files upload few.jsonl")
    assert f"Reusing {uploaded['id']} for few.jsonl (identical content)." in result.stderr
    assert len(as_json("files list")) == 1


@pytest.fixture
def interactive(monkeypatch):
    """Standard input is a terminal."""
    from tunesmith.cli import upload

    monkeypatch.setattr(upload, "_is_interactive", lambda output: not output.as_json)


@pytest.mark.parametrize(("answer", "files"), [("\n", 1), ("y\n", 1), ("n\n", 2)])
def test_an_identical_file_is_offered_for_reuse(run, uploaded, as_json, interactive, answer, files):
    result = run("files upload few.jsonl", answer)
    assert f"few.jsonl is identical to {uploaded['id']} (few.jsonl," in result.stderr
    assert "Reuse it [Y/n]" in result.stderr
    assert len(as_json("files list")) == files


@pytest.mark.parametrize("option", ["--force", "-y"])
def test_options_answer_the_prompt_in_advance(run, uploaded, as_json, interactive, option):
    result = run(f"files upload few.jsonl {option}")
    assert "[Y/n]" not in result.stderr
    assert len(as_json("files list")) == (2 if option == "--force" else 1)


@pytest.mark.slow
def test_models_are_listed_and_filtered(run, tuned, as_json):
    names = [model["id"] for model in as_json("models list")]
    assert "babbage-002" in names
    own = [model["id"] for model in as_json("models list --tuned")]
    assert tuned["fine_tuned_model"] in own
    assert "babbage-002" not in own
    assert run("models list --tuned").stdout.count("\torg-tunesmith\n") == len(own)


@pytest.mark.slow
def test_a_model_is_shown_and_deleted(run, tuned):
    name = tuned["fine_tuned_model"]
    assert f"id       {name}" in run(f"models get {name}").stdout
    assert run(f"models delete {name}").stdout == f"deleted  {name}\n"
    result = run(f"models get {name}")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"Error: models.retrieve: The model '{name}' does not exist")


def test_lists_are_tables_on_a_terminal(run, uploaded, monkeypatch):
    from tunesmith.cli.output import Output

    monkeypatch.setattr(Output, "is_terminal", True)
    monkeypatch.setenv("COLUMNS", "120")
    head, row = run("files list").stdout.splitlines()
    assert head.split() == ["id", "bytes", "created", "purpose", "name"]
    assert row.split()[0] == uploaded["id"]


def test_json_is_one_line(run, uploaded):
    result = run("files list --json")
    assert result.stdout.count("\n") == 1
    assert json.loads(result.stdout)[0]["filename"] == "few.jsonl"
