"""The main job: prepare → upload → fine-tune → follow → complete, on a dataset about Kant.

Without a key it runs on the service in memory, in seconds. With `OPENAI_API_KEY` set (and
`OPENAI_BASE_URL` for a server other than OpenAI's) the same calls go to a real service. The model
is `babbage-002`, or `TUNESMITH_MODEL`. Steps that a server does not offer are skipped.

    python examples/quickstart.py
"""

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio

import tunesmith
from tunesmith.datasets import Dataset, WriteResult
from tunesmith.types import FineTuningJob

DATA = Path(__file__).parent / "data" / "kant.csv"
PROMPT = "Several concepts are a priori such as"
MODEL = os.environ.get("TUNESMITH_MODEL", "babbage-002")


async def main() -> None:
    backend = None if "OPENAI_API_KEY" in os.environ else tunesmith.MemoryBackend()
    async with tunesmith.AsyncClient(backend=backend) as client:
        with TemporaryDirectory() as folder:
            written = await prepare(Path(folder) / "kant.jsonl")
            models = [MODEL]
            try:
                job = await tune(client, written)
                models.append(job.fine_tuned_model or MODEL)
                await show_losses(client, job)
            except (tunesmith.APIStatusError, tunesmith.JobError) as error:
                print(f"Fine-tuning stopped: {error}")
        try:
            await complete(client, models, written)
        except tunesmith.APIStatusError as error:
            print(f"Completing stopped: {error}")


async def prepare(output: Path) -> WriteResult:
    print(f"\n1. Prepare {DATA.name}")
    diagnosis = await Dataset.open(DATA).diagnose()
    plan = diagnosis.plan()
    print(plan)
    return await plan.write(output, split=0.1)


async def tune(client: tunesmith.AsyncClient, written: WriteResult) -> FineTuningJob:
    print("\n2. Upload")
    training, validation = [await client.files.upload(path) for path in written.files]
    for file, rows in zip((training, validation), written.rows, strict=True):
        print(f"{file.id}  {file.filename}: {rows} examples, {file.bytes} bytes")

    print(f"\n3. Fine-tune {MODEL}, and follow")
    job = await client.fine_tuning.jobs.create(
        model=MODEL,
        training_file=training.id,
        validation_file=validation.id,
        suffix="kant",
        seed=7,
    )
    async for event in client.fine_tuning.jobs.follow(job):
        if event.type != "metrics" or (event.data or {}).get("step", 0) % 100 == 0:
            print(f"{event.created_datetime:%H:%M:%S}  " if event.created_datetime else "", end="")
            print(event.message)
    return await client.fine_tuning.jobs.wait(job)


async def show_losses(client: tunesmith.AsyncClient, job: FineTuningJob) -> None:
    results = await client.fine_tuning.jobs.results(job)
    losses = [step.train_loss for step in results if step.train_loss is not None]
    if losses:
        print(f"\nTraining loss:   {losses[0]:.2f} → {losses[-1]:.2f}")
    checkpoints = [point async for point in client.fine_tuning.jobs.checkpoints.list(job.id)]
    metrics = [point.metrics for point in reversed(checkpoints) if point.metrics]
    valid = [each.full_valid_loss for each in metrics if each.full_valid_loss is not None]
    if valid:
        print(f"Validation loss: {' → '.join(f'{loss:.2f}' for loss in valid)}")


async def complete(client: tunesmith.AsyncClient, models: list[str], written: WriteResult) -> None:
    print(f"\n4. Complete: {PROMPT!r}")
    for model in models:
        completion = await client.completions.create(
            model=model,
            prompt=PROMPT + written.separator,
            max_tokens=40,
            temperature=0,
            stop=written.ending or None,
        )
        print(f"{model}:{completion.choices[0].text}")


if __name__ == "__main__":
    try:
        anyio.run(main)
    except tunesmith.TunesmithError as error:
        sys.exit(f"The quickstart stopped: {error}")
