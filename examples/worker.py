"""Fine-tunes and completions as tasks of a queue: workers share one client for their whole life.

    pip install tunesmith taskiq
    python examples/worker.py

Here the queue is in memory, and the service too unless `OPENAI_API_KEY` is set. For several
machines, take another of taskiq's brokers (Redis, RabbitMQ, NATS), and start workers by
`taskiq worker --app-dir examples worker:broker`: the tasks stay as they are.
"""

import asyncio
import os
from pathlib import Path

from taskiq import InMemoryBroker, TaskiqEvents, TaskiqState

from tunesmith import AsyncClient, MemoryBackend

broker = InMemoryBroker(await_inplace=False)
KANT = Path(__file__).parent / "data" / "kant.jsonl"
_service: dict[str, AsyncClient] = {}


@broker.on_event(TaskiqEvents.WORKER_STARTUP)
async def open_client(_: TaskiqState) -> None:
    backend = None if "OPENAI_API_KEY" in os.environ else MemoryBackend(seed=7)
    _service["client"] = AsyncClient(backend=backend, deadline=24 * 3600)


@broker.on_event(TaskiqEvents.WORKER_SHUTDOWN)
async def close_client(_: TaskiqState) -> None:
    await _service.pop("client").aclose()


@broker.task
async def fine_tune(path: str, model: str, suffix: str) -> str:
    """Train, and return the tuned model's name; a job that fails lets the task fail."""
    client = _service["client"]
    file = await client.files.upload(path)  # an identical one is not uploaded twice
    job = await client.fine_tuning.jobs.create(
        model=model, training_file=file.id, suffix=suffix, seed=7
    )
    job = await client.fine_tuning.jobs.wait(job)
    return job.fine_tuned_model or ""


@broker.task
async def complete(model: str, prompt: str) -> str:
    completion = await _service["client"].completions.create(
        model=model, prompt=prompt, max_tokens=30, temperature=0, stop="\n"
    )
    return completion.choices[0].text


async def main() -> None:
    await broker.startup()
    training = await fine_tune.kiq(str(KANT), "babbage-002", "kant")
    model = (await training.wait_result(timeout=600)).return_value
    prompts = [
        "Several concepts are a priori such as ->",
        "Name some concepts that do not come from experience. ->",
    ]
    tasks = [await complete.kiq(model, prompt) for prompt in prompts]
    for prompt, task in zip(prompts, tasks, strict=True):
        print(prompt, (await task.wait_result(timeout=60)).return_value)
    await broker.shutdown()


if __name__ == "__main__":
    asyncio.run(main())
