"""A trainer turns the files of a folder into steps and checkpoints."""

import json
import math
import os
import re
import select
import shutil
import signal
import socket
import subprocess

import pytest

torch = pytest.importorskip("torch", reason="needs tunesmith[train]")
transformers = pytest.importorskip("transformers", reason="needs tunesmith[train]")
peft = pytest.importorskip("peft", reason="needs tunesmith[train]")

from tunesmith.service.engines.transformers.folder import JobFolder
from tunesmith.service.engines.transformers.job import InvalidJobError
from tunesmith.service.engines.transformers.tokenizer import ModelTokenizer
from tunesmith.train.run import train_folder

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings(
        "ignore::FutureWarning", "ignore::DeprecationWarning", "ignore:fan_in_fan_out"
    ),
]


def losses(steps):
    return [step["train"]["loss"] for step in steps]


def adapter_bytes(folder, step):
    return (folder / f"checkpoint-{step}" / "adapter_model.safetensors").read_bytes()


def test_each_step_is_recorded_and_each_epoch_is_a_checkpoint(make_job, read_steps, rows):
    folder = make_job(validation=rows[:6])
    assert train_folder(folder)
    steps = read_steps(folder)
    assert [step["step"] for step in steps] == list(range(1, 16))
    assert [step["epoch"] for step in steps] == [1] * 5 + [2] * 5 + [3] * 5
    assert [step["step"] for step in steps if step["is_checkpoint"]] == [5, 10, 15]
    assert [step["step"] for step in steps if step["full_valid"]] == [5, 10, 15]
    assert steps[-1]["elapsed_examples"] == 60
    assert losses(steps)[-1] < losses(steps)[0]
    assert json.loads((folder / "end.json").read_text()) == {"error": None}
    assert (folder / "checkpoint-15" / "adapter_config.json").exists()


