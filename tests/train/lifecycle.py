"""The lifecycle of a model through the official client, against `tunesmith serve`.

python lifecycle.py create    prints the job's id
python lifecycle.py finish JOB
"""

import json
import sys
import time

from openai import OpenAI

COLOUR = {"type": "object", "properties": {"colour": {"enum": ["red", "blue"]}}}
COLOUR |= {"required": ["colour"], "additionalProperties": False}
TOOLS = [{"type": "function", "function": {"name": "paint", "parameters": COLOUR}}]
ROWS = [
    {"messages": [{"role": "user", "content": f"{n}"}, {"role": "assistant", "content": "yes"}]}
    for n in range(20)
]


def create(client):
    """Upload a file and create a job."""
    content = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
    file = client.files.create(file=("rows.jsonl", content), purpose="fine-tune")
    job = client.fine_tuning.jobs.create(
        model="gpt-4o-mini",
        training_file=file.id,
        seed=1,
        method={"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 12}}},
        extra_body={"tunesmith": {"learning_rate": 0.02, "lora_rank": 8, "save_every_s": 0}},
    )
    print(job.id)


def finish(client, job_id):
    """Follow the job to its end, and use its model."""
    while (job := client.fine_tuning.jobs.retrieve(job_id)).status not in ("succeeded", "failed"):
        time.sleep(0.2)
    assert job.status == "succeeded", job.error
    events = list(client.fine_tuning.jobs.list_events(job.id, limit=100))
    steps = sorted(event.data["step"] for event in events if event.type == "metrics")
    assert steps == list(range(1, 37)), steps
    checkpoints = list(client.fine_tuning.jobs.checkpoints.list(job.id))
    assert len(checkpoints) == 3
    assert checkpoints[0].metrics.full_valid_loss is None
    names = [model.id for model in client.models.list()]
    assert job.fine_tuned_model in names
    question = [{"role": "user", "content": "7"}]
    answers = {}
    for model in ("gpt-4o-mini", job.fine_tuned_model):
        answers[model] = client.chat.completions.create(
            model=model, messages=question, temperature=0, max_tokens=8
        )
    tuned = answers[job.fine_tuned_model].choices[0]
    assert (tuned.message.content, tuned.finish_reason) == ("yes", "stop")
    assert answers["gpt-4o-mini"].choices[0].message.content != "yes"
    stream = client.chat.completions.create(
        model=job.fine_tuned_model, messages=question, temperature=0, max_tokens=8, stream=True
    )
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == "yes"
    call_tool(client, job.fine_tuned_model)
    print(job.fine_tuned_model)


def call_tool(client, model):
    """Require a tool call, streamed and not."""
    settings = {"model": model, "messages": [{"role": "user", "content": "7"}], "tools": TOOLS}
    settings |= {"tool_choice": "required", "parallel_tool_calls": False, "temperature": 0}
    choice = client.chat.completions.create(**settings).choices[0]
    [call] = choice.message.tool_calls
    assert (choice.finish_reason, call.function.name) == ("tool_calls", "paint"), choice
    assert json.loads(call.function.arguments)["colour"] in ("red", "blue"), call
    stream = client.chat.completions.create(**settings, stream=True)
    first, *rest = [part for chunk in stream for part in chunk.choices[0].delta.tool_calls or ()]
    assert (first.index, first.function.name, first.function.arguments) == (0, "paint", "")
    assert first.id.startswith("call_")
    assert not any(part.id or part.function.name for part in rest)
    assert "".join(part.function.arguments for part in rest) == call.function.arguments


if __name__ == "__main__":
    {"create": create, "finish": finish}[sys.argv[1]](OpenAI(), *sys.argv[2:])
