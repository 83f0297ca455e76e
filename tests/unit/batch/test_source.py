"""Rows come from files, tables and iterables, in flat memory."""

import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tunesmith.batch.source import open_source
from tunesmith.errors import DatasetError

pytestmark = pytest.mark.anyio

ROWS = [{"prompt": f"p{i}"} for i in range(150)]


async def read(source):
    return [row async for piece in open_source(source).chunks() for row in piece]


def jsonl(path, rows=ROWS):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def table():
    return pa.Table.from_pylist([*ROWS, {"prompt": None}])


async def test_json_lines_come_with_their_line_numbers(tmp_path):
    path = jsonl(tmp_path / "rows.jsonl", ROWS[:2])
    path.write_text("\n" + path.read_text())
    assert await read(path) == [(2, ROWS[0]), (3, ROWS[1])]


async def test_compressed_lines_csv_and_text_are_read_too(tmp_path):
    packed = tmp_path / "rows.jsonl.gz"
    packed.write_bytes(gzip.compress(jsonl(tmp_path / "rows.jsonl").read_bytes()))
    assert [row for _, row in await read(str(packed))] == ROWS
    (tmp_path / "rows.csv").write_text("prompt\n" + "".join(f"p{i}\n" for i in range(150)))
    assert [row for _, row in await read(tmp_path / "rows.csv")] == ROWS
    (tmp_path / "rows.txt").write_text("Space is\nTime is\n")
    assert await read(tmp_path / "rows.txt") == [(1, "Space is"), (2, "Time is")]


@pytest.mark.slow
async def test_parquet_and_arrow_tables_are_read(tmp_path, table):
    pq.write_table(table.slice(0, 150), tmp_path / "rows.parquet")
    assert [row for _, row in await read(tmp_path / "rows.parquet")] == ROWS
    rows = await read(table)
    assert rows[0] == (1, ROWS[0])
    assert rows[150] == (151, {})  # a null says nothing
    assert open_source(table).count_rows() == 151


async def test_a_data_frame_is_whatever_gives_an_arrow_stream(table):
    """pandas, polars, DuckDB: none is imported, nor known."""

    class Frame:
        def __arrow_c_stream__(self, requested_schema=None):
            return table.__arrow_c_stream__(requested_schema)

    assert [row for _, row in await read(Frame())][:150] == ROWS


async def test_iterables_are_read_once_and_never_ahead_of_need():
    taken = []

    def endless():
        while True:
            taken.append(1)
            yield "p"

    pieces = open_source(endless()).chunks()
    await anext(pieces)
    await pieces.aclose()
    assert len(taken) < 1000
    assert await read(["a", "b"]) == [(1, "a"), (2, "b")]


async def test_an_asynchronous_iterable_is_closed_when_it_is_left():
    closed = []

    async def rows():
        try:
            yield "a"
            yield "b"
        finally:
            closed.append(True)

    pieces = open_source(rows()).chunks()
    assert await anext(pieces) == [(1, "a")]
    await pieces.aclose()
    assert closed == [True]


async def test_rows_are_counted_where_that_is_quick(tmp_path):
    path = jsonl(tmp_path / "rows.jsonl")
    assert open_source(path).count_rows() == 150
    path.write_text('{"a":1}\n{"a":2}')
    assert open_source(path).count_rows() == 2
    (tmp_path / "rows.jsonl.gz").write_bytes(gzip.compress(path.read_bytes()))
    assert open_source(tmp_path / "rows.jsonl.gz").count_rows() is None
    (tmp_path / "rows.csv").write_text('prompt\n"two\nlines"\n"5"" tall"\n')
    assert open_source(tmp_path / "rows.csv").count_rows() == 2
    assert open_source(["a"]).count_rows() == 1
    assert open_source(row for row in "ab").count_rows() is None


async def test_no_rows_are_nothing_to_do(tmp_path):
    (tmp_path / "rows.jsonl").touch()
    assert await read(tmp_path / "rows.jsonl") == []
    assert await read([]) == []


@pytest.mark.parametrize("source", ["none.jsonl", "rows.pdf", 7])
def test_what_cannot_be_read_is_said_before_anything_begins(source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.pdf").touch()
    with pytest.raises(DatasetError):
        open_source(source)
