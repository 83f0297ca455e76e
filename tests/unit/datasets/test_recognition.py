"""The content decides how a file is read, not its name alone."""

import gzip
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
        ("big5", "這是第一個問題的答案"),
        ("cp1251", "Что такое вопрос"),
        ("koi8-r", "Что такое вопрос"),
        ("cp1252", "süße Größe à la carte"),
        ("cp1252", "Größe in Straße"),
        ("cp1252", "Größe \u2013 \u201esüß\u201c"),
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


@pytest.mark.parametrize("separator", ["", "\r", " ", ","])
def test_objects_joined_on_a_line_are_rows(tmp_path, separator):
    file = tmp_path / "t.jsonl"
    file.write_bytes(separator.join(map(json.dumps, ROWS)).encode())
    assert values(file) == ROWS


@pytest.mark.parametrize(
    ("line", "reason"), [("{'prompt': 1}", "json.dumps"), ('{"prompt": "a"', "EOF")]
)
def test_a_broken_first_line_is_not_taken_for_joined_objects(tmp_path, line, reason):
    file = tmp_path / "t.jsonl"
    file.write_text(f"{line}\n{LINES}")
    with pytest.raises(DatasetError, match=reason) as caught:
        values(file)
    assert caught.value.line == 1


@pytest.mark.parametrize("name", ["rows", "rows.data", "rows.jsonlines"])
def test_json_lines_are_recognised_under_any_name(tmp_path, name):
    (tmp_path / name).write_text(LINES)
    assert values(tmp_path / name) == ROWS


@pytest.mark.parametrize(
    "content",
    [
        {key: [row[key] for row in ROWS] for key in ROWS[0]},
        {key: {str(n): row[key] for n, row in enumerate(ROWS)} for key in ROWS[0]},
        {str(n): row for n, row in enumerate(ROWS)},
    ],
    ids=["columns", "columns with an index", "index"],
)
def test_an_object_of_columns_or_of_rows_is_a_table(tmp_path, content):
    file = tmp_path / "t.json"
    file.write_text(json.dumps(content))
    assert values(file) == ROWS


@pytest.mark.parametrize("value", ["3f2504e0-{:02}", "2024-01-{:02} 10:00", "https://a.example/{}"])
def test_ids_dates_and_addresses_are_no_prompts(tmp_path, value):
    lines = [f"{value.format(n)},wie geht {n}?,so geht es {n}" for n in range(12)]
    (tmp_path / "t.csv").write_text("\n".join(["code,frage,antwort", *lines]))
    with pytest.raises(DatasetError) as caught:
        values(tmp_path / "t.csv")
    assert "rename={'frage': 'prompt'} and rename={'antwort': 'completion'}" in str(caught.value)


def test_a_label_in_the_place_of_a_header_is_suspected(tmp_path):
    lines = [f"film {n},{['good', 'bad'][n % 2]}" for n in range(12)]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    with pytest.raises(DatasetError, match="first row may be an example"):
        values(tmp_path / "t.csv")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"custom_id": "a", "method": "POST", "url": "/v1/x", "body": {}}, "tunesmith batch run"),
        ({"custom_id": "a", "response": {}, "error": None}, "Join each answer with its request"),
    ],
)
def test_files_of_batches_are_named(row, message):
    with pytest.raises(DatasetError, match=message):
        diagnose(Dataset.open([row] * 12))


def test_turns_named_by_their_speakers_become_messages():
    turns = [{"human": "Why?", "assistant": "So."}, {"human": "Why?", "bot": "So."}]
    chunk = next(Dataset.open([{"conversation": turns}]).chunks())
    messages = chunk[0].data["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant"] * 2
    assert messages[0]["content"] == "Why?"


def test_compressed_content_under_a_plain_name_is_written_anew(tmp_path):
    file = tmp_path / "t.jsonl"
    file.write_bytes(gzip.compress(LINES.encode()))
    assert values(file) == ROWS
    assert diagnose(Dataset.open(file)).plan().has_changes


@pytest.mark.parametrize("name", ["t.json", "t.jsonl"])
def test_a_table_under_the_name_of_json_is_read_as_a_table(tmp_path, name):
    (tmp_path / name).write_text("question;answer\nWer?;Kant\n")
    assert values(tmp_path / name) == [{"prompt": "Wer?", "completion": "Kant"}]


def test_a_table_with_bars_is_read(tmp_path):
    (tmp_path / "t.csv").write_text("prompt|completion\nWer?|Kant\n")
    assert values(tmp_path / "t.csv") == [{"prompt": "Wer?", "completion": "Kant"}]


def test_lines_that_are_json_in_json_are_read(tmp_path):
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(json.dumps(r)) + "\n" for r in ROWS))
    assert values(tmp_path / "t.jsonl") == ROWS


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        ("<!DOCTYPE html><html>", "web page.*resolve"),
        ("version https://git-lfs.github.com/spec/v1\noid sha256:7", "git lfs pull"),
        ("%PDF-1.7", "PDF"),
    ],
)
def test_files_that_are_no_data_are_named(tmp_path, content, hint):
    (tmp_path / "t.jsonl").write_text(content)
    with pytest.raises(DatasetError, match=hint):
        values(tmp_path / "t.jsonl")


@pytest.mark.parametrize("rename", [{"q": "prompt"}, {"q": "x", "prompt": "x"}])
def test_two_columns_cannot_get_one_name(rename):
    rows = [{"q": "a", "prompt": "b", "completion": "c"}]
    with pytest.raises(DatasetError, match="there would be two columns"):
        values(rows, rename=rename)
    swapped = values(rows, rename={"q": "prompt", "prompt": "q"})
    assert swapped == [{"prompt": "a", "completion": "c"}]
