"""Pages that are copied keep their next page; pickled ones refuse it."""

import copy
import json
import pickle

import pytest
from tests.unit.calls.conftest import Script, answer

from tunesmith import Page, PaginationError
from tunesmith.operations.files import ListFiles
from tunesmith.resources.pages import AsyncPaginator
from tunesmith.types import FileObject

pytestmark = pytest.mark.anyio


def listed(*ids, has_more=False):
    data = [{"id": name} for name in ids]
    return answer(json.dumps({"data": data, "has_more": has_more}).encode(), x_request_id="req_1")


@pytest.mark.parametrize(
    "duplicate",
    [copy.copy, copy.deepcopy, Page.model_copy, lambda page: page.model_copy(deep=True)],
)
async def test_a_copied_page_keeps_its_response_and_its_next_page(duplicate):
    client = Script(listed("a", has_more=True), listed("b")).client()
    page = duplicate(await client.files.list())
    assert page.response.request_id == "req_1"
    assert [file.id async for file in page] == ["a", "b"]


async def test_a_pickled_page_refuses_its_next_page():
    page = await Script(listed("a", has_more=True)).client().files.list()
    loaded = pickle.loads(pickle.dumps(page))
    assert [file.id for file in loaded.data] == ["a"]
    with pytest.raises(PaginationError, match="after="):
        await loaded.next_page()


async def test_a_last_page_has_no_next_page_however_it_was_made():
    assert await Page[FileObject](data=[]).next_page() is None
    assert await Page[FileObject](data=[FileObject(id="a")], has_more=False).next_page() is None


async def test_a_list_whose_pages_do_not_end_is_an_error_that_names_the_call():
    pages = [listed("a", has_more=True), listed("b", has_more=True), listed("a", has_more=True)]
    words = "files.list: the page after b ends with a again, so the list would be endless"
    with pytest.raises(PaginationError) as caught:
        [file.id async for file in Script(*pages).client().files.list()]
    assert (str(caught.value), caught.value.operation) == (words, "files.list")
    assert caught.value.request_id == "req_1"


@pytest.mark.parametrize("extra_query", [None, {"region": "eu"}])
async def test_a_list_without_a_cursor_parameter_is_continued_all_the_same(extra_query):
    backend = Script(listed("a", has_more=True), listed("b"))
    models = backend.client().models.list(extra_query=extra_query)
    assert [model.id async for model in models] == ["a", "b"]
    queries = [dict(request.query) for request in backend.requests]
    assert queries == [extra_query or {}, {**(extra_query or {}), "after": "a"}]


async def test_objects_without_an_id_are_continued_after_the_last_one_of_the_page():
    page = {"data": [{"message": "Created"}], "has_more": True, "last_id": "ftevent-7"}
    backend = Script(answer(json.dumps(page).encode()), answer(b'{"data": []}'))
    events = backend.client().fine_tunes.list_events("ft-1")
    assert [event.message async for event in events] == ["Created"]
    assert dict(backend.requests[1].query)["after"] == "ftevent-7"


async def test_the_next_page_has_the_parameters_of_the_first_and_another_cursor():
    backend = Script(listed("a", has_more=True), listed("b"))
    files = backend.client().files.list(after="0", limit=1)
    assert [file.id async for file in files] == ["a", "b"]
    assert [request.query for request in backend.requests] == [
        (("after", cursor), ("limit", "1")) for cursor in ("0", "a")
    ]


async def test_all_pages_are_part_of_the_longer_call():
    class Caller:
        def __init__(self):
            self.deadlines = []

        async def call(self, operation, *, deadline=None):
            self.deadlines.append(deadline)
            number = len(self.deadlines)
            return Page[FileObject](data=[FileObject(id=f"{number}")], has_more=number < 3)

    caller, deadline = Caller(), object()
    files = AsyncPaginator(caller, ListFiles(), deadline)
    assert [file.id async for file in files] == ["1", "2", "3"]
    assert caller.deadlines == [deadline] * 3
