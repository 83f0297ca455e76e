"""An application of the official SDK; tests/typing/migrated.py is what it becomes."""

import asyncio
import os

import openai
from openai import NOT_GIVEN, AsyncOpenAI, NotGiven, RateLimitError
from openai.types.chat import ChatCompletion, ChatCompletionMessageParam
from pydantic import BaseModel

client = AsyncOpenAI(api_key=os.environ.get("KEY"), timeout=openai.Timeout(30.0), max_retries=3)


class City(BaseModel):
    """A city."""

    name: str


async def complete(question: str, temperature: float | NotGiven = NOT_GIVEN) -> ChatCompletion:
    """Complete a conversation."""
    messages: list[ChatCompletionMessageParam] = [{"role": "user", "content": question}]
    try:
        return await client.chat.completions.create(
            model="gpt-4o-mini", messages=messages, temperature=temperature, stream=False
        )
    except RateLimitError as error:
        print(error.response.headers.get("retry-after"), error.status_code)
        raise
    except openai.APIStatusError as error:
        print(error.response.status_code, error.body)
        raise


async def chat(question: str) -> None:
    """Stream a chat completion, then a response."""
    # Chunks have deltas.
    stream = await client.chat.completions.create(
        model="gpt-4o-mini",
        messages=[{"role": "user", "content": question}],
        stream=True,
    )
    async for chunk in stream:
        print(chunk.choices[0].delta.content or "", end="")
    print()

    async for event in await client.responses.create(
        model="gpt-4o-mini", input=question, instructions="Be brief.", store=False, stream=True
    ):
        if event.type == "response.output_text.delta":
            print(event.delta, end="")


async def parse(question: str) -> City | None:
    """Parse a chat completion."""
    completion = await client.beta.chat.completions.parse(
        model="gpt-4o-mini",
        messages=[{"role": "user", "content": question}],
        response_format=City,
    )
    return completion.choices[0].message.parsed


class Files:
    """Files of the service."""

    def __init__(self, api: AsyncOpenAI | None = None) -> None:
        self.api = api or openai.AsyncOpenAI(http_client=openai.DefaultAsyncHttpxClient())

    async def download(self, file_id: str) -> str:
        """Download a file twice."""
        content = await self.api.with_options(max_retries=5).files.content(file_id)
        content.write_to_file("copy.jsonl")
        return (await self.api.files.content(file_id)).text


async def main() -> None:
    """Run everything."""
    await chat("Who was Kant?")
    print(await asyncio.gather(complete("Who was Hume?"), parse("Where did Kant live?")))
    async for file in client.files.list():
        print(await Files().download(file.id))


if __name__ == "__main__":
    asyncio.run(main())
