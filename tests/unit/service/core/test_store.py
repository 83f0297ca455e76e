"""Records keep their order, pages start anywhere, blobs are read in stretches."""

import hypothesis.strategies as st
import pytest
from hypothesis import given

from tunesmith.service.core.store import MemoryStore


@pytest.fixture
def letters():
    collection = MemoryStore().collection("letters", str)
    for letter in "abcde":
        collection.put(letter, letter.upper())
    return collection


def test_the_newest_come_first_unless_asked_otherwise(letters):
    assert letters.get_page().records == list("EDCBA")
    assert letters.get_page(newest_first=False).records == list("ABCDE")


def test_pages_go_on_behind_the_last_seen(letters):
    first = letters.get_page(limit=2)
    assert (first.records, first.has_more) == (["E", "D"], True)
    rest = letters.get_page(after="d", limit=3)
    assert (rest.records, rest.has_more) == (["C", "B", "A"], False)


def test_a_record_that_is_put_again_keeps_its_place(letters):
    letters.put("c", "new")
    assert letters.get_page().records == ["E", "D", "new", "B", "A"]


def test_a_filter_does_not_promise_more_than_there_is(letters):
    window = letters.get_page(limit=1, where=lambda letter: letter == "E")
    assert (window.records, window.has_more) == (["E"], False)


@given(st.lists(st.tuples(st.sampled_from("pd"), st.integers(0, 9))), st.integers(1, 4))
def test_paging_through_shows_what_a_dictionary_would_hold(actions, limit):
    collection, model = MemoryStore().collection("numbers", int), {}
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


def test_collections_of_different_owners_are_apart():
    store = MemoryStore()
    store.collection("events", str, parent_id="job-1").put("e", "here")
    assert len(store.collection("events", str, parent_id="job-2")) == 0
    assert store.collection("events", str, parent_id="job-1").get("e") == "here"


@given(st.lists(st.binary(max_size=5)), st.integers(0, 20), st.none() | st.integers(0, 20))
def test_a_stretch_of_a_blob_is_a_slice_of_its_bytes(chunks, start, stop):
    store = MemoryStore()
    store.write("blob", chunks)
    stop = stop if stop is None else max(start, stop)
    assert b"".join(store.read("blob", start, stop)) == b"".join(chunks)[start:stop]
    assert store.size_bytes("blob") == sum(map(len, chunks))


def test_parts_become_one_blob_and_are_gone():
    store = MemoryStore()
    store.write("one", [b"a", b"b"])
    store.write("two", [b"c"])
    store.join("whole", ["two", "one"])
    assert b"".join(store.read("whole")) == b"cab"
    with pytest.raises(KeyError):
        store.read("one")


def test_a_blob_that_is_erased_meanwhile_is_read_to_its_end():
    store = MemoryStore()
    store.write("blob", [b"a", b"b"])
    reading = store.read("blob")
    store.delete_blob("blob")
    assert b"".join(reading) == b"ab"
