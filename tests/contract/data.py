"""Data for the service, and the shortest way from it to a job."""

import json


def json_lines(lines) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def pairs(count=12):
    """Prompts with completions."""
    return [
        {
            "prompt": f"Question {i}: what is {i} plus {i}?\n\n###\n\n",
            "completion": f" {2 * i}. END",
        }
        for i in range(count)
    ]


def chats(count=12):
    """Conversations."""
    return [
        {
            "messages": [
                {"role": "system", "content": "You add."},
                {"role": "user", "content": f"What is {i} plus {i}?"},
                {"role": "assistant", "content": f"It is {2 * i}."},
            ]
        }
        for i in range(count)
    ]


def preferences(count=12):
    """Conversations with a better and a worse answer."""
    return [
        {
            "input": {"messages": [{"role": "user", "content": f"What is {i} plus {i}?"}]},
            "preferred_output": [{"role": "assistant", "content": f"It is {2 * i}."}],
            "non_preferred_output": [{"role": "assistant", "content": "No idea."}],
        }
        for i in range(count)
    ]


def questions(count=12):
    """Conversations that wait for an answer, which a grader compares with the right one."""
    return [
        {
            "messages": [{"role": "user", "content": f"What is {i} plus {i}?"}],
            "answer": str(2 * i),
        }
        for i in range(count)
    ]


ONE_EPOCH = {
    "type": "supervised",
    "supervised": {"hyperparameters": {"n_epochs": 1, "batch_size": 4}},
}
"""Three steps for twelve examples."""


async def send(client, lines, *, purpose="fine-tune", filename="data.jsonl"):
    """Send lines as a file; gives its id."""
    file = await client.files.create(file=(filename, json_lines(lines)), purpose=purpose)
    return file.id


async def begin_job(client, lines=None, *, model="davinci-002", method=ONE_EPOCH, **options):
    """Create a job on prompts and completions."""
    training_file = await send(client, lines or pairs())
    return await client.fine_tuning.jobs.create(
        model=model, training_file=training_file, method=method, **options
    )


async def finish_job(client, *args, **options):
    """Create a job and wait until it has succeeded."""
    job = await begin_job(client, *args, **options)
    return await client.fine_tuning.jobs.wait(job, poll_interval=30)


async def collect(items, seen):
    """Put items into a list, one by one, so that those before an error are seen."""
    async for item in items:
        seen.append(item)
