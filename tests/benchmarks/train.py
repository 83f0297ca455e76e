"""Training and sampling of real weights beside plain `transformers.Trainer` + peft.

    python tests/benchmarks/train.py FOLDER [STEPS]

FOLDER is a model in Hugging Face layout. CPU seconds of one process count, so that other programs
on the machine disturb little. Each number is a ratio to the plain one, or a size.
"""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

os.environ.setdefault("OMP_NUM_THREADS", "1")

import peft
import torch
import transformers

from tunesmith.service.engines.transformers import folder as folder_module
from tunesmith.service.engines.transformers.rows import encode_row
from tunesmith.service.engines.transformers.tokenizer import ModelTokenizer
from tunesmith.train.run import train_folder
from tunesmith.train.sampler.model import SamplerModel
from tunesmith.train.sampler.process import Sampler

DATA = Path(__file__).parents[2] / "examples" / "data" / "kant.jsonl"
BATCH_SIZE = 8
RATE = 1e-3
WARM_UP = 2


def rows():
    for line in DATA.read_text("utf-8").splitlines():
        row = json.loads(line)
        yield {
            "messages": [
                {"role": "user", "content": row["prompt"]},
                {"role": "assistant", "content": row["completion"].strip()},
            ]
        }


def train_ours(base, data):
    """Return the losses and the CPU seconds of each step."""
    times, append = [], folder_module.JobFolder.append_step

    def record(self, step):
        times.append(time.process_time())
        append(self, step)

    folder_module.JobFolder.append_step = record
    with TemporaryDirectory() as path:
        folder = Path(path)
        options = {"learning_rate": RATE, "lr_scheduler": "constant", "warmup": 0}
        job = {"base": str(base), "format": "chat", "n_epochs": 1, "batch_size": BATCH_SIZE}
        (folder / "job.json").write_text(json.dumps({**job, "options": options}))
        (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in data))
        train_folder(folder)
        steps = [json.loads(line) for line in (folder / "steps.jsonl").read_text().splitlines()]
    return [step["train"]["loss"] for step in steps], times


class Times(transformers.TrainerCallback):
    def __init__(self):
        self.losses, self.times = [], []

    def on_step_end(self, args, state, control, **_):
        self.times.append(time.process_time())

    def on_log(self, args, state, control, logs, **_):
        if "loss" in logs:
            self.losses.append(logs["loss"])


def train_plain(base, data):
    """Return the losses and the CPU seconds of each step of plain Trainer + peft."""
    transformers.set_seed(0)
    tokenizer = ModelTokenizer(base)
    encoded = [encode_row(row, "chat", tokenizer, max_length=2048)[0] for row in data]
    model = transformers.AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    config = peft.LoraConfig(
        r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    model = peft.get_peft_model(model, config)

    def collate(sequences):
        width = max(len(sequence.ids) for sequence in sequences)

        def pad(lists, value):
            return torch.tensor([[*items, *[value] * (width - len(items))] for items in lists])

        labels = [
            [token if weight else -100 for token, weight in zip(s.ids, s.weights, strict=True)]
            for s in sequences
        ]
        return {
            "input_ids": pad([s.ids for s in sequences], 0),
            "attention_mask": pad([[1] * len(s.ids) for s in sequences], 0),
            "labels": pad(labels, -100),
        }

    times = Times()
    with TemporaryDirectory() as path:
        arguments = transformers.TrainingArguments(
            output_dir=path,
            num_train_epochs=1,
            per_device_train_batch_size=BATCH_SIZE,
            learning_rate=RATE,
            lr_scheduler_type="constant",
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            remove_unused_columns=False,
            dataloader_pin_memory=False,
            use_cpu=True,
            seed=0,
            data_seed=0,
        )
        transformers.Trainer(
            model=model,
            args=arguments,
            train_dataset=encoded,
            data_collator=collate,
            callbacks=[times],
        ).train()
    return times.losses, times.times


def per_step(times):
    return (times[-1] - times[WARM_UP]) / (len(times) - 1 - WARM_UP)


def per_token(base, n_requests, n_tokens=64):
    """Return the CPU seconds a token of some requests at once."""
    model = SamplerModel(base)
    prompt = ModelTokenizer(base).encode_chat([{"role": "user", "content": "What is time?"}])
    endless = {str(token): -100 for token in model.stop_ids}
    cpu = []
    for _ in range(2):
        sampler = Sampler(model)
        for number in range(n_requests):
            request = {"op": "generate", "id": number, "prompt": prompt, "temperature": 0}
            sampler.handle({**request, "max_tokens": n_tokens, "logit_bias": endless})
        start = time.process_time()
        while not sampler.is_idle:
            sampler.advance()
        cpu.append((time.process_time() - start) / n_requests / n_tokens)
    return min(cpu)


def server_rss(base):
    """Return the resident size in MiB of a server that has not used a model yet."""
    command = [sys.executable, "-m", "tunesmith", "serve", "--port", "0"]
    command += ["--engine", "transformers", "--model", f"base={base}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        server.stdout.readline()
        status = Path(f"/proc/{server.pid}/status").read_text()
        server.kill()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024


def main(base, n_steps):
    data = list(rows())[: n_steps * BATCH_SIZE]
    ours, our_times = train_ours(base, data)
    plain, plain_times = train_plain(base, data)
    difference = max(abs(a - b) for a, b in zip(ours, plain, strict=True))
    print(f"losses {ours[0]:.4f} → {ours[-1]:.4f}; plain {plain[0]:.4f} → {plain[-1]:.4f}")
    print(f"largest difference of a loss  {difference:.6f}")
    print(
        f"CPU a step                    {per_step(our_times) / per_step(plain_times):.2f} of plain"
    )
    alone, together = per_token(base, 1), per_token(base, 8)
    print(f"CPU a token, 8 at once        {together / alone:.2f} of one alone")
    print(f"RSS of the server             {server_rss(base):.0f} MiB")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if sys.argv[2:] else 12)
