"""Chat completions created with `store` can be retrieved, listed, updated and deleted."""

import json

import pytest

pytestmark = pytest.mark.anyio

REQUEST = {
    "model": "gpt-4o-mini",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What is duty?"},
    ],
    "max_completion_tokens": 5,
}


@pytest.fixture
def stored(api):
    """Create a stored completion."""

    async def create(**parameters):
        return await api.post("/chat/completions", **REQUEST, store=True, **parameters)

    return create


async def test_a_stored_completion_is_unchanged(api, stored):
    answer = await stored(metadata={"topic": "duty"})
    assert answer["metadata"] == {"topic": "duty"}
    assert await api.get(f"/chat/completions/{answer['id']}") == answer


async def test_a_streamed_completion_is_stored_whole(api):
    chunks = await api.stream("/chat/completions", **REQUEST, store=True)
    text = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)
    stored_completion = await api.get(f"/chat/completions/{chunks[0]['id']}")
    assert stored_completion["object"] == "chat.completion"
    assert stored_completion["choices"][0]["message"]["content"] == text


async def test_completions_are_not_stored_by_default(api):
    answer = await api.post("/chat/completions", **REQUEST)
    status, _, content = await api.send("GET", f"/chat/completions/{answer['id']}")
    assert status == 404
    assert answer["id"] in json.loads(content)["error"]["message"]


async def test_metadata_requires_store(api):
    status, error = await api.fail("/chat/completions", **REQUEST, metadata={"a": "b"})
    assert (status, error["param"]) == (400, "metadata")


async def test_the_list_is_in_order_by_pages_and_filtered(api, stored):
    ids = [(await stored(metadata={"place": str(i % 2)}))["id"] for i in range(5)]
    first = await api.get("/chat/completions", limit="2")
    assert [each["id"] for each in first["data"]] == ids[:2]
    assert (first["has_more"], first["last_id"]) == (True, ids[1])
    rest = await api.get("/chat/completions", after=ids[1])
    assert [each["id"] for each in rest["data"]] == ids[2:]
    newest = await api.get("/chat/completions", order="desc", limit="1")
    assert newest["data"][0]["id"] == ids[-1]
    odd = await api.get("/chat/completions", **{"metadata[place]": "1"})
    assert [each["id"] for each in odd["data"]] == ids[1::2]
    assert (await api.get("/chat/completions", model="gpt-4.1"))["data"] == []


async def test_metadata_can_be_replaced(api, stored):
    answer = await stored(metadata={"a": "1"})
    changed = await api.post(f"/chat/completions/{answer['id']}", metadata={"b": "2"})
    assert changed == {**answer, "metadata": {"b": "2"}}
    assert await api.get(f"/chat/completions/{answer['id']}") == changed


async def test_messages_of_the_request_are_stored(api, stored):
    answer_id = (await stored())["id"]
    page = await api.get(f"/chat/completions/{answer_id}/messages")
    assert [(each["role"], each["content"]) for each in page["data"]] == [
        (message["role"], message["content"]) for message in REQUEST["messages"]
    ]
    after = await api.get(f"/chat/completions/{answer_id}/messages", after=page["first_id"])
    assert after["data"] == page["data"][1:]


async def test_text_and_parts_of_a_message_are_stored(api):
    parts = [{"type": "text", "text": "What is"}, {"type": "text", "text": "duty?"}]
    request = {**REQUEST, "messages": [{"role": "user", "content": parts}]}
    answer = await api.post("/chat/completions", **request, store=True)
    (message,) = (await api.get(f"/chat/completions/{answer['id']}/messages"))["data"]
    assert message["content"] == "What is\nduty?"
    assert message["content_parts"] == parts


async def test_a_deleted_completion_is_gone(api, stored):
    answer_id = (await stored())["id"]
    deleted = await api.delete(f"/chat/completions/{answer_id}")
    assert deleted == {"object": "chat.completion.deleted", "id": answer_id, "deleted": True}
    for path in (f"/chat/completions/{answer_id}", f"/chat/completions/{answer_id}/messages"):
        assert (await api.send("GET", path))[0] == 404
    assert (await api.get("/chat/completions"))["data"] == []
