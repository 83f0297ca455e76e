"""Chat answers created with `store` can be looked up, listed, changed and deleted."""

import json

import pytest

pytestmark = pytest.mark.anyio

ASKED = {
    "model": "gpt-4o-mini",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What is duty?"},
    ],
    "max_completion_tokens": 5,
}


@pytest.fixture
def stored(api):
    """Creates an answer that is kept."""

    async def create(**parameters):
        return await api.post("/chat/completions", **ASKED, store=True, **parameters)

    return create


async def test_an_answer_is_kept_as_it_was(api, stored):
    answer = await stored(metadata={"topic": "duty"})
    assert answer["metadata"] == {"topic": "duty"}
    assert await api.get(f"/chat/completions/{answer['id']}") == answer


async def test_a_streamed_answer_is_kept_whole(api):
    chunks = await api.stream("/chat/completions", **ASKED, store=True)
    text = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)
    kept = await api.get(f"/chat/completions/{chunks[0]['id']}")
    assert kept["object"] == "chat.completion"
    assert kept["choices"][0]["message"]["content"] == text


async def test_what_was_not_to_be_kept_is_not(api):
    answer = await api.post("/chat/completions", **ASKED)
    status, _, content = await api.send("GET", f"/chat/completions/{answer['id']}")
    assert status == 404
    assert answer["id"] in json.loads(content)["error"]["message"]


async def test_metadata_needs_store(api):
    status, error = await api.refusal("/chat/completions", **ASKED, metadata={"a": "b"})
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


async def test_metadata_can_be_changed(api, stored):
    answer = await stored(metadata={"a": "1"})
    changed = await api.post(f"/chat/completions/{answer['id']}", metadata={"b": "2"})
    assert changed == {**answer, "metadata": {"b": "2"}}
    assert await api.get(f"/chat/completions/{answer['id']}") == changed


async def test_its_messages_are_kept_too(api, stored):
    answer_id = (await stored())["id"]
    page = await api.get(f"/chat/completions/{answer_id}/messages")
    assert [(each["role"], each["content"]) for each in page["data"]] == [
        (message["role"], message["content"]) for message in ASKED["messages"]
    ]
    after = await api.get(f"/chat/completions/{answer_id}/messages", after=page["first_id"])
    assert after["data"] == page["data"][1:]


async def test_of_a_message_with_parts_both_text_and_parts_are_kept(api):
    parts = [{"type": "text", "text": "What is"}, {"type": "text", "text": "duty?"}]
    asked = {**ASKED, "messages": [{"role": "user", "content": parts}]}
    answer = await api.post("/chat/completions", **asked, store=True)
    (message,) = (await api.get(f"/chat/completions/{answer['id']}/messages"))["data"]
    assert message["content"] == "What is\nduty?"
    assert message["content_parts"] == parts


async def test_a_deleted_one_is_gone(api, stored):
    answer_id = (await stored())["id"]
    deleted = await api.delete(f"/chat/completions/{answer_id}")
    assert deleted == {"object": "chat.completion.deleted", "id": answer_id, "deleted": True}
    for path in (f"/chat/completions/{answer_id}", f"/chat/completions/{answer_id}/messages"):
        assert (await api.send("GET", path))[0] == 404
    assert (await api.get("/chat/completions"))["data"] == []
