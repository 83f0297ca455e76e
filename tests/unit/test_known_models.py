"""The table of models: names, abilities, and dates of shutdown."""

from datetime import date

import pytest

from tunesmith.known_models import (
    KNOWN_MODELS,
    MODELS_AS_OF,
    base_name,
    custom_model,
    find_model,
)

ENDPOINTS = {"chat", "completions", "responses", "embeddings", "moderations"}
METHODS = {"supervised", "dpo", "reinforcement", "images", "legacy"}


def test_every_name_is_there_once():
    names = [name for line in _name_lines() for name in line.split()]
    assert len(names) == len(KNOWN_MODELS) > 200
    assert list(KNOWN_MODELS) == names


def _name_lines():
    from tunesmith.known_models import _TABLE

    return [line for line in _TABLE.splitlines() if line.startswith("    ")]


@pytest.mark.parametrize("model", KNOWN_MODELS.values(), ids=lambda model: model.name)
def test_an_entry_is_consistent(model):
    assert model.abilities <= ENDPOINTS | METHODS
    assert not model.can(*METHODS) or model.can("chat", "completions")
    if model.shutdown is None:
        assert model.deprecated is None
        assert model.replacement is None
    if model.deprecated:
        assert model.deprecated < model.shutdown
        assert model.deprecated <= MODELS_AS_OF
    if model.replacement:
        replacement = KNOWN_MODELS[model.replacement]
        assert replacement.shutdown is None or replacement.shutdown > model.shutdown


@pytest.mark.parametrize(
    ("name", "abilities", "shutdown", "replacement"),
    [
        ("davinci", {"completions", "legacy"}, date(2024, 1, 4), "davinci-002"),
        ("davinci-002", {"completions", "supervised"}, date(2026, 9, 28), "gpt-5.6-terra"),
        ("gpt-4", {"chat", "responses", "supervised"}, date(2026, 10, 23), "gpt-5.6-sol"),
        ("o4-mini", {"chat", "responses", "reinforcement"}, date(2026, 10, 23), "gpt-5.6-terra"),
        ("gpt-4.1", {"chat", "responses", "supervised", "dpo"}, date(2027, 1, 14), "gpt-6-luna"),
        ("gpt-5-pro", {"responses"}, date(2026, 12, 11), "gpt-5.6-sol"),
        ("gpt-6-luna", {"chat", "responses"}, None, None),
        ("text-embedding-3-small", {"embeddings"}, None, None),
        ("whisper-1", set(), date(2027, 2, 26), "gpt-transcribe"),
    ],
)
def test_a_model_has_abilities_and_dates(name, abilities, shutdown, replacement):
    model = find_model(name)
    assert model.abilities == abilities
    assert (model.shutdown, model.replacement) == (shutdown, replacement)


@pytest.mark.parametrize(
    ("tuned", "base"),
    [
        ("ft:gpt-4.1-2025-04-14:acme:dogs:7p4lURel", "gpt-4.1-2025-04-14"),
        ("ft:gpt-4.1-mini:acme::7p4lURel:ckpt-step-100", "gpt-4.1-mini"),
        ("curie:ft-acmeco-2021-03-03-21-44-20", "curie"),
        ("gpt-4.1", "gpt-4.1"),
    ],
)
def test_a_fine_tuned_model_has_the_entry_of_its_base_model(tuned, base):
    assert base_name(tuned) == base
    assert find_model(tuned).name == base


def test_a_model_of_your_own_is_unknown_and_may_do_everything_but_the_legacy_api():
    assert find_model("llama-3") is None
    model = custom_model("llama-3")
    assert model.abilities == (ENDPOINTS | METHODS) - {"legacy"}
    assert not model.completes_only


def test_a_model_that_chats_does_not_only_complete():
    assert find_model("babbage-002").completes_only
    assert not find_model("gpt-4.1").completes_only
    assert not find_model("text-embedding-3-small").completes_only
