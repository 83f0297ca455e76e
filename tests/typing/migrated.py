"""An application of the official SDK; tests/typing/migrated.py is what it becomes."""

import asyncio
import os

import httpx
import tunesmith
from tunesmith import NOT_GIVEN, AsyncClient, RateLimitError
from tunesmith.types import ChatCompletion, ChatCompletionMessageParam
from pydantic import BaseModel

client = AsyncClient(api_key=os.environ.get("KEY"), timeout=30.0, max_retries=3)


class City(BaseModel):
    """A city."""

    name: str


async def complete(question: str, temperature: float | None = NOT_GIVEN) -> ChatCompletion:
    """Complete a conversation."""
    messages: list[ChatCompletionMessageParam] = [{"role": "user", "content": question}]
    try:
        return await client.chat.completions.create(
            model="gpt-4o-mini", messages=messages, temperature=temperature
        )
    except RateLimitError as error:
        print(error.headers.get("retry-after"), error.status_code)
        raise
    except tunesmith.APIStatusError as error:
        print(error.status_code, error.body)
        raise


async def chat(question: str) -> None:
    """Stream a chat completion, then a response."""
    # Chunks have deltas.
    async with client.chat.completions.stream(
        model="gpt-4o-mini",
        messages=[{"role": "user", "content": question}],
    ) as stream:
        async for chunk in stream:
            print(chunk.choices[0].delta.content or "", end="")
    print()

    async with client.responses.stream(
        model="gpt-4o-mini", input=question, instructions="Be brief.", store=False
    ) as stream_2:
        async for event in stream_2:
            if event.type == "response.output_text.delta":
                print(event.delta, end="")


async def parse(question: str) -> City | None:
    """Parse a chat completion."""
    completion = await client.chat.completions.parse(
        model="gpt-4o-mini",
        messages=[{"role": "user", "content": question}],
        response_format=City,
    )
    return completion.choices[0].message.parsed


class Files:
    """Files of the service."""

    def __init__(self, api: AsyncClient | None = None) -> None:
        self.api = api or tunesmith.AsyncClient(http_client=httpx.AsyncClient())

    async def download(self, file_id: str) -> str:
        """Download a file twice."""
        content = self.api.with_options(max_retries=5).files.content(file_id)
        await content.write_to("copy.jsonl")
        return await self.api.files.content(file_id).text()


async def main() -> None:
    """Run everything."""
    await chat("Who was Kant?")
    print(await asyncio.gather(complete("Who was Hume?"), parse("Where did Kant live?")))
    async for file in client.files.list():
        print(await Files().download(file.id))


if __name__ == "__main__":
    asyncio.run(main())
