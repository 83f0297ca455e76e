"""Pages that are copied keep their next page; pickled ones refuse it."""

import copy
import json
import pickle

import pytest
from tests.unit.calls.conftest import Script, answer

from tunesmith import Page, PaginationError
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
