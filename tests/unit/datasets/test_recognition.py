"""The content decides how a file is read, not its name alone."""

import json

import pytest

from tunesmith.datasets import Dataset, diagnose
from tunesmith.errors import DatasetError

ROWS = [{"prompt": f"Zeit {n}", "completion": f"Größe {n}"} for n in range(12)]
LINES = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS)


def values(file, **options):
    return [row.data for chunk in Dataset.open(file, **options).chunks() for row in chunk]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize(
    "header", ["question{}answer", '"Prompt"{}"Completion"', "id{}text{}label"]
)
def test_a_table_in_a_txt_file_is_read_as_a_table(tmp_path, header, separator):
    file = tmp_path / "t.txt"
    columns = header.format(separator, separator)
    row = separator.join(["7", "Wer?", "Kant"][-columns.count(separator) - 1 :])
    file.write_text(f"{columns}\n{row}\n")
    assert values(file) == [{"prompt": "Wer?", "completion": "Kant"}]


@pytest.mark.parametrize("line", ["Kant, Hegel, Fichte", "The question, and the answers", "prompt"])
def test_lines_with_commas_in_a_txt_file_stay_lines(tmp_path, line):
    file = tmp_path / "t.txt"
    file.write_text(f"{line}\nnext\n")
    assert [row["completion"] for row in values(file)] == [line, "next"]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_is_recognised_without_a_mark(tmp_path, encoding):
    file = tmp_path / "t.jsonl"
    file.write_text(LINES, encoding=encoding)
    assert values(file) == ROWS
    messages = [finding.message for finding in diagnose(Dataset.open(file)).findings]
    assert f"The rows are converted: {encoding} to UTF-8." in messages


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("shift_jis", "質問は何ですか"),
        ("euc_jp", "質問は何ですか"),
        ("gb18030", "第一个问题是什么"),
        ("euc_kr", "질문은 무엇입니까"),
        ("cp1252", "süße Größe à la carte"),
    ],
)
def test_the_encoding_of_a_text_is_guessed_in_the_error(tmp_path, encoding, text):
    file = tmp_path / "t.csv"
    file.write_text(f"prompt,completion\n{text},{text}\n", encoding=encoding)
    with pytest.raises(DatasetError, match=f"encoding='{encoding}'"):
        values(file)
    assert values(file, encoding=encoding) == [{"prompt": text, "completion": text}]


@pytest.mark.parametrize("key", ["data", "train", "examples"])
def test_the_only_list_of_an_object_holds_the_rows(tmp_path, key):
    file = tmp_path / "t.json"
    file.write_text(json.dumps({"version": 1, key: ROWS}))
    assert values(file) == ROWS


def test_a_single_conversation_is_one_row(tmp_path):
    file = tmp_path / "t.json"
    row = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
    file.write_text(json.dumps(row))
    assert values(file) == [row]
