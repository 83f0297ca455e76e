"""Models of the Hugging Face hub are downloaded to its cache, once."""

import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import termios
from pathlib import Path

import anyio
import pytest

pytest.importorskip("torch", reason="needs tunesmith[train]")
pytest.importorskip("huggingface_hub", reason="needs tunesmith[train]")
CliRunner = pytest.importorskip("click.testing").CliRunner

from tests.train.fake_hub import TOKEN, serving_hub

from tunesmith import AsyncClient
from tunesmith.cli.app import app
from tunesmith.service.engines import EngineError, TrainingSpec
from tunesmith.service.engines.transformers import hub as hub_module
from tunesmith.service.engines.transformers.engine import TransformersEngine
from tunesmith.service.engines.transformers.hub import find_hub_commit, resolve_model

FILES = {"config.json": b"{}", "tokenizer.json": b"[]", "model.safetensors": b"weights" * 1000}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning"),
]


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub with a model, and an empty cache."""
    for name in ("HF_HUB_OFFLINE", "HF_TOKEN", "HF_HUB_CACHE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    with serving_hub() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        hub.commit = hub.add("org/tiny", FILES)
        yield hub


def start(source, **settings):
    """Resolve a model in another process."""
    program = (
        "import sys; from tunesmith.service.engines.transformers.hub import resolve_model; "
        "print(resolve_model(sys.argv[1]))"
    )
    return subprocess.Popen([sys.executable, "-c", program, source], **settings)


def test_only_the_files_that_are_needed_are_downloaded(hub):
    files = {
        **FILES,
        "chat_template.jinja": b"",
        "generation_config.json": b"{}",
        "pytorch_model.bin": b"pickle",
        "modeling.py": b"code",
        "README.md": b"",
        "adapter_config.json": b"{}",
        "consolidated.safetensors": b"the same weights",
        "onnx/config.json": b"{}",
    }
    hub.add("org/more", files)
    folder = resolve_model("org/more")
    assert sorted(path.name for path in folder.iterdir()) == [
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
    ]
    assert (folder / "model.safetensors").read_bytes() == FILES["model.safetensors"]


def test_a_cached_model_keeps_its_commit_and_needs_no_network(hub, monkeypatch):
    folder = resolve_model("org/tiny")
    assert hub.sent_files == len(FILES)
    hub.add("org/tiny", {**FILES, "config.json": b'{"v": 2}'})
    hub.requests.clear()
    assert folder == resolve_model("org/tiny")  # tuned models need the commit that they are of
    assert not any("org/tiny" in path for _, path in hub.requests)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    hub.requests.clear()
    assert folder == resolve_model("org/tiny") == resolve_model(f"org/tiny@{hub.commit}")
    assert hub.requests == []


def test_a_revision_is_a_branch_or_a_commit(hub):
    commit = hub.add("org/tiny", {**FILES, "config.json": b'{"v": 2}'}, branch="v2")
    assert find_hub_commit(resolve_model("org/tiny")) == ("org/tiny", hub.commit)
    assert find_hub_commit(resolve_model("org/tiny@v2")) == ("org/tiny", commit)
    assert find_hub_commit(resolve_model(f"org/tiny@{commit}")) == ("org/tiny", commit)


def test_an_existing_folder_is_preferred(hub, tmp_path):
    (tmp_path / "org" / "tiny").mkdir(parents=True)
    folder = resolve_model("org/tiny")
    assert (tmp_path / folder).samefile(tmp_path / "org" / "tiny")
    assert find_hub_commit(folder.absolute()) is None
    assert hub.requests == []


@pytest.mark.parametrize("source", ["./modles/x", "/modles/x", "../x", "a/b/c", "gpt2", "~/modles"])
def test_a_mistyped_path_is_a_missing_folder(hub, source):
    with pytest.raises(
        EngineError, match=r"folder /.* does not exist; give the folder .*or the id"
    ):
        resolve_model(source)
    with pytest.raises(EngineError, match="model 'x': folder /"):
        TransformersEngine({"x": source})
    assert hub.requests == []


OFFLINE = {"HF_HUB_OFFLINE": "1"}
UNREACHABLE = {"HF_ENDPOINT": "http://user:pass@127.0.0.1:9"}


@pytest.mark.parametrize(("source", "environment", "message"), [
    ("org/none", {}, "org/none is neither a folder nor a model on 127.0.0.1:PORT, unless it is"),
    ("org/none", OFFLINE, "not in the cache HOME/hub, and HF_HUB_OFFLINE forbids to download it"),
    ("org/none", UNREACHABLE, "127.0.0.1:9 cannot be reached: [Errno 111] Connection refused"),
    ("org/tiny@v9", {}, "org/tiny has no revision 'v9' on 127.0.0.1:PORT"),
    ("org/gated", {}, "is gated; accept its licence at 127.0.0.1:PORT/org/gated, and set HF_TOKEN"),
    ("org/gated", {"HF_TOKEN": "hf_other"}, "is gated; accept its licence"),
    ("org/pickle", {}, "org/pickle has no .safetensors files, and pickles are never loaded"),
    ("org/a--b", {}, "org/a--b is neither a folder nor a valid id of a model on the hub: Cannot"),
    ("org/tiny", {"HF_HOME": "/proc/none"}, "cannot be stored in the cache /proc/none/hub:"),
])  # fmt: skip
def test_errors_say_what_is_wrong_and_how_to_fix_it(
    hub, tmp_path, monkeypatch, capfd, source, environment, message
):
    hub.add("org/gated", FILES)
    hub.gated.add("org/gated")
    hub.add("org/pickle", {"config.json": b"{}", "pytorch_model.bin": b"pickle"})
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(EngineError) as caught:
        resolve_model(source)
    text = str(caught.value).replace(str(tmp_path / "home"), "HOME")
    assert message in text.replace(hub.url.rpartition(":")[2], "PORT")
    assert "\n" not in text
    assert not any(secret in text for secret in ("pass", "hf_other"))
    assert "Traceback" not in capfd.readouterr().err


def test_a_failed_download_is_not_wrong_usage(hub):
    models = ["--engine", "transformers", "--model", "x=org/none"]
    result = CliRunner().invoke(app, ["serve", "--port", "0", *models])
    assert result.exit_code == 1
    assert "model 'x': org/none is neither a folder nor a model" in " ".join(result.stderr.split())


def test_a_full_disk_is_an_error_that_names_the_cache(hub, tmp_path):
    program = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (6000, 6000)); "
        "from tunesmith.service.engines.transformers.hub import resolve_model; "
        "resolve_model('org/tiny')"
    )
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    cache = tmp_path / "home" / "hub"
    assert f"org/tiny cannot be stored in the cache {cache}: [Errno 27]" in done.stderr
    assert list(cache.rglob("*.incomplete")) == []


def test_the_library_comes_with_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(EngineError, match=r"hub need an extra: pip install 'tunesmith\[train\]'"):
        hub_module._download("org/tiny")


def test_errors_of_the_library_show_no_token(monkeypatch):
    import huggingface_hub

    def fail(*_, **__):
        raise RuntimeError(f"Illegal header value b'Bearer {TOKEN}'")

    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    with pytest.raises(EngineError) as caught:
        hub_module._download("org/tiny")
    assert str(caught.value) == (
        "the download of org/tiny failed: Illegal header value b'Bearer …'; "
        "try again: complete files are kept"
    )


def test_a_gated_model_is_downloaded_with_a_token_that_only_the_hub_gets(hub, monkeypatch):
    hub.gated.add("org/tiny")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert (resolve_model("org/tiny") / "model.safetensors").exists()
    assert hub.authorizations["hub"] >= {f"Bearer {TOKEN}"}
    assert hub.authorizations["storage"] == {None}


def serve(state, source, **settings):
    """Serve a model of the hub."""
    command = [sys.executable, "-m", "tunesmith", "serve", "--port", "0", "--state", str(state)]
    command += ["--engine", "transformers", "--model", f"smol={source}", "--as", "gpt-4o-mini=smol"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **settings)


def wait_for(condition, process):
    while not condition():
        assert process.poll() is None
        select.select([], [], [], 0.02)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_download_leaves_only_complete_files_and_continues(hub, tmp_path, number):
    cache = tmp_path / "home" / "hub"
    hub.can_send_large_files.clear()
    with serve(tmp_path / "state", "org/tiny", stderr=subprocess.PIPE) as process:
        wait_for(lambda: len(list(cache.glob("*/snapshots/*/*"))) == len(FILES) - 1, process)
        wait_for(lambda: list(cache.rglob("*.incomplete")), process)
        process.send_signal(number)
        output, errors = process.communicate(timeout=20)  # the pipes close with the last process
    assert output == ""
    assert "Traceback" not in errors
    if number == signal.SIGINT:
        assert process.returncode == 1
        assert "the same command continues a download with the missing files" in " ".join(
            errors.split()
        )
    assert list(cache.rglob("*.incomplete")) == []
    hub.can_send_large_files.set()
    hub.requests.clear()
    assert (resolve_model("org/tiny") / "model.safetensors").exists()
    assert hub.sent_files == 1


def test_progress_is_shown_in_a_terminal_only(hub):
    done = start("org/tiny", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    folder, errors = done.communicate()
    assert (folder.decode().strip().endswith(hub.commit), errors) == (True, b"")
    hub.add("org/other", FILES)
    terminal, end = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 80))
    with start("org/other", stdout=subprocess.PIPE, stderr=end) as process:
        os.close(end)
        process.wait()
    assert b"Fetching 3 files" in os.read(terminal, 1 << 16)
    os.close(terminal)


@pytest.fixture
def tiny_files(tiny):
    """Contents of the files of the tiny model."""
    return {path.name: path.read_bytes() for path in tiny.iterdir()}


def test_a_tuned_model_is_not_used_with_another_commit_of_its_base(hub, tiny_files, tmp_path):
    commit = hub.add("org/model", tiny_files)
    engine = TransformersEngine({"smol": "org/model"}, aliases={"gpt-4o-mini": "smol"})
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    config = {"base_model_name_or_path": "org/model", "revision": commit}
    (adapter / "adapter_config.json").write_text(json.dumps(config))
    assert anyio.run(engine.open, "gpt-4o-mini", adapter)
    (adapter / "adapter_config.json").write_text(json.dumps({**config, "revision": "0" * 40}))
    with pytest.raises(EngineError) as caught:
        anyio.run(engine.open, "smol", adapter)
    assert str(caught.value) == (
        f"the weights were trained from org/model@{'0' * 40}, but the base model is "
        f"org/model@{commit}; serve that commit: --model NAME=org/model@{'0' * 40}"
    )


def test_a_job_is_not_continued_on_another_commit_of_its_base(hub, tiny_files, rows, tmp_path):
    async def prepare(source):
        model = await TransformersEngine({"smol": source}).open("smol")
        await model.train(TrainingSpec("chat", rows, n_epochs=1), tmp_path / "job")

    first = hub.add("org/model", tiny_files)
    second = hub.add("org/model", {**tiny_files, "extra.json": b"{}"})
    anyio.run(prepare, f"org/model@{first}")
    anyio.run(prepare, f"org/model@{first}")
    with pytest.raises(
        EngineError, match=f"trained from org/model@{first}, but .*@{second}; serve"
    ):
        anyio.run(prepare, "org/model")


def test_checkpoints_do_not_look_for_their_base_on_the_hub(tiny, tmp_path):
    """The library does so for adapters that name an id."""
    import peft
    import torch
    import transformers

    from tunesmith.service.engines.transformers.job import TrainJob
    from tunesmith.train.weights import load_for_training

    model = transformers.AutoModelForCausalLM.from_pretrained(tiny)
    config = peft.LoraConfig(r=2, task_type="CAUSAL_LM", target_modules="all-linear")
    peft.get_peft_model(model, config).save_pretrained(tmp_path)
    values = json.loads((tmp_path / "adapter_config.json").read_text())
    values |= {"base_model_name_or_path": "org/tiny", "revision": "0" * 40}
    (tmp_path / "adapter_config.json").write_text(json.dumps(values))
    job = TrainJob(base=str(tiny), format="chat", adapter=str(tmp_path))
    loaded = load_for_training(job, torch.device("cpu"))
    assert loaded.peft_config["default"].base_model_name_or_path == str(tiny)


def test_a_served_job_needs_the_hub_only_at_the_first_start(hub, tiny_files, rows, tmp_path):
    commit = hub.add("org/model", tiny_files)
    state = tmp_path / "state"
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()

    async def create(client):
        file = await client.files.create(file=("a.jsonl", content), purpose="fine-tune")
        return await client.fine_tuning.jobs.create(
            model="gpt-4o-mini",
            training_file=file.id,
            hyperparameters={"n_epochs": 12},
            extra_body={"tunesmith": {"learning_rate": 0.02, "save_every_s": 0}},
        )

    async def use(client, job):
        job = await client.fine_tuning.jobs.wait(job.id)
        reply = await client.chat.completions.create(
            model=job.fine_tuned_model,
            messages=[{"role": "user", "content": "3 + 1"}],
            temperature=0,
            max_tokens=4,
        )
        return job.fine_tuned_model, reply.choices[0].message.content

    def call(function, server, *arguments):
        url = re.search(r"http\S+", server.stdout.readline())[0]
        requests = list(hub.requests)

        async def main():
            async with AsyncClient(base_url=url, api_key="any") as client:
                return await function(client, *arguments)

        result = anyio.run(main)
        assert hub.requests == requests
        return result

    with serve(state, "org/model") as server:
        job = call(create, server)
        memory = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{server.pid}/status").read_text())[1]
        assert int(memory) <= 120 * 1024
        while not list(state.glob("**/checkpoint-*/progress.json")):
            assert server.poll() is None
            select.select([], [], [], 0.1)
        server.kill()
    hub.requests.clear()
    with serve(state, "org/model", env={**os.environ, "HF_HUB_OFFLINE": "1"}) as server:
        name, _ = call(use, server, job)
        server.kill()
    assert hub.requests == []
    target = tmp_path / "adapter"
    download = ["--state", str(state), "models", "download", name]
    assert CliRunner().invoke(app, [*download, "--to", str(target)]).exit_code == 0
    config = json.loads((target / "adapter_config.json").read_text())
    assert (config["base_model_name_or_path"], config["revision"]) == ("org/model", commit)
    result = CliRunner().invoke(app, [*download, "--to", str(tmp_path / "merged"), "--merged"])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "merged" / "model.safetensors").exists()
    shutil.rmtree(tmp_path / "home")
    hub.repositories.clear()
    result = CliRunner().invoke(app, [*download, "--to", str(tmp_path / "none"), "--merged"])
    assert result.exit_code == 1
    assert "is neither a folder nor a model" in " ".join(result.output.split())
