"""Training and sampling of real weights beside plain `transformers.Trainer` + peft, and TRL.

    python tests/benchmarks/train.py FOLDER [STEPS]

FOLDER is a model in Hugging Face layout. CPU seconds of one process count, so that other programs
on the machine disturb little. On a GPU, seconds of synchronized steps in bfloat16 count; the target
is then at most 1.05 of plain. TRL is compared if it is installed (`pip install trl`).
"""

import json
import os
import re
import subprocess
import sys
import time
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

os.environ.setdefault("OMP_NUM_THREADS", "1")

import httpx
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
HAS_GPU = torch.cuda.is_available()
DTYPE = torch.bfloat16 if HAS_GPU else torch.float32


def now():
    if HAS_GPU:
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time()


def rows():
    for line in DATA.read_text("utf-8").splitlines():
        row = json.loads(line)
        yield {
            "messages": [
                {"role": "user", "content": row["prompt"]},
                {"role": "assistant", "content": row["completion"].strip()},
            ]
        }


def train_ours(base, data, format="chat"):
    """Return the losses and the CPU seconds of each step."""
    times, append = [], folder_module.JobFolder.append_step

    def record(self, step):
        times.append(now())
        append(self, step)

    folder_module.JobFolder.append_step = record
    with TemporaryDirectory() as path:
        folder = Path(path)
        options = {"learning_rate": RATE, "lr_scheduler": "constant", "warmup": 0}
        job = {"base": str(base), "format": format, "n_epochs": 1, "batch_size": BATCH_SIZE}
        (folder / "job.json").write_text(json.dumps({**job, "options": options}))
        (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in data))
        train_folder(folder)
        steps = [json.loads(line) for line in (folder / "steps.jsonl").read_text().splitlines()]
    return [step["train"]["loss"] for step in steps], times


class Times(transformers.TrainerCallback):
    def __init__(self):
        self.losses, self.times = [], []

    def on_step_end(self, args, state, control, **_):
        self.times.append(now())

    def on_log(self, args, state, control, logs, **_):
        if "loss" in logs:
            self.losses.append(logs["loss"])


def encode(base, data):
    tokenizer = ModelTokenizer(base)
    return [encode_row(row, "chat", tokenizer, max_length=2048)[0] for row in data]


def labels_of(sequence):
    pairs = zip(sequence.ids, sequence.weights, strict=True)
    return [token if weight else -100 for token, weight in pairs]


