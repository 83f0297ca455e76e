"""`tunesmith doctor`: what is in place, what is not, and what to do."""

import importlib.metadata
import json

import httpx
import pytest
import respx

from tunesmith.cli import doctor

MODELS = {"object": "list", "data": [{"id": "ada", "object": "model"}]}


def states(result):
    return {check["name"]: check for check in json.loads(result.stdout)}


def test_a_service_in_memory_needs_nothing(run, remembered):
    result = run("doctor")
    assert result.exit_code == 0
    assert "✓ key" in result.stdout
    assert "in memory, kept in world.state" in result.stdout


def test_without_a_key_it_says_what_to_set(run, folder):
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
    assert "with 1 model" in result.stdout
    assert "sk-secret" not in result.output
    assert "password" not in result.output


@respx.mock
@pytest.mark.parametrize(
    ("answer", "remedy"),
    [
        (httpx.Response(401, json={"error": {"message": "no"}}), "a key of this service"),
        (httpx.Response(404), "may lack its path, such as /v1"),
        (httpx.ConnectError("refused"), "see whether the address is right"),
    ],
)
def test_a_service_that_does_not_answer_has_a_remedy(run, folder, answer, remedy):
    respx.get("https://api.example/models").mock(side_effect=[answer])
    result = run("--base-url https://api.example --api-key sk-secret doctor --json")
    assert result.exit_code == 1
    service = states(result)["service"]
    assert service["state"] == "wrong"
    assert remedy in service["remedy"]
    assert "sk-secret" not in result.output


def test_an_extra_that_is_missing_has_its_command(run, remembered, monkeypatch):
    def known(name):
        if name in {"tiktoken", "openpyxl"}:
            raise importlib.metadata.PackageNotFoundError(name)
        return importlib.metadata.version(name)

    monkeypatch.setattr(doctor, "version", known)
    result = run("doctor --json")
    assert result.exit_code == 0
    assert states(result)["extra tokens"]["remedy"] == "pip install 'tunesmith[tokens]'"
    assert states(result)["extra cli"]["state"] == "ok"
    assert "extra dev" not in states(result)


@pytest.mark.parametrize(
    ("options", "remedy"),
    [
        ("--base-url api.example/v1 --api-key sk-1", "mend this setting"),
        ("--base-url https://api.example/v1 --api-key 'sk 1\n'", "mend this setting"),
    ],
)
def test_a_setting_that_cannot_be_used_is_not_blamed_on_the_network(run, folder, options, remedy):
    result = run(f"{options} doctor --json")
    assert result.exit_code == 1
    assert states(result)["service"]["remedy"] == remedy
