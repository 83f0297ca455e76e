"""The transformers engine passes the contract, and survives the death of processes."""

import json
import math
import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import MappingProxyType

import anyio
import pytest

pytest.importorskip("torch", reason="needs tunesmith[train]")
pytest.importorskip("peft", reason="needs tunesmith[train]")

from tunesmith.service.engines import EngineError, GenerationSpec, TrainingSpec
from tunesmith.service.engines.transformers.engine import TransformersEngine
from tunesmith.testing import EngineContract

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning"),
]


@pytest.fixture
def make_engine(tiny, start_warm):
    """Function that returns a new engine of the tiny model."""

    def make(**settings):
        settings = {"aliases": {"gpt-4o-mini": "tiny"}} | settings
        return TransformersEngine({"tiny": tiny}, **settings)

    return make


class TestTransformersEngine(EngineContract):
    timeout = 300.0
    options = MappingProxyType({"n_samples": 2, "max_sample_tokens": 4})

    @pytest.fixture(autouse=True)
    def _make_engine(self, make_engine):
        self._make = make_engine

    def engine(self):
        return self._make()


def spec(rows, **settings):
    values = {"n_epochs": 2, "batch_size": 4, "seed": 1, "options": {"learning_rate": 0.01}}
    return TrainingSpec("chat", rows, **values | settings)


async def follow(run, after=0):
    steps = []
    while True:
        progress = await run.poll(after + len(steps))
        steps += progress.steps
        if progress.is_finished:
            return steps


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_training_whose_process_dies_continues(make_engine, rows, tmp_path, backend):
    async def main():
        engine = make_engine()
        run = await (await engine.open("tiny")).train(spec(rows, n_epochs=6), tmp_path / "run")
        await run.start()
        first = (await run.poll(0)).steps
        os.killpg(run._process.pid, 9)
        steps = [*first, *await follow(run, len(first))]
        await engine.aclose()
        assert [step.step for step in steps] == list(range(1, 31))

    anyio.run(main, backend=backend)


def test_a_training_that_dies_again_and_again_fails_with_its_output(make_engine, rows, tmp_path):
    program = "import sys; sys.exit('no memory left')"
    engine = make_engine(train_command=(sys.executable, "-c", program))

    async def main():
        run = await (await engine.open("tiny")).train(spec(rows), tmp_path / "run")
        await run.start()
        with pytest.raises(EngineError, match="died 3 times without a new checkpoint") as caught:
            await follow(run)
        assert "no memory left" in caught.value.message

    anyio.run(main)


