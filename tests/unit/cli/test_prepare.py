"""`tunesmith prepare`: what it asks, writes, prints and refuses."""

import json

import pytest

import tunesmith
from tunesmith.cli.messages import to_option_names


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def labels(folder, yes=40, no=10):
    lines = ["prompt,completion"]
    lines += [f"text {n},{'yes' if n < yes else 'no'}" for n in range(yes + no)]
    (folder / "labels.csv").write_text("\n".join(lines))


def test_quietly_all_remedies_are_applied(run, folder):
    result = run("prepare kant.csv -q")

    assert result.exit_code == 0, result.output
    assert names(folder) == ["kant.csv", "kant_prepared.jsonl"]
    written = rows(folder / "kant_prepared.jsonl")
    assert len(written) == 279
    assert all(r["prompt"].endswith(" ->") and r["completion"][0] == " " for r in written)
    assert "Written: kant_prepared.jsonl (279 rows)" in result.output
    assert "stop=['\\n']" in result.output


def test_the_file_may_be_named_by_an_option(run, folder):
    assert run("prepare -f kant.csv -q").exit_code == 0
    assert run("prepare kant.csv -f kant.csv -q").exit_code == 2
    assert run("prepare").exit_code == 2
    assert names(folder) == ["kant.csv", "kant_prepared.jsonl"]


def test_files_that_are_there_are_kept(run, folder):
    run("prepare kant.csv -q")
    run("prepare kant.csv -q")
    assert "kant_prepared (1).jsonl" in names(folder)


def test_each_optional_remedy_is_asked_for(run, folder):
    result = run("prepare kant.csv", "n\n\nn\ny\n")

    assert result.exit_code == 0, result.output
    assert result.output.count("[Y/n/a/q]") == 4
    assert result.output.count("a (yes to all) or q (quit)") == 1
    written = rows(folder / "kant_prepared.jsonl")
    assert not any(r["prompt"].endswith(" ->") or r["completion"][0] == " " for r in written)
    assert all(r["completion"].endswith("\n") for r in written)


def test_declining_to_write_writes_nothing(run, folder):
    result = run("prepare kant.csv --report report.html", "y\ny\ny\nn\n")
    assert result.exit_code == 1
    assert "Nothing was written" in result.output
    assert names(folder) == ["kant.csv"]


def test_leaving_in_the_middle_writes_nothing(run, folder):
    assert run("prepare kant.csv", "y\n").exit_code == 1
    assert names(folder) == ["kant.csv"]


def test_data_in_order_are_used_as_they_are(run, folder):
    run("prepare kant.csv -q")
    result = run("prepare kant_prepared.jsonl -q")

    assert result.exit_code == 0, result.output
    assert "use kant_prepared.jsonl as it is" in result.output
    assert "'kant_prepared.jsonl', purpose='fine-tune'" in result.output
    assert names(folder) == ["kant.csv", "kant_prepared.jsonl"]


def test_a_classification_is_split_if_that_is_accepted(run, folder):
    labels(folder)
    result = run("prepare labels.csv -q")

    assert "validation_file=validation_file.id" in result.output
    assert len(rows(folder / "labels_prepared_train.jsonl")) == 40
    assert len(rows(folder / "labels_prepared_valid.jsonl")) == 10


def test_a_share_and_a_seed_split_anything(run, folder):
    result = run("prepare kant.csv -q --split 0.1 --seed 7")
    assert result.exit_code == 0
    first = (folder / "kant_prepared_valid.jsonl").read_bytes()
    assert len(first.splitlines()) == 28
    run("prepare kant.csv -q --split 0.1 --seed 7")
    assert (folder / "kant_prepared_valid (1).jsonl").read_bytes() == first
    run("prepare kant.csv -q --split 0.1 --seed 8")
    assert (folder / "kant_prepared_valid (2).jsonl").read_bytes() != first