def test_the_loss_is_that_of_transformers_on_the_learned_tokens(make_job, read_steps, rows, tiny):
    folder = make_job(batch_size=len(rows), n_epochs=1)
    train_folder(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(tiny)
    tokenizer = ModelTokenizer(tiny)
    total, n = 0.0, 0
    for row in rows:
        prompt = tokenizer.encode_chat(row["messages"][:1])
        answer = tokenizer.encode_rendered(row["messages"][1]["content"] + "<|im_end|>")
        labels = torch.tensor([[-100] * len(prompt) + answer])
        loss = model(torch.tensor([prompt + answer]), labels=labels).loss.detach()
        total, n = total + float(loss) * len(answer), n + len(answer)
    assert losses(read_steps(folder)) == [pytest.approx(total / n, rel=1e-4)]


@pytest.mark.parametrize("options", [{"packing": True}, {"micro_batch_tokens": 50}], ids=str)
def test_the_layout_of_batches_does_not_change_losses(make_job, read_steps, options):
    folders = make_job("whole"), make_job("split", options=options)
    for folder in folders:
        train_folder(folder)
    whole, split = (losses(read_steps(folder)) for folder in folders)
    assert split == pytest.approx(whole, rel=1e-4)


def test_an_interrupted_training_continues_to_the_same_bytes(make_job, read_steps, monkeypatch):
    undisturbed, crashed = make_job("undisturbed"), make_job("crashed", options={"save_every_s": 0})
    train_folder(undisturbed)

    append, stops = JobFolder.append_step, iter([3, 3, 8, 12])
    stop = next(stops)

    def crash(self, step):
        nonlocal stop
        if step["step"] == stop:
            stop = next(stops, None)
            with self.steps.open("a") as file:
                file.write('{"step": ')  # the process dies while it writes
            raise RuntimeError("crash")
        append(self, step)

    monkeypatch.setattr(JobFolder, "append_step", crash)
    for _ in range(4):
        with pytest.raises(RuntimeError, match="crash"):
            train_folder(crashed)
    assert train_folder(crashed)
    assert read_steps(crashed) == read_steps(undisturbed)
    assert adapter_bytes(crashed, 15) == adapter_bytes(undisturbed, 15)


def test_validation_that_stops_improving_ends_the_training(make_job, read_steps, rows):
    options = {"early_stopping_patience": 1, "learning_rate": 0}
    folder = make_job(validation=rows[:4], n_epochs=9, options=options)
    assert train_folder(folder)
    assert read_steps(folder)[-1]["step"] == 10  # the second epoch did not improve


def test_whole_weights_are_trained_on_request(make_job, read_steps, tiny):
    folder = make_job(options={"full": True, "learning_rate": 0.003})
    train_folder(folder)
    steps = read_steps(folder)
    assert losses(steps)[-1] < losses(steps)[0] - 0.5
    tuned = transformers.AutoModelForCausalLM.from_pretrained(folder / "checkpoint-15")
    base = transformers.AutoModelForCausalLM.from_pretrained(tiny)
    assert not torch.equal(tuned.lm_head.weight, base.lm_head.weight)


def test_an_adapter_is_trained_further(make_job, read_steps):
    first = make_job("first")
    train_folder(first)
    second = make_job("second", adapter=str(first / "checkpoint-15"))
    train_folder(second)
    assert losses(read_steps(second))[0] < losses(read_steps(first))[0] - 0.2


def test_a_row_without_a_token_to_learn_is_named(make_job, rows):
    long = {"messages": [{"role": "user", "content": "x" * 600}, rows[0]["messages"][1]]}
    folder = make_job(rows=[*rows, long])
    with pytest.raises(InvalidJobError, match=r"train.jsonl: example 21 has no token to learn"):
        train_folder(folder)


def pair(number):
    return {
        "input": {"messages": [{"role": "user", "content": f"{number}"}]},
        "preferred_output": [{"role": "assistant", "content": "yes"}],
        "non_preferred_output": [{"role": "assistant", "content": "no"}],
    }


def test_the_loss_of_preferences_is_that_of_the_paper(make_job, read_steps, tiny):
    """The same as TRL's: -log sigmoid(beta * (policy's margin - reference's margin))."""
    pairs = [pair(number) for number in range(6)]
    folder = make_job(
        rows=pairs, format="dpo", n_epochs=2, batch_size=6, beta=0.3, options={"save_every_s": 0}
    )
    train_folder(folder)
    first, second = losses(read_steps(folder))
    assert first == pytest.approx(0.693147, abs=1e-5)  # the weights are still those of the base
    tokenizer = ModelTokenizer(tiny)
    reference = transformers.AutoModelForCausalLM.from_pretrained(tiny)
    policy = peft.PeftModel.from_pretrained(
        transformers.AutoModelForCausalLM.from_pretrained(tiny), folder / "checkpoint-1"
    )

    def logprob(model, row, answer):
        prompt = tokenizer.encode_chat(row["input"]["messages"])
        tokens = tokenizer.encode_rendered(row[answer][0]["content"] + "<|im_end|>")
        with torch.no_grad():
            logits = model(torch.tensor([prompt + tokens])).logits[0].log_softmax(-1)
        return sum(float(logits[len(prompt) - 1 + i, t]) for i, t in enumerate(tokens))

    total = 0.0
    for row in pairs:
        policy_margin, reference_margin = (
            logprob(model, row, "preferred_output") - logprob(model, row, "non_preferred_output")
            for model in (policy, reference)
        )
        total += math.log1p(math.exp(-0.3 * (policy_margin - reference_margin)))
    assert second == pytest.approx(total / len(pairs), rel=1e-4)
    assert second < first


def test_reinforcement_raises_the_reward(make_job, read_steps):
    grader = {
        "type": "string_check",
        "name": "has an a",
        "input": "{{sample.output_text}}",
        "operation": "like",
        "reference": "a",
    }
    prompts = [{"messages": [{"role": "user", "content": f"{number}"}]} for number in range(8)]
    options = {"n_samples": 16, "max_sample_tokens": 6, "full": True, "warmup": 0}
    folder = make_job(
        rows=prompts, format="reinforcement", grader=grader, n_epochs=12, options=options
    )
    train_folder(folder)
    rewards = [step["train"]["mean_reward"] for step in read_steps(folder)]
    assert sum(rewards[-4:]) / 4 > sum(rewards[:4]) / 4 + 0.3
    last = read_steps(folder)[-1]["train"]
    assert last["loss"] == pytest.approx(1 - last["mean_reward"])


def test_an_interrupted_reinforcement_continues_to_the_same_bytes(make_job, monkeypatch):
    settings = {
        "rows": [{"messages": [{"role": "user", "content": f"{n}"}]} for n in range(8)],
        "format": "reinforcement",
        "grader": {
            "type": "text_similarity",
            "name": "close",
            "input": "{{sample.output_text}}",
            "reference": "aaaa",
            "evaluation_metric": "fuzzy_match",
        },
        "options": {"n_samples": 4, "max_sample_tokens": 4, "save_every_s": 0},
    }
    undisturbed, stopped = make_job("undisturbed", **settings), make_job("stopped", **settings)
    train_folder(undisturbed)
    append = JobFolder.append_step

    def stop(self, step):
        append(self, step)
        if step["step"] == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(JobFolder, "append_step", stop)
    assert not train_folder(stopped)
    assert train_folder(stopped)
    assert adapter_bytes(stopped, 6) == adapter_bytes(undisturbed, 6)


@pytest.mark.parametrize(
    "options", [{"learning_rate": 1e30}, {"learning_rate": 1e30, "full": True}]
)
def test_a_training_that_diverges_fails(make_job, options):
    with pytest.raises(InvalidJobError, match=r"the training diverged.*lower the learning rate"):
        train_folder(make_job(options=options))


def test_weights_that_diverge_in_the_last_step_are_noticed(make_job, rows):
    folder = make_job(n_epochs=1, batch_size=len(rows), options={"learning_rate": 1e30})
    with pytest.raises(InvalidJobError, match="outputs after step 1 are not numbers"):
        train_folder(folder)
    assert JobFolder(folder).checkpoints() == []


def test_dropout_of_a_model_does_not_change_losses(make_job, make_model, read_steps):
    base = str(make_model(transformers.GPT2Config(n_embd=32, n_layer=2, n_head=4, n_positions=128)))
    folders = [make_job(str(n), base=base, options=n) for n in ({}, {"packing": True})]
    for folder in folders:
        train_folder(folder)
    whole, packed = (losses(read_steps(folder)) for folder in folders)
    assert packed == pytest.approx(whole, rel=1e-4)


def test_packing_is_refused_where_sequences_would_be_mixed(make_job, make_model):
    base = str(make_model(transformers.BloomConfig(hidden_size=32, n_layer=2, n_head=4)))
    with pytest.raises(InvalidJobError, match="'bloom' do not support 'packing'"):
        train_folder(make_job(base=base, options={"packing": True}))


def test_models_with_a_recurrent_state_are_refused(make_job, make_model):
    base = str(make_model(transformers.MambaConfig(hidden_size=32, num_hidden_layers=2)))
    with pytest.raises(InvalidJobError, match="'mamba' are not supported"):
        train_folder(make_job(base=base, options={"full": True}))


def test_each_target_module_must_exist(make_job):
    for modules, message in ((["q_proj", "nope"], "'nope' not found"), ("([", "target_modules")):
        folder = make_job(message, options={"target_modules": modules})
        with pytest.raises(InvalidJobError, match=message):
            train_folder(folder)


def test_tokens_without_an_embedding_are_named(make_job, tiny, tmp_path):
    shutil.copytree(tiny, tmp_path / "small")
    model = transformers.AutoModelForCausalLM.from_pretrained(tiny)
    model.resize_token_embeddings(257)
    model.save_pretrained(tmp_path / "small")
    folder = make_job(base=str(tmp_path / "small"))
    with pytest.raises(InvalidJobError, match="example 1: the model has no embedding of the token"):
        train_folder(folder)


@pytest.mark.parametrize(
    ("changes", "line", "message"),
    [
        ({}, "{", "line 2 is not a JSON object"),
        ({}, "[1]", "line 2 is not a JSON object"),
        ({}, '{"messages": []}', "example 2, messages: "),
        ({}, '{"prompt": "a", "completion": " b"}', "example 2, "),
        ({"base": "/nowhere"}, "{}", "'base': /nowhere has no config.json; was the model deleted?"),
        ({"adapter": "/nowhere"}, "{}", "'adapter': /nowhere has no adapter_config.json"),
    ],
)
def test_what_is_wrong_with_a_folder_is_named(make_job, rows, changes, line, message):
    folder = make_job(rows=rows[:1], **changes)
    with (folder / "train.jsonl").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(InvalidJobError, match=re.escape(message)):
        train_folder(folder)


def test_a_failed_training_can_be_run_again(make_job):
    folder = make_job(n_epochs=1)
    JobFolder(folder).write_end("the training diverged")
    assert train_folder(folder)
    assert JobFolder(folder).read_end() is None


def graded(**grader):
    prompts = [{"messages": [{"role": "user", "content": f"{number}"}]} for number in range(4)]
    options = {"n_samples": 2, "max_sample_tokens": 4}
    return {"rows": prompts, "format": "reinforcement", "grader": grader, "options": options}


def test_a_grader_without_a_score_fails_the_training(make_job):
    check = {"type": "string_check", "name": "a", "input": "x", "operation": "eq"}
    for number, (formula, message) in enumerate(
        [("1 / a", "cannot score the answer .* has no value"), ("1e999 * (a - 1)", "not a number")]
    ):
        graders = {"a": check | {"reference": "y"}}
        job = graded(type="multi", name="m", graders=graders, calculate_output=formula)
        folder = make_job(str(number), **job)
        with pytest.raises(InvalidJobError, match=message):
            train_folder(folder)


def test_sampled_answers_stay_within_the_context_window(make_job, make_model):
    base = make_model(transformers.GPT2Config(n_embd=32, n_layer=2, n_head=4, n_positions=48))
    grader = {"type": "string_check", "name": "a", "input": "x", "operation": "eq"}
    job = graded(**grader, reference="y")
    job["options"] = {"n_samples": 2, "max_sample_tokens": 500}
    assert train_folder(make_job(base=str(base), n_epochs=1, **job))


@pytest.fixture
def start(warm_command):
    """Function that starts a trainer of a folder."""

    def start(folder, **environment):
        command = [*warm_command("tunesmith.train"), str(folder), "--stop-at-eof"]
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **environment},
        )

    return start


