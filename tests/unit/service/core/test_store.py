"""Collections and blobs of both stores."""

import math
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from tunesmith.service.core.errors import StoreError
from tunesmith.service.core.sqlite_store import SqliteStore
from tunesmith.service.core.store import MemoryStore
from tunesmith.types.files import FileObject


@contextmanager
def open_store(kind, parent):
    if kind == "memory":
        yield MemoryStore()
    else:
        with TemporaryDirectory(dir=parent) as folder:
            store = SqliteStore(Path(folder) / "state")
            yield store
            store.close()


STORES = ["memory", "sqlite"]


@pytest.fixture(params=STORES)
def store(request, tmp_path):
    with open_store(request.param, tmp_path) as store:
        yield store


@pytest.fixture
def letters(store):
    collection = store.collection("letters", str)
    for letter in "abcde":
        collection.put(letter, letter.upper())
    return collection


def test_the_newest_records_come_first_by_default(letters):
    assert letters.get_page().records == list("EDCBA")
    assert letters.get_page(newest_first=False).records == list("ABCDE")


def test_a_page_starts_after_a_cursor(letters):
    first = letters.get_page(limit=2)
    assert (first.records, first.has_more) == (["E", "D"], True)
    rest = letters.get_page(after="d", limit=3)
    assert (rest.records, rest.has_more) == (["C", "B", "A"], False)


def test_a_replaced_record_keeps_its_place(letters):
    letters.put("c", "new")
    assert letters.get_page().records == ["E", "D", "new", "B", "A"]


def test_has_more_counts_matching_records_only(letters):
    window = letters.get_page(limit=1, where=lambda letter: letter == "E")
    assert (window.records, window.has_more) == (["E"], False)


@pytest.mark.slow
@pytest.mark.parametrize("kind", STORES)
@settings(max_examples=40)
@given(
    actions=st.lists(st.tuples(st.sampled_from("pd"), st.integers(0, 9))), limit=st.integers(1, 4)
)
def test_pages_hold_the_same_as_a_dictionary(kind, tmp_path_factory, actions, limit):
    with open_store(kind, tmp_path_factory.getbasetemp()) as store:
        compare_with_dictionary(store, actions, limit)


def compare_with_dictionary(store, actions, limit):
    collection, model = store.collection("numbers", int), {}
    for action, number in actions:
        if action == "p":
            collection.put(str(number), number)
            model.setdefault(str(number), number)
        else:
            assert collection.delete(str(number)) == model.pop(str(number), None)
    seen, after, more = [], None, True
    while more:
        window = collection.get_page(after=after, limit=limit, newest_first=False)
        seen += window.records
        more, after = window.has_more, str(seen[-1]) if seen else None
    assert seen == list(model.values())
    assert len(collection) == len(model)


def test_collections_of_different_parents_are_separate(store):
    store.collection("events", str, parent_id="job-1").put("e", "here")
    assert len(store.collection("events", str, parent_id="job-2")) == 0
    assert store.collection("events", str, parent_id="job-1").get("e") == "here"


@pytest.mark.slow
@pytest.mark.parametrize("kind", STORES)
@settings(max_examples=40)
@given(
    chunks=st.lists(st.binary(max_size=5)),
    start=st.integers(0, 20),
    stop=st.none() | st.integers(0, 20),
)
def test_a_range_of_a_blob_is_a_slice_of_its_bytes(kind, tmp_path_factory, chunks, start, stop):
    with open_store(kind, tmp_path_factory.getbasetemp()) as store:
        store.write("blob", chunks)
        stop = stop if stop is None else max(start, stop)
        assert b"".join(store.read("blob", start, stop)) == b"".join(chunks)[start:stop]
        assert store.size_bytes("blob") == sum(map(len, chunks))


def test_parts_are_joined_in_order_and_deleted_blobs_are_gone(store):
    store.write("one", [b"a", b"b"])
    store.write("two", [b"c"])
    store.join("whole", ["two", "one"])
    assert b"".join(store.read("whole")) == b"cab"
    store.delete_blob("one")
    store.collection("any", str).put("a", "b")  # blobs are deleted with the next commit
    store.commit()
    with pytest.raises((KeyError, StoreError)):
        store.read("one")


def test_a_blob_that_is_deleted_meanwhile_is_read_to_its_end(store):
    store.write("blob", [b"a", b"b"])
    store.collection("any", str).put("a", "b")
    reading = store.read("blob")
    store.delete_blob("blob")
    store.commit()
    assert b"".join(reading) == b"ab"


@dataclass(frozen=True)
class Record:
    file: FileObject
    loss: float


@pytest.mark.parametrize("loss", [0.1, math.inf, -math.inf, math.nan])
def test_a_record_is_the_same_after_a_round_trip(tmp_path, loss):
    file = FileObject(id="file-1", object="file", filename="kant.jsonl", extra={"a": [1]})
    store = SqliteStore(tmp_path / "state")
    store.collection("records", Record).put("a", Record(file, loss))
    store.close()
    store = SqliteStore(tmp_path / "state")
    record = store.collection("records", Record).get("a")
    assert record.file == file
    assert record.file.model_dump(exclude_unset=True) == file.model_dump(exclude_unset=True)
    assert record.loss == loss or math.isnan(record.loss) == math.isnan(loss)
    store.close()


def test_uncommitted_changes_are_lost_and_committed_ones_are_not(tmp_path):
    store = SqliteStore(tmp_path / "state")
    numbers = store.collection("numbers", int)
    numbers.put("a", 1)
    store.commit()
    numbers.put("b", 2)
    store._database.connection.close()  # as if the process had ended
    store = SqliteStore(tmp_path / "state")
    assert store.collection("numbers", int).get_page().records == [1]
    store.close()
