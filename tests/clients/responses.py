"""The Responses API by the official Python client; run in its environment, against a service.

The environment has the base URL and the key. Results are printed as JSON for the test.
"""

import json
import sys

import openai
from pydantic import BaseModel

client = openai.OpenAI()
model = "gpt-4o-mini"
results = {"version": openai.__version__}


class City(BaseModel):
    name: str
    people: int


tool = {
    "type": "function",
    "name": "weather",
    "strict": True,
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
}
question = {"role": "user", "content": "Weather?"}

response = client.responses.create(model=model, input="Who was Kant?")
results["create"] = [response.status, bool(response.output_text), response.usage.total_tokens > 0]

with client.responses.stream(
    model=model, input="And Hume?", previous_response_id=response.id
) as stream:
    kinds = [event.type for event in stream]
    final = stream.get_final_response()
results["stream"] = [kinds[0], kinds[-1], final.previous_response_id == response.id]
*_, last = client.responses.create(model=model, input="Who was Kant?", stream=True)
results["last_event"] = type(last).__name__

parsed = client.responses.parse(model=model, input="A city", text_format=City)
results["parse"] = isinstance(parsed.output_parsed, City)

called = client.responses.create(
    model=model, input="Weather?", tools=[tool], tool_choice={"type": "function", "name": "weather"}
)
(call,) = called.output
results["call"] = [type(call).__name__, call.name, sorted(json.loads(call.arguments))]
output = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
answered = client.responses.create(model=model, input=[question, *called.output, output])
results["answer"] = answered.output[0].type
items = client.responses.input_items.list(answered.id, order="asc")
results["input_items"] = [item.type for item in items]
with client.responses.stream(
    model=model, input="Weather?", tools=[tool], tool_choice="required"
) as stream:
    stream.until_done()
    results["streamed_call"] = stream.get_final_response().output[0].name


def event_types(**parameters):
    """Return the types of a stream's events; each must be parsed as the class of its type."""
    types = []
    for event in client.responses.create(model=model, stream=True, **parameters):
        assert event.type == type(event).model_fields["type"].annotation.__args__[0], event
        assert set(event.model_extra or ()) <= {"name"}  # which version 2 of the client requires
        types.append(event.type.removeprefix("response."))
    return list(dict.fromkeys(types))


custom = {"type": "custom", "name": "shell"}
results["events"] = {
    "text": event_types(input="Who was Kant?", top_logprobs=2),
    "function": event_types(input="Weather?", tools=[tool], tool_choice="required"),
    "custom": event_types(input="Weather?", tools=[custom], tool_choice="required"),
    "truncated": event_types(input="Who was Kant?", max_output_tokens=1)[-1],
    "background": event_types(input="Who was Kant?", background=True)[:3],
}

results["input_tokens"] = client.responses.input_tokens.count(model=model, input="Hi").object
queued = client.responses.create(model=model, input="Later", background=True)
results["background"] = [queued.status, client.responses.cancel(queued.id).status]
client.responses.delete(response.id)
try:
    client.responses.retrieve(response.id)
except openai.NotFoundError as error:
    results["deleted"] = error.status_code

sys.stdout.write(json.dumps(results))