def test_conversion_to_chat_with_a_system_message(run, folder):
    assert run("prepare kant.csv -q --to chat --system Teach.").exit_code == 0
    first = rows(folder / "kant_prepared.jsonl")[0]["messages"]
    assert [m["role"] for m in first] == ["system", "user", "assistant"]
    assert first[0]["content"] == "Teach."


def test_a_conversion_there_is_no_way_to_is_an_error(run, folder):
    result = run("prepare kant.csv -q --to dpo")
    assert (result.exit_code, names(folder)) == (1, ["kant.csv"])


def test_json_is_all_that_is_on_standard_output(run, folder):
    result = run("prepare kant.csv --json")
    report = json.loads(result.stdout)

    assert report["written"]["files"] == ["kant_prepared.jsonl"]
    assert report["written"]["separator"] == " ->"
    assert {"code", "severity", "lines", "fix", "status"} <= report["findings"][0].keys()


def test_the_report_is_a_page_beside_the_data(run, folder):
    result = run("prepare kant.csv -q --report report.html")
    assert "Report: report.html" in result.output
    assert (folder / "report.html").read_text().startswith("<!doctype html>")
    assert run("prepare kant.csv -q --report report.html").exit_code == 0


def test_a_report_that_cannot_be_written_leaves_nothing_behind(run, folder):
    assert run("prepare kant.csv -q --report no/report.html").exit_code == 1
    assert run("prepare kant.csv -q --report kant.csv").exit_code == 2
    assert names(folder) == ["kant.csv"]


def test_prices_give_a_sum_with_their_date(run, folder):
    (folder / "prices.json").write_text(
        '{"as_of": "2026-11-01", "usd_per_million_training_tokens": {"babbage-002": 1000}}'
    )
    result = run("prepare kant.csv -q --model babbage-002 --prices prices.json")
    assert "(prices of 2026-11-01)" in result.output
    result = run("prepare kant.csv -q --model davinci-002 --prices prices.json")
    assert "do not list davinci-002" in result.output
    result = run("prepare kant.csv -q")
    assert "For the cost in dollars, give --model and your --prices.\n" in result.output
    result = run("prepare kant.csv -q --model babbage-002")
    assert "For the cost in dollars, give your --prices.\n" in result.output
    result = run("prepare kant.csv -q --prices prices.json")
    assert "For the cost in dollars, give --model.\n" in result.output
    assert "$" not in result.output


@pytest.mark.slow
def test_rows_over_the_models_limit_are_found(run, folder):
    (folder / "long.jsonl").write_text(
        "\n".join(
            json.dumps({"prompt": f"p{n}", "completion": "word " * n}) for n in range(1, 2300)
        )
    )
    assert "too-many-tokens" in run("prepare long.jsonl -q --model ada").output


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("empty.jsonl", b"", "empty"),
        ("header.csv", b"prompt,completion\n", "no example"),
        ("columns.csv", b"frage,completion\na,b\nc,d\n", "--rename frage=prompt"),
        ("data.dat", b"x", "--kind csv"),
        ("one.jsonl", b'{"prompt": "a", "completion": "b"}\n', "only 1 example"),
    ],
)
def test_bad_input_is_an_error_that_names_the_file_and_the_way_out(
    run, folder, name, content, said
):
    (folder / name).write_bytes(content)
    before = names(folder)
    result = run(f"prepare {name} -q")

    assert result.exit_code == 1
    assert name in result.output
    assert said in result.output
    assert names(folder) == before


def test_columns_can_be_renamed(run, folder):
    (folder / "t.csv").write_text("frage,completion\n" + "\n".join(f"q{n},a{n}" for n in range(12)))
    assert run("prepare t.csv -q --rename frage=prompt").exit_code == 0
    assert run("prepare t.csv -q --rename frage").exit_code == 2
    missing = run("prepare t.csv -q --rename question=prompt")
    assert missing.exit_code == 1
    assert "`question` cannot be renamed, because it does not exist" in missing.output


@pytest.fixture
def broken(folder):
    good = [json.dumps({"prompt": f"p{n}", "completion": f"c{n}"}) for n in range(20)]
    (folder / "broken.jsonl").write_text("\n".join([*good[:4], '{"prompt": ', *good[4:]]))


