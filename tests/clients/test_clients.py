"""The official clients run the whole lifecycle against `tunesmith serve`, and notice nothing.

Nothing is changed but the base URL. Each lives in an environment of its own: `install` beside this
file makes them, and a client that is not installed is skipped.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

HERE = Path(__file__).parent
INSTALLED = HERE / ".installed"
LIMIT_S = 120

CLI = """
from tunesmith.cli import main
main()
"""

# What the client has in its place: it signs in at a service of others, which no test may call.
WANDB_SYNC = """
import sys
from openai.wandb_logger import WandbLogger
WandbLogger._logged_in = True
WandbLogger._get_wandb_run = classmethod(lambda cls, path: None)
print(WandbLogger.sync(id=sys.argv[1]))
"""


def installed(name, *parts):
    path = INSTALLED.joinpath(name, *parts)
    if not path.exists():
        pytest.skip(f"{name} is not installed: tests/clients/install does it")
    return path


def begin(processes, *command):
    """Start a server; return its base URL."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    processes.append(process)
    return re.search(r"http://\S+/v1", process.stdout.readline()).group()


@pytest.fixture
def serve():
    """Run `tunesmith serve`; gives the base URL."""
    processes = []
    yield lambda *options: begin(
        processes, sys.executable, "-c", CLI, "serve", "--port", "0", *options
    )
    for process in processes:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)


@pytest.fixture
def serve_reopening(tmp_path):
    """Serve a state that is reopened every second; gives the base URL."""
    processes = []
    script = HERE / "reopening.py"

    def start(speed, api_key=""):
        state = tmp_path / "state"
        return begin(processes, sys.executable, script, state, str(speed), api_key)

    yield start
    for process in processes:
        process.send_signal(signal.SIGINT)
        n_openings = int(process.communicate(timeout=30)[0])
        assert n_openings > 1


def run(*command, cwd=None, **environment):
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        cwd=cwd,
        env={**os.environ, **environment},
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def python(name):
    return [installed(name, "bin", "python"), HERE / "lifecycle.py"]


def node(script="lifecycle.mjs"):
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    installed("node", "node_modules", "openai")
    return ["node", HERE / script, INSTALLED / "node"]


CLIENTS = {
    "python-1": lambda: python("openai-1"),
    "python-2": lambda: python("openai-2"),
    "python-3": lambda: python("openai-3"),
    "node": node,
}


@pytest.mark.parametrize("client", CLIENTS)
def test_an_official_client_runs_the_whole_lifecycle(client, serve, serve_reopening):
    command = CLIENTS[client]()
    if client in {"python-1", "python-2"}:
        url = serve("--speed", "300", "--api-key", "sk-right")
    else:  # the newest ones notice nothing of a server that is restarted all the time
        url = serve_reopening(300, "sk-right")
    seen = json.loads(run(*command, OPENAI_BASE_URL=url, OPENAI_API_KEY="sk-right"))
    events = seen["events"]
    steps = [event for event in events if event.startswith("Step ")]
    assert events[0].startswith("Created fine-tuning job: ftjob-")
    assert [step.partition(":")[0] for step in steps] == [f"Step {i}/24" for i in range(1, 25)]
    assert events[-1] == "The job has successfully completed"
    assert (seen["file"][0], seen["file"][2:]) == ("file", ["fine-tune", "train.jsonl"])
    assert (seen["first_status"], seen["status"]) == ("validating_files", "succeeded")
    assert seen["checkpoints"] == [24, 12]
    assert seen["chat"] == seen["chat_bits"] == "6, as always."
    assert seen["completion"] == seen["completion_bits"]
    assert (seen["embedding"], seen["moderation"], seen["cancelled"]) == (8, False, "cancelled")
    assert seen["batch"] == ["completed", 1, 200]
    assert seen["no_such_job"] == ["NotFoundError", 404, "fine_tune_not_found", True]
    assert seen["no_such_model"] == ["NotFoundError", 404, "model_not_found", True]
    assert seen["bad_parameter"] == ["BadRequestError", 400, None, True]
    assert seen["base_model"] == ["PermissionDeniedError", 403, None, True]
    assert seen["no_key"] == ["AuthenticationError", 401, "invalid_api_key", True]
    for name in (
        "content", "deleted", "event_ids", "files", "jobs", "among_models", "model", "results",
        "tuned", "upload",
    ):  # fmt: skip
        assert seen[name] in (True, [True, True]), name


@pytest.fixture
def training_file(tmp_path):
    path = tmp_path / "train.jsonl"
    with path.open("w") as lines:
        for i in range(12):
            pair = {"prompt": f"What is {i} plus {i}? ->", "completion": f" {2 * i}. END"}
            lines.write(json.dumps(pair) + "\n")
    return path


class Old:
    """The package `openai` of version 0.28.1, which is configured otherwise."""

    def __init__(self, url, folder):
        self.url = url
        self.folder = folder
        self.environment = {
            "OPENAI_API_BASE": url,
            "OPENAI_API_KEY": "sk-any",
            "WANDB_BASE_URL": "http://127.0.0.1:9",
            "WANDB_DIR": str(folder),
            "WANDB_ERROR_REPORTING": "false",
            "WANDB_MODE": "offline",
            "WANDB_SILENT": "true",
        }

    def api(self, *arguments):
        return self.run(installed("openai-0", "bin", "openai"), "api", *arguments)

    def run(self, *command):
        return run(*command, cwd=self.folder, **self.environment)


