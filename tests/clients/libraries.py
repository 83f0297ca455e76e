"""Libraries that use the Responses API; run in their environment, against a service.

The environment has the base URL and the key. Results are printed as JSON for the test.
"""

import functools
import json
import operator
import os
import sys

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # otherwise it is downloaded

import instructor
import litellm
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

MODEL = "gpt-4o-mini"
QUESTION = "Who was Kant?"


class City(BaseModel):
    name: str
    people: int


class Weather(BaseModel):
    """Weather of a city."""

    city: str


def run_langchain():
    model = ChatOpenAI(model=MODEL, use_responses_api=True)
    answer = model.invoke(QUESTION)
    streamed = functools.reduce(operator.add, model.stream(QUESTION))
    city = model.with_structured_output(City, method="json_schema").invoke("A city")
    (call,) = model.bind_tools([Weather], tool_choice="Weather").invoke("Weather?").tool_calls
    statuses = [message.response_metadata["status"] for message in (answer, streamed)]
    return [*statuses, type(city).__name__, call["name"]]


def run_instructor():
    client = instructor.from_provider(
        f"openai/{MODEL}",
        mode=instructor.Mode.RESPONSES_TOOLS,
        base_url=os.environ["OPENAI_BASE_URL"],
    )
    return type(client.responses.create(input="A city", response_model=City)).__name__


def run_litellm():
    answer = litellm.responses(model=f"openai/{MODEL}", input=QUESTION)
    events = litellm.responses(model=f"openai/{MODEL}", input=QUESTION, stream=True)
    kinds = [str(getattr(event.type, "value", event.type)) for event in events]
    return [answer.status, kinds[0], kinds[-1]]


results = {
    "langchain": run_langchain(),
    "instructor": run_instructor(),
    "litellm": run_litellm(),
}
sys.stdout.write("\n" + json.dumps(results))
