"""Downloaded weights generate the same texts in other programs."""

import json
import shutil
import sys
from pathlib import Path

import anyio
import pytest

torch = pytest.importorskip("torch", reason="needs tunesmith[train]")
transformers = pytest.importorskip("transformers", reason="needs tunesmith[train]")
peft = pytest.importorskip("peft", reason="needs tunesmith[train]")
CliRunner = pytest.importorskip("click.testing").CliRunner

from tunesmith import AsyncClient, MemoryBackend
from tunesmith.cli.app import app
from tunesmith.service.core.folders import folder_name
from tunesmith.service.engines.transformers import sampler as sampler_module
from tunesmith.service.engines.transformers.engine import TransformersEngine
from tunesmith.service.engines.transformers.tokenizer import ModelTokenizer

QUESTION = [{"role": "user", "content": "3 + 1"}]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning"),
]


@pytest.fixture(scope="module")
def tuned(tiny, rows, warm_command, tmp_path_factory):
    """A state with a tuned model, its name, and its answer to a question."""
    state = tmp_path_factory.mktemp("tuned") / "state"
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()

    async def tune():
        engine = TransformersEngine({"tiny": tiny}, train_command=warm_command("tunesmith.train"))
        async with AsyncClient(backend=MemoryBackend(engine=engine, state=state)) as client:
            file = await client.files.create(file=("a.jsonl", content), purpose="fine-tune")
            job = await client.fine_tuning.jobs.create(
                model="tiny",
                training_file=file.id,
                extra_body={"tunesmith": {"learning_rate": 0.02}},
                hyperparameters={"n_epochs": 6},
            )
            job = await client.fine_tuning.jobs.wait(job)
            reply = await client.chat.completions.create(
                model=job.fine_tuned_model, messages=QUESTION, temperature=0, max_tokens=8
            )
            return job.fine_tuned_model, reply.choices[0].message.content

    with pytest.MonkeyPatch.context() as patch:
        command = warm_command("tunesmith.train.sampler")
        patch.setattr(sampler_module.Sampler.__init__, "__defaults__", (command,))
        return (state, *anyio.run(tune))


def download(state, name, target, *options):
    arguments = ["--state", str(state), "models", "download", name, "--to", str(target), *options]
    return CliRunner().invoke(app, arguments)


def answer(model, folder):
    """Return the greedy answer of plain transformers."""
    tokenizer = ModelTokenizer(folder)
    ids = torch.tensor([tokenizer.encode_chat(QUESTION)])
    output = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=8,
        do_sample=False,
        pad_token_id=0,
        eos_token_id=sorted(tokenizer.stop_ids),
    )
    tokens = output[0, ids.shape[1] :].tolist()
    return tokenizer.decode([token for token in tokens if token not in tokenizer.stop_ids])


def test_an_adapter_gives_the_same_text_in_transformers_and_peft(tuned, tiny, tmp_path):
    state, name, expected = tuned
    assert download(state, name, tmp_path / "adapter").exit_code == 0
    base = transformers.AutoModelForCausalLM.from_pretrained(tiny)
    assert answer(base, tiny) != expected
    model = peft.PeftModel.from_pretrained(base, tmp_path / "adapter")
    assert answer(model, tmp_path / "adapter") == expected


def test_a_merged_model_gives_the_same_text_in_transformers(tuned, tmp_path):
    state, name, expected = tuned
    assert download(state, name, tmp_path / "merged", "--merged").exit_code == 0
    assert not list((tmp_path / "merged").glob("adapter*"))
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    assert answer(model, tmp_path / "merged") == expected


def copy_adapter(state, name, to):
    """Copy the adapter of a tuned model to another state, where a test may change it."""
    adapter = to / "models" / folder_name(name)
    shutil.copytree(state / "models" / folder_name(name), adapter)
    return adapter


def test_a_model_without_generation_settings_is_merged(tuned, tmp_path):
    state, name, expected = tuned
    adapter = copy_adapter(state, name, tmp_path)
    (adapter / "generation_config.json").unlink()
    assert download(tmp_path, name, tmp_path / "merged", "--merged").exit_code == 0
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    assert answer(model, tmp_path / "merged") == expected


def test_an_adapter_whose_base_is_gone_is_not_merged(tuned, tmp_path):
    state, name, _ = tuned
    adapter = copy_adapter(state, name, tmp_path)
    config = json.loads((adapter / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = str(tmp_path / "gone")
    (adapter / "adapter_config.json").write_text(json.dumps(config))
    result = download(tmp_path, name, tmp_path / "merged", "--merged")
    assert result.exit_code == 1
    assert "The base model of the adapter cannot be loaded" in result.output
    assert "gone" in result.output
    assert [path.name for path in tmp_path.iterdir()] == ["models"]


def test_gguf_needs_the_converter_of_llama_cpp(tuned, tmp_path, monkeypatch):
    state, name, _ = tuned
    monkeypatch.setenv("PATH", str(tmp_path))
    result = download(state, name, tmp_path / "gguf", "--gguf")
    assert result.exit_code == 1
    assert "needs convert_hf_to_gguf.py of llama.cpp on the PATH" in result.output
    converter = tmp_path / "convert_hf_to_gguf.py"
    program = "import sys; open(sys.argv[3], 'w').write(sys.argv[1])"
    converter.write_text(f"#!{sys.executable}\n{program}\n")
    converter.chmod(0o755)
    assert download(state, name, tmp_path / "gguf", "--gguf").exit_code == 0
    assert Path(tmp_path / "gguf" / "model.gguf").exists()
    assert Path(tmp_path / "gguf" / "model.safetensors").exists()


def test_unknown_models_and_used_folders_are_refused(tuned, tmp_path):
    state, name, _ = tuned
    assert "no weights of a model 'x'" in download(state, "x", tmp_path / "new").output
    assert "already exists" in download(state, name, tmp_path).output
    assert list(tmp_path.iterdir()) == []