@pytest.fixture
def old(serve_reopening, tmp_path):
    return Old(serve_reopening(3000), tmp_path)


def test_the_old_command_line_creates_follows_completes_and_reads_results(old, training_file):
    said = old.api("fine_tunes.create", "-t", training_file.name, "-m", "ada")
    fine_tune = re.search(r"Created fine-tune: (ft-\w+)", said).group(1)
    model = re.search(r"Uploaded model: (\S+)", said).group(1)
    for expected in (
        "Fine-tune costs $0.00",
        "Fine-tune enqueued. Queue number: 0",
        "Fine-tune started",
        "Completed epoch 4/4",
        "Fine-tune succeeded",
        "Job complete! Status: succeeded",
    ):
        assert expected in said
    assert "Fine-tune succeeded" in old.api("fine_tunes.follow", "-i", fine_tune)
    prompt = "What is 3 plus 3? ->"
    asked = ["-m", model, "-p", prompt, "-M", "2", "-t", "0"]
    assert old.api("completions.create", *asked).startswith(f"{prompt} 6.")
    header, *rows = old.api("fine_tunes.results", "-i", fine_tune).strip().splitlines()
    assert header.startswith("step,elapsed_tokens,elapsed_examples,training_loss")
    assert len(rows) == 48
    assert json.loads(old.api("models.delete", "-i", model))["deleted"] is True


def test_the_old_package_syncs_a_job_with_wandb(old, training_file):
    python = installed("wandb", "bin", "python")
    with httpx.Client(base_url=old.url, headers={"authorization": "Bearer sk-any"}) as http:
        sent = http.post(
            "/files",
            data={"purpose": "fine-tune"},
            files={"file": ("train.jsonl", training_file.read_bytes())},
        )
        asked = {"model": "babbage-002", "training_file": sent.json()["id"]}
        job = http.post("/fine_tuning/jobs", json=asked).json()["id"]
        while http.get(f"/fine_tuning/jobs/{job}").json()["status"] != "succeeded":
            pass
    assert "wandb sync completed successfully" in old.run(python, "-c", WANDB_SYNC, job)
    (logged,) = old.folder.glob(f"wandb/offline-run-*-{job}/run-{job}.wandb")
    assert logged.read_bytes().count(b"train_loss") >= 36


def events_of(content, *parts):
    """Return the types of events of a response with one item."""
    added, done = (["output_item.added", *parts[:1]], [*parts[1:], "output_item.done"])
    return [
        "created",
        "in_progress",
        *added,
        f"{content}.delta",
        f"{content}.done",
        *done,
        "completed",
    ]


def test_the_official_client_uses_the_responses_api(serve):
    command = [installed("openai-3", "bin", "python"), HERE / "responses.py"]
    results = json.loads(run(*command, OPENAI_BASE_URL=serve(), OPENAI_API_KEY="any"))
    assert results.pop("version").startswith("3.")
    assert results == {
        "create": ["completed", True, True],
        "stream": ["response.created", "response.completed", True],
        "last_event": "ResponseCompletedEvent",
        "parse": True,
        "call": ["ResponseFunctionToolCall", "weather", ["city"]],
        "answer": "message",
        "input_items": ["message", "function_call", "function_call_output"],
        "streamed_call": "weather",
        "events": {
            "text": events_of("output_text", "content_part.added", "content_part.done"),
            "function": events_of("function_call_arguments"),
            "custom": events_of("custom_tool_call_input"),
            "truncated": "incomplete",
            "background": ["created", "queued", "in_progress"],
        },
        "input_tokens": "response.input_tokens",
        "background": ["queued", "cancelled"],
        "deleted": 404,
    }


def test_the_official_node_client_uses_the_responses_api(serve):
    output = run(*node("responses.mjs"), OPENAI_BASE_URL=serve(), OPENAI_API_KEY="any")
    assert json.loads(output) == {
        "create": ["completed", True, True],
        "retrieve": [True, True],
        "events": ["response.created", "response.completed"],
        "continued": True,
        "text": True,
        "stream": ["completed", True, True],
        "parse": "string",
        "call": ["function_call", "weather", ["city"]],
        "answer": "message",
        "input_items": ["message", "function_call", "function_call_output"],
        "input_tokens": "response.input_tokens",
        "background": ["queued", "cancelled"],
        "deleted": [True, 404],
    }


def test_frameworks_use_the_responses_api(serve):
    command = [installed("frameworks", "bin", "python"), HERE / "frameworks.py"]
    results = json.loads(run(*command, OPENAI_BASE_URL=serve(), OPENAI_API_KEY="any"))
    assert results == {
        "pydantic_ai": ["OpenAIResponsesModel", "City", True, True],
        "agents": ["City", True],
    }


def test_libraries_use_the_responses_api(serve):
    command = [installed("libraries", "bin", "python"), HERE / "libraries.py"]
    output = run(*command, OPENAI_BASE_URL=serve(), OPENAI_API_KEY="any")
    assert json.loads(output.splitlines()[-1]) == {
        "langchain": ["completed", "completed", "City", "Weather"],
        "instructor": "City",
        "litellm": ["completed", "response.created", "response.completed"],
    }
