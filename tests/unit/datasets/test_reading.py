"""Every kind of file becomes rows, each with the line it begins on."""

import gzip
import io
import json
import sys
from zipfile import ZIP_DEFLATED, ZipFile

import openpyxl
import pyarrow as pa
import pytest
import zstandard
from pyarrow import parquet

from tunesmith.datasets import Dataset, diagnose
from tunesmith.datasets.read import ReadIssues
from tunesmith.errors import ConfigurationError, DatasetError

ROWS = [
    {"prompt": "Space is", "completion": "a form of outer intuition"},
    {"prompt": 'Zeit, "a priori",\nist', "completion": "die Form des inneren Sinns — ä"},
    {"prompt": "", "completion": "x"},
]
CSV = 'prompt,completion\nSpace is,a form\n"two\nlines",b\n\nlast,c\n'


def read(source, **options):
    return [row for chunk in Dataset.open(source, **options).chunks() for row in chunk]


def values(source, **options):
    return [row.data for row in read(source, **options)]


def test_csv_rows_know_their_line_across_quoted_line_breaks_and_empty_lines(tmp_path):
    file = tmp_path / "t.csv"
    file.write_text(CSV)

    assert [row.line for row in read(file)] == [2, 3, 6]
    assert read(file)[1].data == {"prompt": "two\nlines", "completion": "b"}


def test_tsv_is_parted_by_tabs(tmp_path):
    file = tmp_path / "t.TSV"
    file.write_text("prompt\tcompletion\na,b\tc\n")

    assert values(file) == [{"prompt": "a,b", "completion": "c"}]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", "prompt\tcompletion\na\tb\n"),
        ("t.tsv", "prompt,completion\na,b\n"),
        ("t.csv", "\n\nprompt,completion\na,b\n"),
        ("t.csv", 'prompt,completion\n"a","b"'),
    ],
)
def test_tables_under_the_wrong_name_or_after_empty_lines_are_understood(tmp_path, name, content):
    file = tmp_path / name
    file.write_text(content)
    assert values(file) == [{"prompt": "a", "completion": "b"}]


def test_a_csv_with_semicolons_is_understood(tmp_path):
    file = tmp_path / "t.csv"
    file.write_text("prompt;completion\n1,5;b\n")

    assert values(file) == [{"prompt": "1,5", "completion": "b"}]


def test_words_that_others_take_for_missing_values_stay(tmp_path):
    file = tmp_path / "t.csv"
    file.write_text("prompt,completion\nNA,null\nNone,nan\n")

    assert values(file)[0] == {"prompt": "NA", "completion": "null"}


def test_each_line_of_a_text_is_a_completion(tmp_path):
    file = tmp_path / "t.txt"
    file.write_text("one\ntwo\r\n\nthree")

    assert [(row.line, row.data["completion"]) for row in read(file)] == [
        (1, "one"),
        (2, "two"),
        (3, ""),
        (4, "three"),
    ]


def test_json_lines_pass_over_empty_lines_and_take_a_single_line(tmp_path):
    file = tmp_path / "t.jsonl"
    file.write_text(f"\n{json.dumps(ROWS[1])}\n")

    assert [(row.line, row.data) for row in read(file)] == [(2, ROWS[1])]


@pytest.mark.parametrize("indent", [None, 2])
def test_a_json_array_is_read_value_by_value_with_line_numbers(tmp_path, indent):
    file = tmp_path / "t.json"
    file.write_text(json.dumps(ROWS, indent=indent))

    assert values(file) == ROWS
    assert [row.line for row in read(file)] == ([2, 6, 10] if indent else [1, 1, 1])


def test_json_objects_one_after_the_other_are_read_too(tmp_path):
    file = tmp_path / "t.json"
    file.write_text("\n".join(json.dumps(row, indent=1) for row in ROWS))

    assert values(file) == ROWS