def test_broken_lines_are_left_out_only_if_that_is_said(run, folder, broken):
    result = run("prepare broken.jsonl -q")
    assert result.exit_code == 1
    assert "broken.jsonl:5" in result.output
    assert "--skip-broken" in result.output
    assert run("prepare broken.jsonl", "n\n").exit_code == 1
    assert names(folder) == ["broken.jsonl", "kant.csv"]

    assert run("prepare broken.jsonl -q --skip-broken").exit_code == 0
    assert len(rows(folder / "broken_prepared.jsonl")) == 20


def test_of_broken_lines_the_first_is_shown_and_what_may_mend_it(run, folder):
    lines = "".join(f"q{n},a{n}\n" for n in range(20))
    (folder / "old.csv").write_bytes(f"prompt,completion\n{lines}Gr\xfcn,c\n".encode("latin-1"))

    result = run("prepare old.csv -q")

    assert result.exit_code == 1
    assert "old.csv:22" in result.output
    assert "--encoding cp1252" in result.output
    assert "'Gr?n, c'" in result.output
    assert run("prepare old.csv -q --encoding cp1252").exit_code == 0
    assert json.loads(run("prepare old.csv --json --skip-broken").stdout)["rows"] == 20


def test_a_file_that_may_not_be_read_is_bad_input(run, folder, monkeypatch):
    monkeypatch.setattr("os.access", lambda *_, **__: False)

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.open", refuse)
    result = run("prepare kant.csv -q")
    assert result.exit_code == 1
    assert "kant.csv: Permission to read this file is missing" in result.output


@pytest.mark.parametrize("options", ["--system Teach.", "-o kant.txt", "--to dpo --system Teach."])
def test_options_that_would_do_nothing_useful_are_refused(run, folder, options):
    assert run(f"prepare kant.csv -q {options}").exit_code == 2
    assert names(folder) == ["kant.csv"]


def test_if_all_lines_are_broken_the_first_is_named(run, folder):
    (folder / "all.jsonl").write_text("{\n{\n")
    assert "all.jsonl:1" in run("prepare all.jsonl -q").output


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "options"),
    [("kant.csv", "--split 0.2"), ("kant.csv", "--to chat --model gpt-4.1-mini-2025-04-14")],
)
def test_the_program_it_prints_runs(run, folder, file, options, monkeypatch, capsys):
    result = run(f"prepare {file} -q {options}")
    program = result.stdout.split("Or in Python:")[1]
    client = tunesmith.AsyncClient(backend=tunesmith.MemoryBackend())
    monkeypatch.setattr(tunesmith, "AsyncClient", lambda **_: client)

    exec(program, {})

    assert capsys.readouterr().out.startswith("ft:")


@pytest.mark.slow
def test_the_program_speaks_to_the_service_of_the_command(run, folder, remembered, capsys):
    program = run("prepare kant.csv -q").stdout.split("Or in Python:")[1]
    exec(program, {})
    model = capsys.readouterr().out.strip()
    assert model in run("models list --tuned").stdout


def test_arguments_of_python_become_options():
    assert to_option_names("leave such lines out with on_broken='skip'") == (
        "leave such lines out with --skip-broken"
    )
    assert to_option_names("resume with mode='auto'") == "resume with --mode auto"
    assert to_option_names("name encoding='cp1252'.") == "name --encoding cp1252."
    assert to_option_names("rename={'a': 'prompt'}") == "--rename a=prompt"
    assert to_option_names("rename={'my col': 'prompt'}") == "--rename 'my col=prompt'"


