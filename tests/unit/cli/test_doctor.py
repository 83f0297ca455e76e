"""`tunesmith doctor`: results and fixes."""

import importlib.metadata
import json

import httpx
import pytest
import respx

from tunesmith.cli import doctor

MODELS = {"object": "list", "data": [{"id": "ada", "object": "model"}]}


def checks(result):
    return {check["name"]: check for check in json.loads(result.stdout)}


def test_a_service_in_memory_needs_nothing(run, remembered):
    result = run("doctor")
    assert result.exit_code == 0
    assert "✓ key" in result.stdout
    assert "in memory, stored in world.state" in result.stdout


def test_a_missing_key_has_a_fix(run, folder):
    result = run("doctor")
    assert result.exit_code == 1
    assert "✗ key" in result.stdout
    assert "→ set OPENAI_API_KEY, or use a service in memory: --state DIR" in result.stdout


@respx.mock
def test_the_key_is_never_shown(run, folder, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    monkeypatch.setenv("OPENAI_BASE_URL", "https://user:password@api.example/v1")
    respx.get(host="api.example").respond(json=MODELS)
    respx.post(host="api.example").respond(400)
    result = run("doctor")
    assert result.exit_code == 0, result.output
    assert "set in OPENAI_API_KEY" in result.stdout
    assert "1 model" in result.stdout
    assert "sk-secret" not in result.output
    assert "password" not in result.output


@respx.mock
@pytest.mark.parametrize(
    ("response", "fix"),
    [
        (httpx.Response(401, json={"error": {"message": "no"}}), "a key of this service"),
        (httpx.ConnectError("refused"), "check the base URL, the network"),
    ],
)
def test_an_unreachable_service_has_a_fix(run, folder, response, fix):
    respx.get("https://api.example/models").mock(side_effect=[response])
    result = run("--base-url https://api.example --api-key sk-secret doctor --json")
    assert result.exit_code == 1
    service = checks(result)["service"]
    assert service["state"] == "wrong"
    assert fix in service["fix"]
    assert "sk-secret" not in result.output


def test_a_missing_extra_has_its_command(run, remembered, monkeypatch):
    def known(name):
        if name in {"tiktoken", "openpyxl"}:
            raise importlib.metadata.PackageNotFoundError(name)
        return importlib.metadata.version(name)

    monkeypatch.setattr(doctor, "version", known)
    result = run("doctor --json")
    assert result.exit_code == 0
    assert checks(result)["extra tokens"]["fix"] == "pip install 'tunesmith[tokens]'"
    assert checks(result)["extra cli"]["state"] == "ok"
    assert "extra dev" not in checks(result)


@pytest.mark.parametrize(
    ("options", "fix"),
    [
        ("--base-url api.example/v1 --api-key sk-1", "correct this setting"),
        ("--base-url https://api.example/v1 --api-key 'sk 1\n'", "correct this setting"),
    ],
)
def test_an_invalid_setting_is_not_blamed_on_the_network(run, folder, options, fix):
    result = run(f"{options} doctor --json")
    assert result.exit_code == 1
    assert checks(result)["service"]["fix"] == fix


@respx.mock
def test_endpoints_are_probed_without_running_a_model(run, folder):
    api = respx.mock
    api.get("https://api.example/v1/models").respond(json=MODELS)
    api.get("https://api.example/v1/files").respond(json={"data": []})
    api.get("https://api.example/v1/batches").respond(403)
    api.get("https://api.example/v1/fine_tuning/jobs").respond(404)
    api.post("https://api.example/v1/completions").respond(
        404, json={"error": {"message": "model '' not found"}}
    )
    api.post("https://api.example/v1/chat/completions").respond(400)
    api.post("https://api.example/v1/responses").respond(
        200, json={"error": "Unexpected endpoint or method. (POST /v1/responses)"}
    )
    api.post("https://api.example/v1/embeddings").respond(502)
    result = run("--base-url https://api.example/v1 --api-key sk-secret doctor --json")
    assert result.exit_code == 0, result.output
    results = {name: check["result"] for name, check in checks(result).items()}
    assert results["models"] == "1 model"
    assert results["files"] == results["completions"] == results["chat"] == "offered"
    assert results["batches"] == "not allowed with this key"
    assert results["fine-tuning"] == results["responses"] == "not offered"
    assert results["embeddings"] == "fails with status 502"
    posts = [call.request for call in api.calls if call.request.method == "POST"]
    assert {request.content for request in posts} == {b"{}"}


@respx.mock
def test_a_base_url_without_its_path_has_a_fix(run, folder):
    respx.route(host="api.example").respond(404)
    result = run("--base-url https://api.example --api-key sk-secret doctor --json")
    assert result.exit_code == 1
    assert checks(result)["service"]["fix"] == "the base URL may lack its path, such as /v1"