def test_a_json_array_larger_than_a_piece_is_read(tmp_path):
    rows = [{"prompt": f"{i} " + "é" * 1000, "completion": "x"} for i in range(600)]
    file = tmp_path / "t.json"
    file.write_text(json.dumps(rows, ensure_ascii=False))

    assert values(file) == rows


def test_an_array_in_a_jsonl_file_is_read(tmp_path):
    file = tmp_path / "t.jsonl"
    file.write_text(json.dumps(ROWS, indent=1))

    assert values(file) == ROWS


def test_the_first_sheet_of_a_workbook_is_read_and_the_others_are_named(tmp_path):
    book = openpyxl.Workbook()
    for row in (["prompt", "completion"], ["a", 5], [None, None], ["b", "c"]):
        book.active.append(row)
    book.create_sheet("Other")
    file = tmp_path / "t.xlsx"
    book.save(file)

    assert [(row.line, row.data["completion"]) for row in read(file)] == [(2, "5"), (4, "c")]
    findings = {found.code: found for found in diagnose(Dataset.open(file)).findings}
    assert "Other" in findings["further-sheets"].message


def test_parquet_holds_conversations_without_the_nulls_it_adds(tmp_path):
    rows = [
        {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]},
        {"messages": [{"role": "assistant", "content": "c", "weight": 1}]},
    ]
    file = tmp_path / "t.parquet"
    parquet.write_table(pa.Table.from_pylist(rows), file)

    assert values(file) == rows


@pytest.mark.parametrize("ending", ["gz", "zst"])
@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_compressed_files_are_read(tmp_path, ending, kind):
    plain = tmp_path / "plain.xlsx"
    book = openpyxl.Workbook()
    book.active.append(["prompt", "completion"])
    book.active.append(["a", "b"])
    book.save(plain)
    raw = plain.read_bytes() if kind == "xlsx" else b"prompt,completion\na,b\n"
    packed = gzip.compress(raw) if ending == "gz" else zstandard.compress(raw)
    file = tmp_path / f"t.{kind}.{ending}"
    file.write_bytes(packed)

    assert values(file) == [{"prompt": "a", "completion": "b"}]


def test_zstd_frames_that_follow_each_other_are_one_file(tmp_path):
    file = tmp_path / "t.jsonl.zst"
    line = json.dumps(ROWS[0]).encode() + b"\n"
    file.write_bytes(zstandard.compress(line) + zstandard.compress(line))

    assert values(file) == [ROWS[0], ROWS[0]]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("kind", ["csv", "jsonl", "json", "txt"])
def test_a_byte_order_mark_tells_the_encoding(tmp_path, encoding, kind):
    text = {
        "csv": "prompt,completion\n,é\n",
        "txt": "é\n",
        "jsonl": '{"prompt": "", "completion": "é"}\n',
        "json": '[{"prompt": "", "completion": "é"}]',
    }[kind]
    file = tmp_path / f"t.{kind}"
    file.write_text(text, encoding=encoding)

    assert values(file) == [{"prompt": "", "completion": "é"}]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "json", "txt"])
def test_another_encoding_is_guessed_in_the_error_and_can_be_named(tmp_path, kind):
    text = {
        "csv": "prompt,completion\na,b\n,café\n",
        "txt": "\n\ncafé\n",
        "jsonl": '{"prompt": "", "completion": "b"}\n\n{"prompt": "", "completion": "café"}\n',
        "json": '[{"prompt": "", "completion": "b"},\n\n{"prompt": "", "completion": "café"}]',
    }[kind]
    file = tmp_path / f"t.{kind}"
    file.write_text(text, encoding="cp1252")

    with pytest.raises(DatasetError, match=r"0xe9 is not UTF-8.*café.*encoding='cp1252'") as caught:
        read(file)
    assert caught.value.line == 3
    assert values(file, encoding="cp1252")[-1]["completion"] == "café"


def test_file_objects_are_read_again_and_left_open():
    for source in (io.BytesIO(CSV.encode()), io.StringIO(CSV)):
        dataset = Dataset.open(source, kind="csv")

        assert sum(len(c) for c in dataset.chunks()) == sum(len(c) for c in dataset.chunks()) == 3
        assert not source.closed


