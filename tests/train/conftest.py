"""A tiny random model, made by the tests themselves; nothing comes from a hub."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

# Several threads only disturb each other where tests share the cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

CHATML = (
    "{% if tools %}<|im_start|>system\n{{ tools | tojson }}<|im_end|>\n{% endif %}"
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' "
    "+ message['content'] }}{% for call in message.tool_calls or [] %}"
    "{% if not loop.first or message['content'] %}{{ '\n' }}{% endif %}"
    '{{ \'<tool_call>\n{"name": "\' + call.function.name + \'", "arguments": \' }}'
    "{{ call.function.arguments | tojson }}{{ '}\n</tool_call>' }}{% endfor %}"
    "{{ '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SPECIAL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")


def save_tokenizer(folder, template=CHATML, special_tokens=SPECIAL_TOKENS, stop=("<|im_end|>",)):
    """Save a byte-level tokenizer: 256 bytes, and the control tokens of a chat template."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    from tunesmith.service.engines.transformers.tokenizer import _BYTES_BY_CHAR

    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = {char: index for index, char in enumerate(sorted(_BYTES_BY_CHAR))}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in special_tokens])
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"eos_token": special_tokens[0], "tokenizer_class": "PreTrainedTokenizerFast"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    (folder / "chat_template.jinja").write_text(template)
    ids = [tokenizer.token_to_id(token) for token in (*stop, special_tokens[0])]
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": ids}))
    return tokenizer.get_vocab_size()


def save_model(folder, **changes):
    """Save a random Llama of 2 layers with the tokenizer above."""
    import torch
    import transformers

    size = save_tokenizer(folder)
    generation = (folder / "generation_config.json").read_text()
    torch.manual_seed(0)
    settings = {
        "vocab_size": size,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "eos_token_id": 256,
        "bos_token_id": None,
    }
    config = transformers.LlamaConfig(**settings | changes)
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    (folder / "generation_config.json").write_text(generation)
    return folder


@pytest.fixture(scope="session")
def make_tokenizer(tmp_path_factory):
    """Function that makes a tokenizer with a chat template."""

    def make(*arguments, **settings):
        from tunesmith.service.engines.transformers.tokenizer import ModelTokenizer

        folder = tmp_path_factory.mktemp("tokenizer")
        save_tokenizer(folder, *arguments, **settings)
        return ModelTokenizer(folder)

    return make


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """Folder of a random model of about 20,000 weights."""
    return save_model(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture
def make_model(tmp_path):
    """Function that makes a random model of an architecture, with the tokenizer above."""
    import torch
    import transformers

    def make(config):
        folder = tmp_path / config.model_type
        config.vocab_size, config.eos_token_id = save_tokenizer(folder), 256
        generation = (folder / "generation_config.json").read_text()
        torch.manual_seed(0)
        transformers.AutoModelForCausalLM.from_config(config).save_pretrained(folder)
        (folder / "generation_config.json").write_text(generation)
        return folder

    return make


ROWS = [
    {
        "messages": [
            {"role": "user", "content": f"{number} + 1"},
            {"role": "assistant", "content": str(number + 1)},
        ]
    }
    for number in range(20)
]


@pytest.fixture(scope="session")
def rows():
    """Rows of a training file."""
    return ROWS


@pytest.fixture
def make_job(tiny, tmp_path):
    """Function that writes the folder of a job."""

    def make(name="job", rows=ROWS, validation=(), format="chat", **job):
        folder = tmp_path / name
        folder.mkdir()
        options = {"learning_rate": 0.01, **job.pop("options", {})}
        values = {"base": str(tiny), "format": format, "n_epochs": 3, "batch_size": 4}
        (folder / "job.json").write_text(json.dumps(values | {"seed": 7, "options": options} | job))
        for path, content in (("train.jsonl", rows), ("validation.jsonl", validation)):
            if content:
                (folder / path).write_text("".join(json.dumps(row) + "\n" for row in content))
        return folder

    return make


@pytest.fixture
def read_steps():
    """Function that returns the recorded steps of a job, each once."""

    def read(folder):
        lines = (folder / "steps.jsonl").read_text().splitlines()
        return list({step["step"]: step for step in map(json.loads, lines)}.values())

    return read


@pytest.fixture(scope="session")
def warm_command():
    """Function that returns a command of which torch is imported already."""
    script = Path(__file__).with_name("warm.py")
    modules = ["tunesmith.train.run", "tunesmith.train.sampler.process", "torch._dynamo"]
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/socket"
        command = [sys.executable, str(script), "--serve", path, *modules]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as server:
            server.stdout.readline()
            yield lambda module: (sys.executable, "-S", str(script), path, module)
            server.kill()


@pytest.fixture
def start_warm(warm_command, monkeypatch):
    """All engines start trainers and samplers by the command above."""
    from tunesmith.service.engines.transformers import engine, sampler

    command = warm_command("tunesmith.train.sampler")
    monkeypatch.setattr(sampler.Sampler.__init__, "__defaults__", (command,))
    defaults = engine.TransformersEngine.__init__.__kwdefaults__
    monkeypatch.setitem(defaults, "train_command", warm_command("tunesmith.train"))
