"""Frameworks that use the Responses API; run in their environment, against a service.

The environment has the base URL and the key. Results are printed as JSON for the test.
"""

import asyncio
import json
import sys

from agents import Agent as OpenAIAgent, Runner, set_tracing_disabled
from pydantic import BaseModel
from pydantic_ai import Agent

QUESTION = "Who was Kant?"


class City(BaseModel):
    name: str
    people: int


async def run_pydantic_ai():
    structured = Agent("openai:gpt-4o-mini", output_type=City)
    plain = Agent("openai:gpt-4o-mini")
    async with plain.run_stream(QUESTION) as stream:
        text = "".join([part async for part in stream.stream_text(delta=True)])
    city = (await structured.run("A city")).output
    answer = (await plain.run(QUESTION)).output
    return [type(structured.model).__name__, type(city).__name__, bool(answer), bool(text)]


async def run_agents():
    set_tracing_disabled(True)
    structured = OpenAIAgent(name="structured", model="gpt-4o-mini", output_type=City)
    plain = OpenAIAgent(name="plain", model="gpt-4o-mini")
    city = (await Runner.run(structured, "A city")).final_output
    events = [event.type async for event in Runner.run_streamed(plain, QUESTION).stream_events()]
    return [type(city).__name__, "raw_response_event" in events]


async def main():
    results = {"pydantic_ai": await run_pydantic_ai(), "agents": await run_agents()}
    sys.stdout.write(json.dumps(results))


asyncio.run(main())
