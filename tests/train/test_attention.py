"""Attention is that of the model, of a tuned one beside its base."""

import json
import shutil

import pytest

torch = pytest.importorskip("torch", reason="needs tunesmith[train]")
transformers = pytest.importorskip("transformers", reason="needs tunesmith[train]")
peft = pytest.importorskip("peft", reason="needs tunesmith[train]")
CliRunner = pytest.importorskip("click.testing").CliRunner

import anyio

from tunesmith.cli.app import app
from tunesmith.playground.attention import AttentionProcess
from tunesmith.service.core.errors import ServiceError
from tunesmith.train.attention import compute_attention

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning"),
]


@pytest.fixture(scope="module")
def adapter(tiny, tmp_path_factory):
    """Folder of a random adapter with a visible effect, and the tokenizer."""
    folder = tmp_path_factory.mktemp("adapter")
    torch.manual_seed(1)
    model = transformers.AutoModelForCausalLM.from_pretrained(tiny)
    config = peft.LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False)
    peft.get_peft_model(model, config).save_pretrained(folder)
    for name in ("tokenizer.json", "chat_template.jinja", "generation_config.json"):
        (folder / name).write_bytes((tiny / name).read_bytes())
    return folder


def test_the_attention_of_base_and_tuned_model_is_computed(adapter, tiny):
    result = compute_attention(adapter, "Why?", max_tokens=60)
    n = len(result["tokens"])
    assert "".join(result["tokens"]).endswith("Why?<|im_end|>\n<|im_start|>assistant\n")
    for model in result["models"].values():
        layers = torch.tensor(model["attention"])
        assert layers.shape == (2, 4, n, n)
        assert torch.allclose(layers.sum(-1), torch.ones(2, 4, n), atol=1e-5)
        assert torch.equal(layers, layers.tril())
        assert len(model["next"]) == 5
    alone = compute_attention(tiny, "Why?", max_tokens=60)["models"]["model"]
    assert alone == result["models"]["base"] != result["models"]["tuned"]


def test_the_command_writes_a_page(adapter, tmp_path):
    page = tmp_path / "page.html"
    result = CliRunner().invoke(app, ["attention", str(adapter), "Why?", "-o", str(page)])
    assert result.exit_code == 0, result.output
    assert "Layer 2" in page.read_text()
    long = CliRunner().invoke(app, ["attention", str(adapter), "x" * 200, "-o", str(page)])
    assert "the prompt has 219 tokens; it must have 1 to 96" in long.output
    bytes_of_latin_1 = CliRunner().invoke(app, ["attention", str(adapter), "\udcff"])
    assert "not valid UTF-8" in bytes_of_latin_1.output


def test_the_command_says_where_a_missing_model_is_named(adapter, tmp_path):
    missing = CliRunner().invoke(app, ["attention", str(tmp_path / "none"), "Why?"])
    assert missing.exit_code == 1
    assert f"The folder {tmp_path / 'none'} does not exist" in missing.output
    moved = tmp_path / "moved"
    shutil.copytree(adapter, moved)
    config = json.loads((moved / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = str(tmp_path / "none")
    (moved / "adapter_config.json").write_text(json.dumps(config))
    result = CliRunner().invoke(app, ["attention", str(moved), "Why?"])
    assert result.exit_code == 1
    assert f"base_model_name_or_path in {moved / 'adapter_config.json'}" in result.output


def test_the_playground_computes_it_in_a_process_of_its_own(adapter, warm_command):
    folders = {"ft:tiny": adapter, "ft:other": adapter.parent}
    command = warm_command("tunesmith.train.attention")
    compute = AttentionProcess(folders.get, command)
    result = anyio.run(compute, "ft:tiny", "Why?")
    heads = result["models"]["tuned"]["attention"][0]
    assert [len(row) for row in heads[0]] == list(range(1, len(result["tokens"]) + 1))
    assert sum(heads[0][-1]) == pytest.approx(1, abs=0.05)
    for model, prompt, message in [
        ("ft:tiny", "x" * 200, "the prompt has 219 tokens; it must have 1 to 64"),
        ("ft:other", "Why?", "has no weights in Hugging Face layout"),
        ("base", "Why?", "has no weights in Hugging Face layout"),
    ]:
        with pytest.raises(ServiceError, match=message) as raised:
            anyio.run(compute, model, prompt)
        assert raised.value.status == 400
