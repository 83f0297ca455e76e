"""The course on real weights: prepare → fine-tune → follow → compare with the base.

Needs a folder of a Hugging Face model with a chat template, such as SmolLM2-135M-Instruct, and
`pip install 'tunesmith[train]'`. Nothing leaves the machine.

    python examples/real_weights.py FOLDER
"""

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio

from tunesmith import AsyncClient, MemoryBackend, TunesmithError
from tunesmith.service.engines import EngineError
from tunesmith.service.engines.transformers.engine import TransformersEngine

DATA = Path(__file__).parent / "data" / "kant.jsonl"
N_ROWS = 160
N_HELD_OUT = 3


def to_chat(line: str) -> dict[str, object]:
    row = json.loads(line)
    return {
        "messages": [
            {"role": "user", "content": row["prompt"].removesuffix("->").strip()},
            {"role": "assistant", "content": row["completion"].strip()},
        ]
    }


async def main(model: Path) -> None:
    rows = [to_chat(line) for line in DATA.read_text("utf-8").splitlines()]
    held_out, rows = rows[:N_HELD_OUT], rows[N_HELD_OUT:][:N_ROWS]
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    engine = TransformersEngine({"base": model})
    with TemporaryDirectory() as state:
        backend = MemoryBackend(engine=engine, state=Path(state) / "state")
        async with AsyncClient(backend=backend) as client:
            file = await client.files.create(file=("kant.jsonl", content), purpose="fine-tune")
            job = await client.fine_tuning.jobs.create(
                model="base", training_file=file.id, suffix="kant", seed=7
            )
            async for event in client.fine_tuning.jobs.follow(job):
                print(event.message)
            job = await client.fine_tuning.jobs.wait(job)
            for row in held_out:
                question = row["messages"][:1]
                print(f"\n{question[0]['content']}")
                for name in ("base", job.fine_tuned_model or "base"):
                    reply = await client.chat.completions.create(
                        model=name, messages=question, temperature=0, max_tokens=40
                    )
                    print(f"  {name}: {reply.choices[0].message.content}")


if __name__ == "__main__":
    if not sys.argv[1:]:
        sys.exit(__doc__)
    try:
        anyio.run(main, Path(sys.argv[1]))
    except (TunesmithError, EngineError) as error:
        sys.exit(f"The course stopped: {error}")