def test_a_file_object_that_cannot_seek_is_read_as_often_as_needed():
    class Pipe(io.BytesIO):
        def seekable(self):
            return False

        def seek(self, *_):
            raise io.UnsupportedOperation

    dataset = Dataset.open(Pipe(CSV.encode()), kind="csv")

    assert list(dataset.chunks()) == list(dataset.chunks())


def test_rows_may_come_from_an_iterator_and_are_not_changed():
    row = {"prompt": "A", "completion": "B"}
    dataset = Dataset.open(iter([row, {"prompt": "C", "completion": "D"}]))

    diagnosis = diagnose(dataset)
    repaired = [r.data for chunk in diagnosis.plan().transformed_chunks()() for r in chunk]

    assert repaired[0] != row == {"prompt": "A", "completion": "B"}
    assert [r.line for chunk in dataset.chunks() for r in chunk] == [1, 2]


def test_columns_can_be_renamed(tmp_path):
    file = tmp_path / "t.csv"
    file.write_text("question,answer\na,b\n")

    rows = values(file, rename={"question": "prompt", "answer": "completion"})
    assert rows == [{"prompt": "a", "completion": "b"}]


def test_broken_lines_are_left_out_and_counted_if_wanted(tmp_path):
    file = tmp_path / "t.jsonl"
    good = json.dumps({"prompt": "a", "completion": "b"})
    file.write_bytes(f'{good}\n{{"prompt": \n[1]\n{good}\n"\0"\n{good}\n'.encode() + b"\xff\n")
    log = ReadIssues(str(file), "skip")

    rows = [row for chunk in Dataset.open(file, on_broken="skip").chunks(log) for row in chunk]

    assert [row.line for row in rows] == [1, 4, 6]
    assert log.broken.lines == [2, 3, 5, 7]


def test_broken_csv_rows_are_left_out_and_the_rest_goes_on(tmp_path):
    file = tmp_path / "t.csv"
    file.write_bytes(b"prompt,completion\na,b\na,b,c\nx\0,y\n\xff,z\nlast,row\n")
    log = ReadIssues(str(file), "skip")

    rows = [row for chunk in Dataset.open(file, on_broken="skip").chunks(log) for row in chunk]

    assert [row.line for row in rows] == [2, 6]
    assert log.broken.lines == [3, 4, 5]


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_line_that_is_too_long_is_left_out_without_being_held(tmp_path, kind):
    row = {"csv": "a,{}\n", "jsonl": '{{"prompt": "", "completion": "{}"}}\n'}[kind]
    head = "prompt,completion\n" if kind == "csv" else ""
    file = tmp_path / f"t.{kind}"
    file.write_text(head + row.format("b") + row.format("x" * 5000) + row.format("c"))
    options = {"on_broken": "skip", "max_line_bytes": 1000}

    rows = read(file, **options)

    assert [row.data["completion"] for row in rows] == ["b", "c"]
    assert rows[1].line == rows[0].line + 2


@pytest.mark.parametrize("kind", ["csv", "txt", "jsonl"])
def test_an_endless_line_is_refused_before_it_is_read_to_its_end(kind):
    head = b"{}\n" if kind == "jsonl" else b"prompt,completion\n"
    content = io.BytesIO(head + b"x" * 1_000_000)
    content.name = f"t.{kind}"

    with pytest.raises(DatasetError, match="longer than"):
        list(Dataset.open(content, max_line_bytes=1000).chunks())

    assert content.tell() < 500_000


@pytest.mark.parametrize(
    ("name", "module", "extra"),
    [
        ("t.xlsx", "openpyxl", "xlsx"),
        ("t.parquet", "pyarrow.parquet", "parquet"),
        ("t.csv.zst", "zstandard", "zstd"),
    ],
)
def test_a_missing_extra_is_named(tmp_path, monkeypatch, name, module, extra):
    monkeypatch.setitem(sys.modules, module, None)
    file = tmp_path / name
    file.write_bytes(b"\x28\xb5\x2f\xfd" if extra == "zstd" else b"x")

    with pytest.raises(ConfigurationError, match=rf"tunesmith\[{extra}\]"):
        read(file)


