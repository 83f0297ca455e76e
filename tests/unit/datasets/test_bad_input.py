"""Bad input: each case is an error that names file, line and way out, and nothing is written."""

import gzip
import json

import pytest
import zstandard

from tunesmith.datasets import Dataset, diagnose, write
from tunesmith.errors import DatasetError

GOOD = json.dumps({"prompt": "a", "completion": "b"}) + "\n"
LONG = 65 * 1024 * 1024


def prepare(file, **options):
    return write(diagnose(Dataset.open(file, **options)).plan())


CASES = {
    "empty.csv": (b"", None, "empty"),
    "header.csv": (b"prompt,completion\n", None, "no example"),
    "blank.jsonl": (b"\n\n", None, "no example"),
    "one.csv": (b"prompt,completion\na,b\n", None, "only 1 example"),
    "columns.csv": (b"frage,antwort\na,b\nc,d\n", 2, "format is unknown.*rename="),
    "column.csv": (b"prompt,antwort\na,b\nc,d\n", 2, "`completion` is missing.*rename="),
    "twice.csv": (b"prompt,prompt,completion\na,b,c\n", 1, "more than once"),
    "more.csv": (b"prompt,completion\na,b\nc,d,e\n", 3, "3 fields.*quotes"),
    "quote.csv": (
        b'prompt,completion\na,b\n"c,d\n' + b"x" * LONG,
        None,
        "longer than|cannot be read",
    ),
    "open-quote.csv": (b'prompt,completion\na,b\n"c,d\ne,f\ng,h\n', 3, "never closed"),
    "nul.csv": (b"prompt,completion\na,b\nc\0,d\n", 3, "NUL byte"),
    "nul.jsonl": (GOOD.encode() + b'{"prompt": "\0"}\n', 2, "NUL byte"),
    "nul.json": (b'[{"prompt": "a",\n"completion": "b\0"}]', 2, "NUL byte"),
    "list.jsonl": (GOOD.encode() + b"[1]\n", 2, "a list, not an object"),
    "broken.jsonl": (GOOD.encode() + b'{"prompt": \n', 2, "not JSON.*skip"),
    "mixed.jsonl": (
        GOOD.encode() + b'{"prompt": {"a": 1}, "completion": "b"}\n',
        2,
        "must be text",
    ),
    "nan.json": (b'[{"prompt": NaN, "completion": "b"}]', 1, "NaN is not JSON"),
    "cut.json": (GOOD.encode().join([b"[", b","]), 2, "not closed"),
    "after.json": (b'[{"prompt": "a", "completion": "b"}] x', 1, "follows the array"),
    "broken.json": (b'[{"prompt": "a",\n "completion": b}]', 2, "not JSON"),
    "deep.json": (b'[{"prompt": ' + b"[" * 99_999, 1, "nested too deeply"),
    "number.json": (b'[{"prompt": ' + b"9" * 9_999 + b"}]", 1, "not JSON.*limit"),
    "half.json": (b'[{"prompt": "a"},\n{"prompt": "\\uD83d"}]', 2, "lone surrogate"),
    "long.jsonl": (
        GOOD.encode() + b'{"prompt": "' + b"x" * LONG,
        2,
        "longer than 64 MiB.*max_line",
    ),
    "long.csv": (b"prompt,completion\na," + b"x" * LONG + b"\n", 2, "longer than 64 MiB"),
    "long.json": (b'[{"prompt": "' + b"x" * LONG, 1, "too long"),
    "cut.csv.gz": (gzip.compress(b"prompt,completion\n" + b"a,b\n" * 9999)[:-20], None, "cut off"),
    "damaged.csv.gz": (b"\x1f\x8b\x08\0\0\0\0\0\0\0xxxxxxxxxxxx", None, "damaged"),
    "cut.csv.zst": (zstandard.compress(GOOD.encode() * 99)[:-9], None, "damaged"),
    "not.xlsx": (b"PK no workbook", None, "not an Excel workbook"),
    "not.parquet": (b"PAR1 no parquet", None, "not a parquet file"),
    "unknown.doc": (b"x", None, r"ends in `\.doc`.*kind="),
    "unknown": (b"x", None, "no extension"),
    "unknown.csv": (b"a,b\n1,2\n", 2, "format is unknown"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_is_an_error_that_says_where_and_what_to_do(tmp_path, name):
    content, line, message = CASES[name]
    file = tmp_path / name
    file.write_bytes(content)

    with pytest.raises(DatasetError, match=f"(?s){message}") as caught:
        prepare(file)

    assert caught.value.file == str(file)
    assert line is None or caught.value.line == line
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_missing_file(tmp_path):
    with pytest.raises(DatasetError, match=r"does not exist.*Check the path"):
        prepare(tmp_path / "none.csv")


def test_a_directory(tmp_path):
    folder = tmp_path / "t.csv"
    folder.mkdir()

    with pytest.raises(DatasetError, match="directory"):
        prepare(folder)


def test_no_permission(tmp_path, monkeypatch):
    file = tmp_path / "t.csv"
    file.write_text("prompt,completion\na,b\n")

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.open", refuse)
    with pytest.raises(DatasetError, match=r"Permission.*chmod"):
        prepare(file)


def test_an_unknown_encoding(tmp_path):
    file = tmp_path / "t.csv"
    file.write_text("prompt,completion\na,b\n")

    with pytest.raises(DatasetError, match="encoding 'utf-9' does not exist"):
        prepare(file, encoding="utf-9")


@pytest.mark.parametrize(
    "row", [["a"], {"prompt": object(), "completion": "b"}, {"prompt": "\ud800"}]
)
def test_a_row_that_is_no_json_object(row):
    with pytest.raises(DatasetError) as caught:
        diagnose(Dataset.open([{"prompt": "a", "completion": "b"}, row]))

    assert caught.value.line == 2


def test_all_prompts_the_same(tmp_path):
    file = tmp_path / "t.csv"
    file.write_text("prompt,completion\n" + "".join(f"same,{i}\n" for i in range(20)))

    with pytest.raises(DatasetError, match="All prompts are the same"):
        prepare(file)
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.slow
def test_a_very_long_text_is_looked_at_in_linear_time():
    word = "x" * 3_000_000
    rows = [{"prompt": word + end, "completion": end + word} for end in "!?"]

    codes = {found.code for found in diagnose(Dataset.open(rows)).findings}

    assert {"no-separator", "no-ending"} <= codes


def test_a_broken_line_is_shown_with_its_cause_and_the_way_out(tmp_path):
    file = tmp_path / "t.csv"
    file.write_bytes("prompt,completion\na,b\nGr\xfcn,c\nd,e\n".encode("latin-1"))

    diagnosis = diagnose(Dataset.open(file, on_broken="skip"))
    (found,) = [found for found in diagnosis.findings if found.code == "broken-lines"]

    assert "0xfc is not UTF-8" in found.message
    assert "encoding='cp1252'" in found.message
    assert (found.lines, found.count, found.excerpt) == ((3,), 1, "Gr?n, c")