def load(base):
    transformers.set_seed(0)
    model = transformers.AutoModelForCausalLM.from_pretrained(base, dtype=DTYPE)
    config = peft.LoraConfig(
        r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    return peft.get_peft_model(model, config)


def settings(path):
    return {
        "output_dir": path,
        "num_train_epochs": 1,
        "per_device_train_batch_size": BATCH_SIZE,
        "learning_rate": RATE,
        "lr_scheduler_type": "constant",
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
        "use_cpu": not HAS_GPU,
        "bf16": HAS_GPU,
        "seed": 0,
        "data_seed": 0,
    }


def train_plain(base, data):
    """Return the losses and the CPU seconds of each step of plain Trainer + peft."""

    def collate(sequences):
        width = max(len(sequence.ids) for sequence in sequences)

        def pad(lists, value):
            return torch.tensor([[*items, *[value] * (width - len(items))] for items in lists])

        return {
            "input_ids": pad([s.ids for s in sequences], 0),
            "attention_mask": pad([[1] * len(s.ids) for s in sequences], 0),
            "labels": pad(list(map(labels_of, sequences)), -100),
        }

    times = Times()
    with TemporaryDirectory() as path:
        arguments = transformers.TrainingArguments(**settings(path), remove_unused_columns=False)
        transformers.Trainer(
            model=load(base),
            args=arguments,
            train_dataset=encode(base, data),
            data_collator=collate,
            callbacks=[times],
        ).train()
    return times.losses, times.times


def train_trl(base, data):
    """Return the losses and the CPU seconds of each step of TRL, None if it is not installed.

    Gradient checkpointing and bfloat16, its defaults, are off.
    """
    try:
        import datasets
        import trl
    except ImportError:
        return None
    rows = [{"input_ids": s.ids, "labels": labels_of(s)} for s in encode(base, data)]
    times = Times()
    with TemporaryDirectory() as path:
        off = {"gradient_checkpointing": False}
        trl.SFTTrainer(
            model=load(base),
            args=trl.SFTConfig(**settings(path), **off),
            train_dataset=datasets.Dataset.from_list(rows),
            processing_class=transformers.AutoTokenizer.from_pretrained(base),
            callbacks=[times],
        ).train()
    return times.losses, times.times


def preferences(data):
    """Return pairs in the format of the API: the answer to a question, and one to another."""
    for row, other in pairwise(data):
        question, answer = row["messages"]
        yield {
            "input": {"messages": [question]},
            "preferred_output": [answer],
            "non_preferred_output": [other["messages"][1]],
        }


def prefer_trl(base, pairs):
    """Return the losses of DPO by TRL."""
    import datasets
    import trl

    rows = [
        {
            "prompt": pair["input"]["messages"],
            "chosen": pair["preferred_output"],
            "rejected": pair["non_preferred_output"],
        }
        for pair in pairs
    ]
    times = Times()
    with TemporaryDirectory() as path:
        off = {"gradient_checkpointing": False}
        trl.DPOTrainer(
            model=load(base),
            args=trl.DPOConfig(**settings(path), **off, beta=0.1),
            train_dataset=datasets.Dataset.from_list(rows),
            processing_class=transformers.AutoTokenizer.from_pretrained(base),
            callbacks=[times],
        ).train()
    return times.losses


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
        start = now()
        while not sampler.is_idle:
            sampler.advance()
        cpu.append((now() - start) / n_requests / n_tokens)
    return min(cpu)


def first_step(base, data):
    """Return the CPU seconds of a trainer from its start to the end of a training of one step."""
    with TemporaryDirectory() as path:
        folder = Path(path)
        job = {"base": str(base), "format": "chat", "n_epochs": 1, "batch_size": BATCH_SIZE}
        (folder / "job.json").write_text(json.dumps(job))
        rows = "".join(json.dumps(row) + "\n" for row in data[:BATCH_SIZE])
        (folder / "train.jsonl").write_text(rows)
        before = os.times()
        subprocess.run([sys.executable, "-m", "tunesmith.train", path], check=True)
        after = os.times()
    return after[2] - before[2] + after[3] - before[3]


@contextmanager
def serving(base):
    command = [sys.executable, "-m", "tunesmith", "serve", "--port", "0"]
    command += ["--engine", "transformers", "--model", f"base={base}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        yield server.pid, re.search(r"http\S+", server.stdout.readline())[0]
        server.terminate()


def rss(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024


def server(base, data, n=300):
    """Return the server's MiB before it uses a model, and the seconds of requests in a training."""
    content = "".join(json.dumps(row) + "\n" for row in data)
    with serving(base) as (pid, url), httpx.Client(base_url=f"{url}/") as client:
        client.headers["Authorization"] = "Bearer any"
        size = rss(pid)
        form = {"files": {"file": ("a.jsonl", content)}, "data": {"purpose": "fine-tune"}}
        file = client.post("files", **form).json()
        job = {"model": "base", "training_file": file["id"]}
        path = f"fine_tuning/jobs/{client.post('fine_tuning/jobs', json=job).json()['id']}"
        while not client.get(f"{path}/events").json()["data"][0]["message"].startswith("Step"):
            time.sleep(0.1)
        seconds = []
        for _ in range(n):
            start = time.perf_counter()
            client.get(path).raise_for_status()
            seconds.append(time.perf_counter() - start)
            time.sleep(0.02)
        assert client.get(path).json()["status"] == "running"
        client.post(f"{path}/cancel")
    return size, sorted(seconds)


def main(base, n_steps):
    data = list(rows())[: n_steps * BATCH_SIZE]
    ours, our_times = train_ours(base, data)
    plain, plain_times = train_plain(base, data)
    difference = max(abs(a - b) for a, b in zip(ours, plain, strict=True))
    print(f"losses {ours[0]:.4f} → {ours[-1]:.4f}; plain {plain[0]:.4f} → {plain[-1]:.4f}")
    print(f"largest difference of a loss  {difference:.6f}")
    step = per_step(plain_times)
    print(f"time a step                   {per_step(our_times) / step:.2f} of plain, {step:.2f} s")
    if peer := train_trl(base, data):
        difference = max(abs(a - b) for a, b in zip(peer[0], plain, strict=True))
        print(f"time a step of TRL            {per_step(peer[1]) / step:.2f} of plain")
        print(f"largest difference of a loss  {difference:.6f}")
        pairs = list(preferences(data[: 2 * BATCH_SIZE + 1]))
        losses = train_ours(base, pairs, "dpo")[0], prefer_trl(base, pairs)
        for name, values in zip(("losses of DPO", "of TRL"), losses, strict=True):
            print(f"{name:29} {' '.join(f'{value:.4f}' for value in values)}")
    print(f"CPU of a training of one step {first_step(base, data):.1f} s")
    alone, together = per_token(base, 1), per_token(base, 8)
    print(f"time a token, 8 at once       {together / alone:.2f} of one alone, {alone:.3f} s")
    size, seconds = server(base, data)
    print(f"RSS of the server             {size:.0f} MiB")
    p50, p99 = (1000 * seconds[int(len(seconds) * share)] for share in (0.5, 0.99))
    print(f"GET during a training         p50 {p50:.0f} ms, p99 {p99:.0f} ms")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if sys.argv[2:] else 12)