@pytest.mark.slow
def test_long_rows_come_in_small_chunks(tmp_path):
    text = "x" * 3_000_000
    files = {
        "t.csv": "prompt,completion\n" + f"a,{text}\n" * 20,
        "t.jsonl": (json.dumps({"prompt": "a", "completion": text}) + "\n") * 20,
        "t.json": json.dumps([{"prompt": "a", "completion": text}] * 20),
    }
    for name, content in files.items():
        file = tmp_path / name
        file.write_text(content)

        sizes = [len(chunk) for chunk in Dataset.open(file).chunks()]

        assert sum(sizes) == 20
        assert max(sizes) <= 8


def test_a_dictionary_of_a_parquet_file_is_not_expanded_at_once(tmp_path):
    file = tmp_path / "t.parquet"
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * 100, pa.int32()), ["x" * 3_000_000])
    parquet.write_table(pa.table({"prompt": texts, "completion": ["b"] * 100}), file)

    sizes = [len(chunk) for chunk in Dataset.open(file).chunks()]

    assert sum(sizes) == 100
    assert max(sizes) <= 8


def test_a_workbook_that_would_fill_the_memory_is_refused(tmp_path):
    book = openpyxl.Workbook()
    book.active.append(["prompt", "completion"])
    book.save(tmp_path / "small.xlsx")
    file = tmp_path / "t.xlsx"
    with ZipFile(tmp_path / "small.xlsx") as small, ZipFile(file, "w", ZIP_DEFLATED) as bomb:
        for name in small.namelist():
            bomb.writestr(name, small.read(name))
        with bomb.open("xl/sharedStrings.xml", "w") as part:
            for _ in range(70):
                part.write(b"a" * (1 << 20))

    with pytest.raises(DatasetError, match=r"sharedStrings\.xml has 73 MB.*Save it as CSV"):
        read(file)


def test_excels_separator_line_names_the_separator(tmp_path):
    file = tmp_path / "t.csv"
    file.write_text("\ufeffsep=;\nprompt;completion\na,b;c\n", encoding="utf-8")

    assert values(file) == [{"prompt": "a,b", "completion": "c"}]


def test_repeated_columns_that_are_not_needed_get_a_number(tmp_path):
    file = tmp_path / "t.csv"
    file.write_text("prompt,note,note,completion\na,1,2,b\n")
    log = ReadIssues(str(file))

    rows = [row.data for chunk in Dataset.open(file).chunks(log) for row in chunk]

    assert rows == [{"prompt": "a", "completion": "b"}]
    assert log.extra == {"note": 1, "note (2)": 1}


@pytest.mark.parametrize("name", ["t.txt", "t.csv"])
def test_json_lines_under_another_name_are_read_as_json_lines(tmp_path, name):
    file = tmp_path / name
    file.write_text("".join(json.dumps(row) + "\n" for row in ROWS))

    assert values(file) == ROWS
    assert values(file, kind="txt")[0]["completion"].startswith("{") or name == "t.csv"


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(json.dumps(row, indent=2) for row in ROWS),
        "\n\n".join(json.dumps(row, indent=2) for row in ROWS),
        ",\n".join(json.dumps(row) for row in ROWS),
        "\r\n".join(json.dumps(row, indent=2).replace("\n", "\r\n") for row in ROWS),
    ],
)
def test_objects_that_are_not_on_a_line_each_are_a_conversion(tmp_path, text):
    file = tmp_path / "t.jsonl"
    file.write_bytes(text.encode())
    log = ReadIssues(str(file))

    rows = [row.data for chunk in Dataset.open(file).chunks(log) for row in chunk]

    assert rows == ROWS
    assert any("to JSON lines" in conversion for conversion in log.conversions)