@pytest.mark.parametrize(
    ("rows", "options", "code"), [(3, "", 1), (11, "--split 0.2", 1), (12, "--split 0.1", 0)]
)
def test_the_exit_code_follows_the_verdict_on_the_file_written(run, folder, rows, options, code):
    table = "".join(f"Question {n}?,Answer {n * 7}\n" for n in range(rows))
    (folder / "t.csv").write_text("prompt,completion\n" + table)

    result = run(f"prepare t.csv -q {options}")

    assert result.exit_code == code
    assert ("The service would refuse t_prepared" in result.output) == bool(code)
    assert ("fine-tunes create -t" in result.output) == (not code)


def test_all_accepts_the_remaining_fixes(run, folder):
    result = run("prepare kant.csv", "all\n")
    assert result.exit_code == 0, result.output
    assert result.output.count("[Y/n/a/q]") == 1
    assert (folder / "kant_prepared.jsonl").exists()


def test_quit_writes_nothing(run, folder):
    result = run("prepare kant.csv", "y\nq\n")
    assert result.exit_code == 1
    assert result.stderr.endswith("Error: Nothing was written.\n")
    assert not (folder / "kant_prepared.jsonl").exists()


def test_an_unknown_answer_is_asked_again(run):
    result = run("prepare kant.csv", "maybe\nq\n")
    assert "Type yes, no, all or quit, or the first letter." in result.stderr


def test_options_of_other_commands_are_accepted(run, folder):
    result = run("prepare kant.csv -y --n-epochs 2")
    assert result.exit_code == 0, result.output
    assert "-m babbage-002 --n-epochs 2 --follow" in result.stdout
    assert "{'hyperparameters': {'n_epochs': 2}}" in result.stdout
    assert "[Y/n/a/q]" not in result.output


def test_a_model_that_does_not_suit_the_rows_is_an_error_with_a_remedy(run):
    result = run("prepare kant.csv -q --model gpt-4.1")
    assert result.exit_code == 1
    assert "Convert the rows: --to chat. (unsuitable-model)" in result.stderr
    assert run("prepare kant.csv -q --model gpt-4.1 --to chat").exit_code == 0


OPENAI_LACKS_IT = "At OpenAI, 'babbage-002' was shut down on 2026-09-28."


@pytest.mark.parametrize("options", ["", "--base-url https://api.openai.com/v1 "])
def test_a_model_that_openai_shut_down_is_suggested_only_in_memory(run, folder, options):
    result = run(f"{options}prepare kant.csv -q")

    assert OPENAI_LACKS_IT in result.stdout
    assert f"For a chat model: tunesmith {options}prepare kant.csv --to chat" in result.stdout
    assert "in memory: tunesmith --state tunesmith.state fine-tunes create" in result.stdout
    assert "MemoryBackend(state='tunesmith.state')" in result.stdout


@pytest.mark.parametrize("service", ["--base-url http://localhost:8000/v1", "--backend memory"])
def test_other_services_have_models_that_openai_shut_down(run, folder, service):
    result = run(f"{service} prepare kant.csv -q")

    assert OPENAI_LACKS_IT not in result.stdout
    assert f"Next: tunesmith {service} fine-tunes create" in result.stdout


def test_a_model_that_is_named_is_reported_if_openai_shut_it_down(run, folder):
    result = run("prepare kant.csv -q --to chat --model gpt-3.5-turbo")

    assert "At OpenAI, 'gpt-3.5-turbo' was shut down on 2026-10-23." in result.stdout
    assert "For a chat model" not in result.stdout
    assert "-m gpt-3.5-turbo" in result.stdout


def test_requests_of_a_batch_are_named_with_the_command_that_runs_them(run, folder):
    body = {"model": "babbage-002", "prompt": "Hi", "max_tokens": 2}
    line = {"custom_id": "a", "method": "POST", "url": "/v1/completions", "body": body}
    (folder / "my requests.jsonl").write_text(json.dumps(line) + "\n")

    result = run("prepare 'my requests.jsonl' -q")

    assert result.exit_code == 1
    assert "requests of a batch" in result.output
    command = result.output.rpartition("Run them: tunesmith ")[2]
    assert run(f"--backend memory {command}").exit_code == 0
    assert json.loads((folder / "results.jsonl").read_text())["custom_id"] == "a"
