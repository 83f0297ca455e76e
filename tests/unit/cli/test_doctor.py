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
    assert "→ set OPENAI_API_KEY, or use a service in memory: --state FILE" in result.stdout


@respx.mock
def test_the_key_is_never_shown(run, folder, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    monkeypatch.setenv("OPENAI_BASE_URL", "https://user:password@api.example/v1")
    respx.get(host="api.example").respond(json=MODELS)
    result = run("doctor")
    assert result.exit_code == 0, result.output
    assert "set in OPENAI_API_KEY" in result.stdout
    assert "ms, 1 model" in result.stdout
    assert "sk-secret" not in result.output
    assert "password" not in result.output


@respx.mock
@pytest.mark.parametrize(
    ("response", "fix"),
    [
        (httpx.Response(401, json={"error": {"message": "no"}}), "a key of this service"),
        (httpx.Response(404), "may lack its path, such as /v1"),
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