def test_no_process_outlives_the_one_that_started_it(make_engine, tiny, rows, tmp_path):
    """Whatever kills it: its pipes are closed by the system."""
    command = make_engine()._train_command
    program = f"""
import anyio, json, sys, time
from pathlib import Path
from tunesmith.service.engines import GenerationSpec, TrainingSpec
from tunesmith.service.engines.transformers.engine import TransformersEngine

async def main():
    engine = TransformersEngine({{"tiny": Path({str(tiny)!r})}}, train_command={command!r})
    model = await engine.open("tiny")
    spec = TrainingSpec("chat", json.loads(sys.argv[1]), n_epochs=100000, batch_size=1)
    run = await model.train(spec, Path({str(tmp_path / "run")!r}))
    await run.start()
    await run.poll(0)
    generation = model.generate([60], GenerationSpec(max_tokens=1))
    async for token in generation:
        pass
    assert "torch" not in sys.modules
    processes = [run._process.pid, engine._samplers[Path({str(tiny)!r}).resolve()]._process.pid]
    print(json.dumps(processes), flush=True)
    await anyio.sleep(1000)

anyio.run(main)
"""
    command = [sys.executable, "-c", program, json.dumps(rows)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        processes = json.loads(server.stdout.readline())
        server.kill()
    for pid in processes:
        deadline = time.monotonic() + 60
        while is_alive(pid):
            assert time.monotonic() < deadline
            select.select([], [], [], 0.02)


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_options_of_a_tuned_model_that_cannot_change_are_refused(make_engine, rows, tmp_path):
    async def main():
        engine = make_engine()
        (tmp_path / "tuned").mkdir()
        (tmp_path / "tuned" / "adapter_config.json").write_text("{}")
        model = await engine.open("tiny", tmp_path / "tuned")
        with pytest.raises(EngineError, match="'lora_rank' of a tuned model cannot be changed"):
            await model.train(spec(rows, options={"lora_rank": 4}), tmp_path / "run")

    anyio.run(main)


def test_a_sampler_that_dies_fails_its_requests_and_is_started_again(make_engine):
    async def main():
        engine = make_engine()
        model = await engine.open("gpt-4o-mini")
        settings = GenerationSpec(temperature=0, logit_bias={256: -100, 258: -100})
        generation = model.generate([60], GenerationSpec(max_tokens=None, seed=1))
        await anext(generation)
        [sampler] = engine._samplers.values()
        sampler._process.kill()
        with pytest.raises(EngineError, match=r"the sampler of .* has died"):
            async for _ in generation:
                pass
        await generation.aclose()
        tokens = [token async for token in model.generate([60], settings)]
        assert len(tokens) == 16
        await engine.aclose()

    anyio.run(main)


def test_embeddings_are_unit_vectors_of_the_asked_dimensions(make_engine):
    async def main():
        engine = make_engine()
        assert engine.models[0].dimensions == 32
        model = await engine.open("tiny")
        whole, short = [await model.embed("Kant", dimensions=n) for n in (32, 8)]
        await engine.aclose()
        assert [len(whole), len(short)] == [32, 8]
        assert [math.hypot(*whole), math.hypot(*short)] == pytest.approx([1, 1])
        assert short[0] / short[1] == pytest.approx(whole[0] / whole[1])

    anyio.run(main)


def test_a_model_without_a_chat_template_only_completes(tiny, tmp_path):
    [chat] = TransformersEngine({"tiny": tiny}).models
    assert chat.abilities >= {"chat", "responses", "dpo", "reinforcement", "supervised", "legacy"}
    shutil.copytree(tiny, tmp_path / "base")
    (tmp_path / "base" / "chat_template.jinja").unlink()
    [base] = TransformersEngine({"base": tmp_path / "base"}).models
    assert base.abilities == {"completions", "embeddings", "supervised", "legacy"}


def write_tuned(base, folder, seed=None):
    """Write whole weights, or with a seed an adapter with a visible effect."""
    import peft
    import torch
    import transformers

    shutil.copytree(base, folder, ignore=shutil.ignore_patterns("*.safetensors", "adapter_*"))
    model = transformers.AutoModelForCausalLM.from_pretrained(base)
    if seed is None:
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(-1)
    else:
        torch.manual_seed(seed)
        config = peft.LoraConfig(r=4, target_modules=["q_proj"], init_lora_weights=False)
        model = peft.get_peft_model(model, config)
    model.save_pretrained(folder)
    return folder


async def greedy(model):
    settings = GenerationSpec(temperature=0, max_tokens=6, logit_bias={256: -100, 258: -100})
    generation = model.generate([60, 61, 62], settings)
    return [token.token.id async for token in generation]


def test_an_adapter_on_whole_tuned_weights_is_used_with_them(make_engine, tiny, tmp_path):
    """Also after the folder of the state was moved, and never without them."""
    import peft
    import transformers

    whole = write_tuned(tiny, tmp_path / "old" / "ft--tiny--personal--whole")
    write_tuned(whole, tmp_path / "old" / "ft--tiny--personal--tuned", seed=3)
    shutil.move(tmp_path / "old", tmp_path / "new")
    adapter = tmp_path / "new" / "ft--tiny--personal--tuned"

    async def main():
        engine = make_engine()
        tokens = await greedy(await engine.open("tiny", adapter))
        shutil.rmtree(tmp_path / "new" / "ft--tiny--personal--whole")
        with pytest.raises(EngineError, match="ft--tiny--personal--whole has no config"):
            await engine.open("tiny", adapter)
        await engine.aclose()
        return tokens

    shutil.copytree(tmp_path / "new" / whole.name, tmp_path / "copy")
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "copy")
    model = peft.PeftModel.from_pretrained(model, adapter)
    import torch

    ids = torch.tensor([[60, 61, 62]])
    output = model.generate(
        input_ids=ids, max_new_tokens=6, do_sample=False, suppress_tokens=[256, 258], pad_token_id=0
    )
    assert anyio.run(main) == output[0, 3:].tolist()


@pytest.mark.parametrize("revision", [None, "0" * 40])
def test_a_base_model_may_be_named_like_a_tuned_one(tiny, tmp_path, revision):
    base, adapter = tmp_path / "ft-tiny", tmp_path / "adapter"
    shutil.copytree(tiny, base)
    adapter.mkdir()
    source = str(base) if revision is None else "org/ft-other"
    config = {"base_model_name_or_path": source, "revision": revision}
    (adapter / "adapter_config.json").write_text(json.dumps(config))
    assert anyio.run(TransformersEngine({"x": base}).open, "x", adapter)


