"""Plans are made of decisions, and carried out without harm to any file."""

import json
from pathlib import Path

import pytest

from tunesmith.datasets import Dataset, diagnose, write
from tunesmith.errors import DatasetError

LABELLED = "prompt,completion\n" + "".join(
    f"question {i},{'rare' if i % 10 == 0 else 'usual'}\n" for i in range(100)
)


@pytest.fixture
def table(tmp_path):
    file = tmp_path / "kant.csv"
    file.write_text("prompt,completion\n" + "".join(f"q {i},answer {i}x\n" for i in range(20)))
    return file


def rows_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_plan_can_be_printed_and_each_remedy_declined(table):
    asked = []
    plan = diagnose(Dataset.open(table)).plan(
        lambda found: asked.append(found.code) or found.code == "no-ending"
    )

    assert asked == ["no-separator", "no-ending", "no-leading-space"]
    assert "- [accepted] Add the ending `\\n`" in str(plan)
    assert "- [declined] Add the separator ` ->`" in str(plan)
    assert "- [required] Convert csv to JSON lines" in str(plan)


def test_the_file_is_written_beside_and_tells_what_to_know(table):
    written = write(diagnose(Dataset.open(table)).plan())

    assert written.files == (table.with_name("kant_prepared.jsonl"),)
    assert (written.rows, written.separator, written.ending) == ((20,), " ->", "\n")
    assert rows_of(written.files[0])[3] == {"prompt": "q 3 ->", "completion": " answer 3x\n"}


def test_no_file_is_written_over(table):
    names = [write(diagnose(Dataset.open(table)).plan()).files[0].name for _ in range(3)]

    assert names == ["kant_prepared.jsonl", "kant_prepared (1).jsonl", "kant_prepared (2).jsonl"]


def test_a_name_taken_in_the_last_moment_is_left_to_who_took_it(table, monkeypatch):
    taken = table.with_name("kant_prepared.jsonl")
    plan = diagnose(Dataset.open(table)).plan()
    exists = Path.exists

    def missed(path):
        seen = exists(path)
        if path == taken and not seen:
            taken.write_text("theirs")
        return seen

    monkeypatch.setattr(Path, "exists", missed)

    assert write(plan).files[0].name == "kant_prepared (1).jsonl"
    assert taken.read_text() == "theirs"


def test_a_file_that_needs_nothing_is_not_copied(tmp_path):
    file = tmp_path / "t.jsonl"
    lines = [json.dumps({"prompt": f"{i}?", "completion": f" {i}."}) for i in range(20)]
    file.write_text("\n".join(lines))

    written = write(diagnose(Dataset.open(file)).plan())

    assert (written.files, written.rows) == ((), (20,))
    assert list(tmp_path.iterdir()) == [file]


def test_nothing_half_written_stays_when_it_is_stopped(table):
    def stop_while_writing():
        if len(list(table.parent.iterdir())) > 1:
            raise KeyboardInterrupt

    plan = diagnose(Dataset.open(table)).plan()
    with pytest.raises(KeyboardInterrupt):
        write(plan, split=0.1, check_cancelled=stop_while_writing)

    assert list(table.parent.iterdir()) == [table]


def test_a_place_that_cannot_be_written_to_is_an_error(table):
    with pytest.raises(DatasetError, match=r"cannot be written.*output="):
        write(diagnose(Dataset.open(table)).plan(), table.parent / "none" / "t.jsonl")


def test_rows_without_a_file_need_an_output(tmp_path):
    rows = [{"prompt": f"{i}", "completion": f"{i} b"} for i in range(20)]
    plan = diagnose(Dataset.open(rows)).plan()

    with pytest.raises(DatasetError, match="output="):
        write(plan)
    assert write(plan, tmp_path / "out.jsonl").files == (tmp_path / "out.jsonl",)


def test_a_split_is_stratified_and_the_same_for_the_same_seed(tmp_path):
    file = tmp_path / "t.csv"
    file.write_text(LABELLED)
    plan = diagnose(Dataset.open(file)).plan()

    first, second = write(plan, split="auto"), write(plan, split="auto")
    other = write(plan, split="auto", seed=1)

    train, valid = first.files
    assert (train.name, valid.name) == ("t_prepared_train.jsonl", "t_prepared_valid.jsonl")
    assert second.files[1].name == "t_prepared_valid (1).jsonl"
    assert first.rows == (80, 20)
    assert [row["completion"] for row in rows_of(valid)].count(" rare") == 2
    assert valid.read_text() == second.files[1].read_text() != other.files[1].read_text()
    every = {row["prompt"] for row in rows_of(train) + rows_of(valid)}
    assert len(every) == 100
    assert first.labels == {" usual": 90, " rare": 10}


def test_a_split_by_share_takes_that_share(table):
    assert write(diagnose(Dataset.open(table)).plan(), split=0.25).rows == (15, 5)


@pytest.mark.parametrize("share", [0, 1, -0.1, 7])
def test_a_share_that_is_none_is_an_error(table, share):
    with pytest.raises(DatasetError, match="between 0 and 1"):
        write(diagnose(Dataset.open(table)).plan(), split=share)


def test_training_rows_that_are_in_the_validation_data_are_removed(table, tmp_path):
    validation = tmp_path / "v.csv"
    validation.write_text("prompt,completion\nq 3,answer 3x\nnew,row\n")
    diagnosis = diagnose(Dataset.open(table), validation=Dataset.open(validation))
    found = {f.code: f for f in diagnosis.findings}["validation-in-training"]

    assert (found.count, found.lines) == (1, (5,))
    rows = [r for c in diagnosis.plan().transformed_chunks()() for r in c]
    assert len(rows) == 19


@pytest.mark.parametrize(("rows", "parts"), [(12, 1), (13, 2)])
def test_an_automatic_split_leaves_enough_examples_to_train_on(tmp_path, rows, parts):
    data = [{"prompt": f"text {n}", "completion": "ab"[n % 2]} for n in range(rows)]

    written = write(diagnose(Dataset.open(data)).plan(), tmp_path / "t.jsonl", split="auto")

    assert (len(written.files), written.errors) == (parts, ())
