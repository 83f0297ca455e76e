"""The whole lifecycle by the official Python client; run in its environment, against a service.

Only the environment says where that is. What was seen is printed as JSON; the test judges it.
"""

import asyncio
import io
import json
import sys
import time

import openai

client = openai.OpenAI()
seen = {"version": openai.__version__}

training = "".join(
    json.dumps(
        {
            "messages": [
                {"role": "user", "content": f"What is {i} plus {i}?"},
                {"role": "assistant", "content": f"{2 * i}, as always."},
            ]
        }
    )
    + "\n"
    for i in range(12)
).encode()


def refused(call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except openai.APIStatusError as error:
        return [type(error).__name__, error.status_code, error.code, bool(error.request_id)]
    return None


# Files
file = client.files.create(file=("train.jsonl", training), purpose="fine-tune")
seen["file"] = [file.object, file.bytes, file.purpose, client.files.retrieve(file.id).filename]
seen["files"] = [each.id for each in client.files.list(purpose="fine-tune")] == [file.id]
seen["content"] = client.files.content(file.id).read() == training

# A job, its events and checkpoints, its results
job = client.fine_tuning.jobs.create(
    model="gpt-4o-mini-2024-07-18",
    training_file=file.id,
    suffix="sums",
    method={"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 2}}},
)
seen["first_status"] = job.status
deadline = time.monotonic() + 60
while job.status not in {"succeeded", "failed", "cancelled"} and time.monotonic() < deadline:
    time.sleep(0.1)
    job = client.fine_tuning.jobs.retrieve(job.id)
seen["status"] = job.status
time.sleep(0.2)  # the last events come after the end
events = list(client.fine_tuning.jobs.list_events(job.id, limit=5))
seen["events"] = [event.message for event in reversed(events)]
seen["event_ids"] = len({event.id for event in events}) == len(events)
seen["checkpoints"] = [
    each.step_number for each in client.fine_tuning.jobs.checkpoints.list(job.id)
]
seen["results"] = len(client.files.content(job.result_files[0]).read()) > 0
seen["jobs"] = [each.id for each in client.fine_tuning.jobs.list(limit=1)] == [job.id]
tuned = job.fine_tuned_model
seen["tuned"] = tuned.startswith("ft:gpt-4o-mini-2024-07-18:personal:sums:")
seen["model"] = client.models.retrieve(tuned).id == tuned
seen["among_models"] = tuned in {model.id for model in client.models.list()}

# Completions and chats, whole and bit by bit
asked = {"model": tuned, "messages": [{"role": "user", "content": "What is 3 plus 3?"}]}
seen["chat"] = client.chat.completions.create(**asked, temperature=0).choices[0].message.content
bits = client.chat.completions.create(**asked, temperature=0, stream=True)
seen["chat_bits"] = "".join(b.choices[0].delta.content or "" for b in bits if b.choices)
prompt = {"model": "davinci-002", "prompt": "Kant was", "max_tokens": 5, "seed": 1}
seen["completion"] = client.completions.create(**prompt).choices[0].text
bits = client.completions.create(**prompt, stream=True)
seen["completion_bits"] = "".join(b.choices[0].text for b in bits if b.choices)
with client.chat.completions.with_streaming_response.create(**asked, stream=True) as left_early:
    next(left_early.iter_lines())
embedding = client.embeddings.create(model="text-embedding-3-small", input="Kant", dimensions=8)
seen["embedding"] = len(embedding.data[0].embedding)
seen["moderation"] = client.moderations.create(input="Kant").results[0].flagged


# Batches and uploads
line = {"custom_id": "a", "method": "POST", "url": "/v1/completions", "body": prompt}
questions = client.files.create(file=("batch.jsonl", json.dumps(line).encode()), purpose="batch")
batch = client.batches.create(
    input_file_id=questions.id, endpoint="/v1/completions", completion_window="24h"
)
while batch.status not in {"completed", "failed", "expired"} and time.monotonic() < deadline:
    time.sleep(0.1)
    batch = client.batches.retrieve(batch.id)
answer = json.loads(client.files.content(batch.output_file_id).text)
seen["batch"] = [batch.status, batch.request_counts.completed, answer["response"]["status_code"]]
upload = client.uploads.create(
    filename="big.jsonl", purpose="fine-tune", bytes=len(training), mime_type="application/jsonl"
)
part = client.uploads.parts.create(upload.id, data=io.BytesIO(training))
seen["upload"] = client.uploads.complete(upload.id, part_ids=[part.id]).file.bytes == len(training)

# What goes wrong
slow = client.fine_tuning.jobs.create(
    model="gpt-4o-mini-2024-07-18",
    training_file=file.id,
    method={"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 50}}},
)
seen["cancelled"] = client.fine_tuning.jobs.cancel(slow.id).status
seen["no_such_job"] = refused(client.fine_tuning.jobs.retrieve, "ftjob-none")
seen["no_such_model"] = refused(client.models.retrieve, "none")
seen["bad_parameter"] = refused(client.completions.create, **{**prompt, "temperature": 3})
seen["base_model"] = refused(client.models.delete, "davinci-002")
seen["no_key"] = refused(openai.OpenAI(api_key="sk-wrong-key-of-mine").models.list)
seen["deleted"] = [client.models.delete(tuned).deleted, client.files.delete(file.id).deleted]


async def same_asynchronously():
    async with openai.AsyncOpenAI() as other:
        stream = await other.completions.create(**prompt, stream=True)
        return "".join([bit.choices[0].text async for bit in stream if bit.choices])


seen["asynchronously"] = asyncio.run(same_asynchronously())
json.dump(seen, sys.stdout)
