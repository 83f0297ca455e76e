"""A service, and data for it."""

import json

import pytest

from tunesmith.operations.files import CreateFile
from tunesmith.service.service import Service


@pytest.fixture
def service():
    return Service()


@pytest.fixture
def upload(service):
    """Send lines as a file; gives its id."""

    async def send(lines, *, to=service, purpose="fine-tune"):
        content = b"\n".join(
            line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines
        )
        file = await to.execute(CreateFile(file=("data.jsonl", content, None), purpose=purpose))
        return file.id

    return send


@pytest.fixture
def pairs():
    """Prompts and completions, 12 of them."""
    return [
        {"prompt": f"Question {i}: what is {i} plus {i}?\n\n###\n\n", "completion": f" {2 * i}."}
        for i in range(12)
    ]


@pytest.fixture
def chats():
    """Conversations, 12 of them."""
    return [
        {
            "messages": [
                {"role": "system", "content": "You add."},
                {"role": "user", "content": f"{i} plus {i}?"},
                {"role": "assistant", "content": f"{2 * i}."},
            ]
        }
        for i in range(12)
    ]
