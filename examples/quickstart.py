"""The main job: prepare → upload → fine-tune → follow → complete, on a dataset about Kant.

Without a key it runs on the service in memory, in seconds. With `OPENAI_API_KEY` set (and
`OPENAI_BASE_URL` for a server other than OpenAI's) the same calls go to a real service:

    python examples/quickstart.py
"""

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio

import tunesmith
from tunesmith.datasets import Dataset

DATA = Path(__file__).parent / "data" / "kant.csv"
PROMPT = "Several concepts are a priori such as"
MODEL = os.environ.get("TUNESMITH_MODEL", "babbage-002")


async def main() -> None:
    backend = None if "OPENAI_API_KEY" in os.environ else tunesmith.MemoryBackend()
    async with tunesmith.AsyncClient(backend=backend) as client:
        await life_cycle(client)


async def life_cycle(client: tunesmith.AsyncClient) -> None:
    print(f"\n1. Prepare {DATA.name}")
    with TemporaryDirectory() as folder:
        diagnosis = await Dataset.open(DATA).diagnose()
        plan = diagnosis.plan()
        print(plan)
        written = await plan.write(Path(folder) / "kant.jsonl", split=0.1)

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
            print(f"{event.created_datetime:%H:%M:%S}  {event.message}")
    job = await client.fine_tuning.jobs.wait(job)

    results = await client.fine_tuning.jobs.results(job)
    first, last = results.steps[0], results.steps[-1]
    print(f"\nTraining loss:   {first.train_loss:.2f} → {last.train_loss:.2f}")
    checkpoints = [point async for point in client.fine_tuning.jobs.checkpoints.list(job.id)]
    losses = [point.metrics.full_valid_loss for point in checkpoints[::-1] if point.metrics]
    shown = " → ".join(f"{loss:.2f}" for loss in losses if loss is not None)
    print(f"Validation loss: {shown or 'not reported'}")

    print(f"\n4. Complete: {PROMPT!r}")
    for model in (MODEL, job.fine_tuned_model or ""):
        completion = await client.completions.create(
            model=model,
            prompt=PROMPT + written.separator,
            max_tokens=40,
            temperature=0,
            stop=written.ending or None,
        )
        print(f"{model}:{completion.choices[0].text}")


if __name__ == "__main__":
    anyio.run(main)