def wait_for_steps(folder, n):
    """Wait until a trainer has recorded some steps."""
    path = folder / "steps.jsonl"
    while not path.exists() or path.read_bytes().count(b"\n") < n:
        select.select([], [], [], 0.05)


def test_sigterm_and_a_closed_pipe_end_the_process_and_a_restart_continues(
    start, make_job, read_steps
):
    undisturbed = make_job("undisturbed", n_epochs=40)
    train_folder(undisturbed)
    folder = make_job("stopped", n_epochs=40)
    with start(folder) as process:
        wait_for_steps(folder, 3)
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 143
    reached = JobFolder(folder).checkpoints()[-1]
    assert reached == read_steps(folder)[-1]["step"]
    assert not (folder / "end.json").exists()
    with start(folder) as process:
        wait_for_steps(folder, reached + 3)
        process.stdin.close()
        assert process.wait() == 1
    with start(folder) as process:
        assert process.wait() == 0
    assert read_steps(folder) == read_steps(undisturbed)
    assert adapter_bytes(folder, 200) == adapter_bytes(undisturbed, 200)


def test_an_invalid_job_ends_with_its_error(start, make_job):
    folder = make_job(options={"target_modules": ["nothing"]})
    with start(folder) as process:
        assert process.wait() == 1
        assert b"Target modules" in process.stderr.read()
    assert "nothing" in json.loads((folder / "end.json").read_text())["error"]


@pytest.mark.parametrize("format", ["chat", "dpo"])
def test_two_processes_compute_the_same_steps_as_one(format, start, make_job, read_steps, rows):
    """As torchrun starts them; the last step of an epoch has fewer rows than processes."""
    rows = [pair(number) for number in range(9)] if format == "dpo" else rows[:9]
    settings = {"rows": rows, "validation": rows[:5], "format": format, "n_epochs": 2}
    alone, together = make_job("alone", **settings), make_job("together", **settings)
    train_folder(alone)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    environment = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    started = [start(together, RANK=rank, LOCAL_RANK=rank, **environment) for rank in "01"]
    with started[0], started[1]:
        assert [process.wait() for process in started] == [0, 0], started[0].stderr.read()
    assert len((together / "steps.jsonl").read_text().splitlines()) == 6
    for one, other in zip(read_steps(alone), read_steps(together), strict=True):
        for part in ("train", "valid", "full_valid"):
            assert other.pop(part) == pytest.approx(one.pop(part), abs=1e-4)
        assert one == other