def test_a_tuned_model_is_trained_further_with_its_own_shape(make_engine, tiny, rows, tmp_path):
    """The resolved options, which the job shows, are accepted when the service is opened again."""
    adapter = write_tuned(tiny, tmp_path / "tuned", seed=1)

    async def main():
        model = await make_engine().open("tiny", adapter)
        first = await model.train(spec(rows), tmp_path / "run")
        options = json.loads(json.dumps(dict(first.hyperparameters.options)))
        again = await model.train(spec(rows, options=options), tmp_path / "run")
        return first.hyperparameters, again.hyperparameters

    first, again = anyio.run(main)
    assert (first.options["lora_rank"], first.options["target_modules"]) == (4, ("q_proj",))
    assert first == again


def test_early_stopping_without_a_validation_file_is_refused(make_engine, rows, tmp_path):
    async def main():
        model = await make_engine().open("tiny")
        options = {"early_stopping_patience": 1}
        with pytest.raises(EngineError, match="needs validation rows") as caught:
            await model.train(spec(rows, options=options), tmp_path / "run")
        assert caught.value.param == "tunesmith.early_stopping_patience"

    anyio.run(main)


def test_requests_of_a_dead_sampler_fail_though_others_start_it_again(make_engine):
    async def main():
        model = await make_engine().open("tiny")
        first = model.generate([60], GenerationSpec(max_tokens=None, seed=1))
        await anext(first)
        [sampler] = model._processes._samplers.values()
        process = sampler._process
        async with anyio.create_task_group() as tasks:

            async def wait():
                with pytest.raises(EngineError, match="has died"):
                    async for _ in first:
                        pass

            tasks.start_soon(wait)
            await anyio.lowlevel.checkpoint()
            process.kill()
            process.wait()
            assert len(await greedy(model)) == 6
        await model._processes.aclose()

    anyio.run(main)


def test_a_model_may_have_more_logits_than_tokens(tiny, start_warm, tmp_path):
    """As plain transformers do, a chosen id without a token adds no text."""
    import transformers

    shutil.copytree(tiny, tmp_path / "padded")
    model = transformers.AutoModelForCausalLM.from_pretrained(tiny)
    model.resize_token_embeddings(320, mean_resizing=False)
    model.save_pretrained(tmp_path / "padded")

    async def main():
        engine = TransformersEngine({"padded": tmp_path / "padded"})
        model = await engine.open("padded")
        generation = model.generate([60], GenerationSpec(logit_bias={300: 100}, max_tokens=3))
        tokens = [token async for token in generation]
        await engine.aclose()
        assert [(token.token.id, token.text) for token in tokens] == [(300, "")] * 3
        with pytest.raises(ValueError, match="not in the vocabulary"):
            model.tokenizer.decode([300])

    anyio.run(main)


def test_folders_without_a_model_are_refused(tmp_path, make_tokenizer):
    with pytest.raises(EngineError, match=r"has no config\.json"):
        TransformersEngine({"x": tmp_path})
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").touch()
    with pytest.raises(EngineError, match=r"has no \.safetensors file"):
        TransformersEngine({"x": tmp_path})
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(EngineError, match=r"has no tokenizer\.json"):
        TransformersEngine({"x": tmp_path})
    make_tokenizer(special_tokens=("<pad>",), stop=()).path.rename(tmp_path / "tokenizer.json")
    with pytest.raises(EngineError, match="does not define an eos_token"):
        TransformersEngine({"x": tmp_path})
    with pytest.raises(EngineError, match="cannot name 'b' 'a'"):
        TransformersEngine({}, aliases={"a": "b"})


@pytest.mark.anyio
async def test_rows_are_split_into_the_tokens_that_are_learnt(tiny):
    """The playground shows them before a training."""
    model = await TransformersEngine({"tiny": tiny}).open("tiny")
    messages = [{"role": "user", "content": "1 + 1"}, {"role": "assistant", "content": "2"}]
    (tokens,) = model.learned_tokens({"messages": messages}, "chat")
    assert "".join(text for text, is_learned in tokens if is_learned) == "2<|im_end|>"
    assert "".join(text for text, _ in tokens).startswith("<|im_start|>user\n1 + 1<|im_end|>")
