"""Models of the API by name, with their abilities and the dates of their shutdown.

The table is as of `MODELS_AS_OF`. Sources:

- https://developers.openai.com/api/docs/deprecations: dates and recommended replacements
- https://developers.openai.com/api/docs/models: names and endpoints
- the lists of models in openai-python 3.57: names, and shutdown dates in case of doubt
- the guides to fine-tuning: methods, as of the last model that each method was opened for
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal, get_args

__all__ = [
    "KNOWN_MODELS",
    "MODELS_AS_OF",
    "Ability",
    "KnownModel",
    "base_name",
    "custom_model",
    "find_model",
]

MODELS_AS_OF = date(2026, 11, 29)
"""Date of the table."""

Ability = Literal[
    "chat",
    "completions",
    "responses",
    "embeddings",
    "moderations",
    "supervised",
    "dpo",
    "reinforcement",
    "images",
    "legacy",
]
"""Ability of a model: an endpoint; a method of fine-tuning; `images`, fine-tuning on images;
`legacy`, the fine-tuning API before `/fine_tuning/jobs`."""


@dataclass(frozen=True, slots=True)
class KnownModel:
    """Base model of the API.

    Attributes:
        name: Its name.
        abilities: The endpoints and the methods of fine-tuning that it supports or supported;
            empty for models of other endpoints, such as audio.
        deprecated: Date of the announcement of its shutdown, if known.
        shutdown: Date of its shutdown, if announced.
        replacement: The recommended replacement, if there is one.
    """

    name: str
    abilities: frozenset[Ability]
    deprecated: date | None = None
    shutdown: date | None = None
    replacement: str | None = None

    def can(self, *abilities: Ability) -> bool:
        """Return whether the model has any of these abilities."""
        return not self.abilities.isdisjoint(abilities)

    def is_shut_down(self, on: date) -> bool:
        """Return whether OpenAI has shut down the model by a date."""
        return self.shutdown is not None and self.shutdown <= on

    @property
    def completes_only(self) -> bool:
        """Whether the model completes prompts but does not chat."""
        return self.can("completions") and not self.can("chat")


def custom_model(name: str) -> KnownModel:
    """Return a model of your own, which has every ability but `legacy`."""
    return KnownModel(name, frozenset(get_args(Ability)) - {"legacy"})


def base_name(model: str) -> str:
    """Return the base model's name of a fine-tuned model, such as `ft:gpt-4.1:org::id`."""
    if model.startswith("ft:"):
        return model.split(":")[1]
    base, separator, _ = model.partition(":ft-")
    return base if separator else model


def find_model(name: str) -> KnownModel | None:
    """Return a model, or the base model of a fine-tuned one; None if it is not in the table.

    Example:
        ```python
        from tunesmith.known_models import find_model

        print(find_model("ft:gpt-4.1-2025-04-14:acme::7p4lURel").replacement)
        ```
    """
    return KNOWN_MODELS.get(base_name(name))


_TABLE = """\
# Current models
chat responses
    gpt-6.2-astra gpt-6.2-astra-law gpt-6-astra gpt-6-astra-law gpt-6.2-sol gpt-6.1-sol
    gpt-6-sol gpt-6.1-terra gpt-6-luna gpt-6-rosalind gpt-rosalind-research
    gpt-rosalind-discovery gpt-6-cyber gpt-5.6 gpt-5.6-sol gpt-5.6-terra gpt-5.6-luna
    gpt-5.6-cyber gpt-5.5 gpt-5.5-2026-04-23 gpt-5.5-cyber gpt-5.4 gpt-5.4-2026-03-05
    gpt-5.4-mini gpt-5.4-mini-2026-03-17 gpt-5.2 gpt-5.2-2025-12-11 chat-latest
    daybreak-red-latest daybreak-blue-latest gpt-oss-120b gpt-oss-20b
responses
    gpt-5.5-pro gpt-5.5-pro-2026-04-23 gpt-5.4-pro gpt-5.4-pro-2026-03-05 gpt-5.2-pro
    gpt-5.2-pro-2025-12-11 gpt-daybreak-red-latest gpt-daybreak-blue-latest
chat
    gpt-5-search-api gpt-5-search-api-2025-10-14 gpt-audio-1.5
embeddings
    text-embedding-3-small text-embedding-3-large text-embedding-ada-002
moderations
    omni-moderation-latest omni-moderation-2024-09-26
-
    gpt-realtime-2.1 gpt-realtime-2.1-mini gpt-realtime-2 gpt-realtime-1.5
    gpt-realtime-translate gpt-realtime-whisper gpt-live-1 gpt-live-transcribe gpt-transcribe
    gpt-image-2.6-sunburst gpt-image-2.6-flare gpt-image-2.5-sunburst
    gpt-image-2.5-sunburst-2026-09-08 gpt-image-2.5-flare gpt-image-2.5-flare-2026-09-08
    gpt-image-2 gpt-image-2-2026-04-21
# Announced: 1 April 2027 and before
chat responses | 2026-10-01 | 2027-04-01 | gpt-6-sol
    gpt-5.1 gpt-5.1-2025-11-13
chat responses | 2026-10-01 | 2027-04-01 | gpt-6-luna
    gpt-5.4-nano gpt-5.4-nano-2026-03-17
responses | 2026-10-01 | 2027-04-01 | gpt-6-sol
    gpt-5.3-codex
- | 2026-08-26 | 2027-02-26 | gpt-transcribe
    whisper-1 gpt-4o-transcribe gpt-4o-transcribe-diarize gpt-4o-mini-transcribe
    gpt-4o-mini-transcribe-2025-12-15
chat responses | - | 2027-02-01 | -
    gpt-5.5-cyber-preview
chat | 2026-07-20 | 2027-01-20 | gpt-audio-1.5
    gpt-audio gpt-audio-2025-08-28 gpt-audio-mini gpt-audio-mini-2025-12-15
- | 2026-07-20 | 2027-01-20 | gpt-realtime-2.1
    gpt-realtime gpt-realtime-2025-08-28
- | 2026-07-20 | 2027-01-20 | gpt-realtime-2.1-mini
    gpt-realtime-mini gpt-realtime-mini-2025-12-15
- | 2026-07-20 | 2027-01-20 | gpt-4o-mini-transcribe-2025-12-15
    gpt-4o-mini-transcribe-2025-03-20
chat responses supervised dpo images | 2026-10-14 | 2027-01-14 | gpt-6-luna
    gpt-4o gpt-4o-2024-08-06
chat responses | 2026-10-14 | 2027-01-14 | gpt-6-luna
    gpt-4o-2024-11-20
chat responses supervised dpo | 2026-10-14 | 2027-01-14 | gpt-6-luna
    gpt-4o-mini gpt-4o-mini-2024-07-18 gpt-4.1 gpt-4.1-2025-04-14 gpt-4.1-mini
    gpt-4.1-mini-2025-04-14
- | - | 2027-01-06 | -
    tts-1 tts-1-hd tts-1-1106 tts-1-hd-1106 gpt-4o-mini-tts gpt-4o-mini-tts-2025-03-20
    gpt-4o-mini-tts-2025-12-15
chat responses | 2026-06-11 | 2026-12-11 | gpt-6.1-sol
    gpt-5 gpt-5-2025-08-07
chat responses | 2026-06-11 | 2026-12-11 | gpt-6.1-terra
    gpt-5-mini gpt-5-mini-2025-08-07
chat responses | 2026-06-11 | 2026-12-11 | gpt-6-luna
    gpt-5-nano gpt-5-nano-2025-08-07
chat responses | 2026-06-11 | 2026-12-11 | gpt-5.6-sol
    o3 o3-2025-04-16
responses | 2026-06-11 | 2026-12-11 | gpt-5.6-sol
    gpt-5-pro gpt-5-pro-2025-10-06 o3-pro o3-pro-2025-06-10
- | 2026-06-02 | 2026-12-01 | gpt-image-2.6-flare
    gpt-image-1.5 gpt-image-1.5-2025-12-16 gpt-image-1-mini chatgpt-image-latest
# Shut down in October 2026
chat responses supervised | 2026-04-22 | 2026-10-23 | gpt-5.6-terra
    gpt-3.5-turbo gpt-3.5-turbo-0125
completions | 2026-04-22 | 2026-10-23 | gpt-5.6-terra
    gpt-3.5-turbo-completions
chat responses supervised | 2026-04-22 | 2026-10-23 | gpt-5.6-sol
    gpt-4 gpt-4-0613
completions | 2026-04-22 | 2026-10-23 | gpt-5.6-sol
    gpt-4-completions gpt-4-0613-completions gpt-4-turbo-completions
chat responses | 2026-04-22 | 2026-10-23 | gpt-5.6-sol
    gpt-4-1106-preview gpt-4-turbo gpt-4-turbo-2024-04-09 gpt-4o-2024-05-13 o1 o1-2024-12-17
    o3-mini o3-mini-2025-01-31
chat responses supervised dpo | 2026-04-22 | 2026-10-23 | gpt-5.6-luna
    gpt-4.1-nano gpt-4.1-nano-2025-04-14
responses | 2026-04-22 | 2026-10-23 | gpt-5.6-sol
    o1-pro o1-pro-2025-03-19
chat responses reinforcement | 2026-04-22 | 2026-10-23 | gpt-5.6-terra
    o4-mini o4-mini-2025-04-16
- | 2026-04-22 | 2026-10-23 | gpt-image-2
    gpt-image-1
# Shut down earlier in 2026
chat responses | 2026-09-11 | 2026-10-01 | gpt-5.6-cyber
    gpt-5.4-cyber
chat responses supervised | 2025-09-26 | 2026-09-28 | gpt-5.6-terra
    gpt-3.5-turbo-1106
completions | 2025-09-26 | 2026-09-28 | gpt-5.6-terra
    gpt-3.5-turbo-instruct gpt-3.5-turbo-instruct-0914
completions supervised | 2025-09-26 | 2026-09-28 | gpt-5.6-terra
    babbage-002 davinci-002
- | 2026-03-24 | 2026-09-24 | -
    sora-2 sora-2-pro sora-2-2025-10-06 sora-2-2025-12-08 sora-2-pro-2025-10-06
chat responses | 2026-05-08 | 2026-08-10 | gpt-5.6-sol
    gpt-5.2-chat-latest gpt-5.3-chat-latest
chat responses | 2026-04-22 | 2026-07-23 | gpt-5.6-sol
    gpt-5-chat gpt-5-chat-latest gpt-5.1-chat-latest
responses | 2026-04-22 | 2026-07-23 | gpt-5.6-sol
    gpt-5-codex gpt-5.1-codex gpt-5.1-codex-max gpt-5.2-codex o3-deep-research
    o3-deep-research-2025-06-26 o4-mini-deep-research o4-mini-deep-research-2025-06-26
responses | 2026-04-22 | 2026-07-23 | gpt-5.6-terra
    gpt-5.1-codex-mini computer-use-preview computer-use-preview-2025-03-11
chat | 2026-04-22 | 2026-07-23 | gpt-5.6-terra
    gpt-4o-search-preview gpt-4o-search-preview-2025-03-11 gpt-4o-mini-search-preview
    gpt-4o-mini-search-preview-2025-03-11
chat | 2026-04-22 | 2026-07-23 | gpt-audio-1.5
    gpt-audio-mini-2025-10-06
- | 2026-04-22 | 2026-07-23 | gpt-realtime-2.1-mini
    gpt-realtime-mini-2025-10-06
- | 2025-11-14 | 2026-05-12 | gpt-image-2
    dall-e-2 dall-e-3
chat | 2025-09-15 | 2026-05-07 | gpt-audio-1.5
    gpt-4o-audio-preview gpt-4o-audio-preview-2024-12-17 gpt-4o-audio-preview-2025-06-03
chat | 2025-09-15 | 2026-05-07 | gpt-audio-mini
    gpt-4o-mini-audio-preview gpt-4o-mini-audio-preview-2024-12-17
- | 2025-09-15 | 2026-05-07 | gpt-realtime-1.5
    gpt-4o-realtime-preview gpt-4o-realtime-preview-2024-12-17
    gpt-4o-realtime-preview-2025-06-03
- | 2025-09-15 | 2026-05-07 | gpt-realtime-mini
    gpt-4o-mini-realtime-preview gpt-4o-mini-realtime-preview-2024-12-17
chat responses | 2025-09-26 | 2026-03-26 | gpt-5
    gpt-4-0314 gpt-4-0125-preview gpt-4-turbo-preview
completions | 2025-09-26 | 2026-03-26 | gpt-5
    gpt-4-turbo-preview-completions
chat responses | 2025-11-18 | 2026-02-17 | gpt-5.1-chat-latest
    chatgpt-4o-latest
responses | 2025-11-17 | 2026-02-12 | gpt-5.1-codex-mini
    codex-mini-latest
# Shut down in 2025
chat responses | 2025-04-28 | 2025-10-27 | o4-mini
    o1-mini o1-mini-2024-09-12
moderations | 2025-04-28 | 2025-10-27 | omni-moderation-latest
    text-moderation-latest text-moderation-stable text-moderation-007
chat | 2025-06-10 | 2025-10-10 | gpt-audio-1.5
    gpt-4o-audio-preview-2024-10-01
- | 2025-06-10 | 2025-10-10 | gpt-realtime-1.5
    gpt-4o-realtime-preview-2024-10-01
chat responses | 2025-04-28 | 2025-07-28 | o3
    o1-preview o1-preview-2024-09-12
chat responses | 2025-04-14 | 2025-07-14 | gpt-4.1
    gpt-4.5-preview gpt-4.5-preview-2025-02-27
chat | 2024-06-06 | 2025-06-06 | gpt-4o
    gpt-4-32k gpt-4-32k-0314 gpt-4-32k-0613
# Shut down in 2024, before the Responses API
chat | 2024-06-06 | 2024-12-06 | gpt-4o
    gpt-4-vision-preview gpt-4-1106-vision-preview
chat supervised | 2023-11-06 | 2024-09-13 | gpt-3.5-turbo
    gpt-3.5-turbo-0613
chat | 2023-11-06 | 2024-09-13 | gpt-3.5-turbo
    gpt-3.5-turbo-16k gpt-3.5-turbo-16k-0613
chat | 2023-06-13 | 2024-09-13 | gpt-3.5-turbo
    gpt-3.5-turbo-0301
completions legacy | 2023-07-06 | 2024-01-04 | babbage-002
    ada babbage
completions legacy | 2023-07-06 | 2024-01-04 | davinci-002
    curie davinci
completions | 2023-07-06 | 2024-01-04 | gpt-3.5-turbo-instruct
    text-ada-001 text-babbage-001 text-curie-001 text-davinci-001 text-davinci-002
    text-davinci-003
- | 2023-07-06 | 2024-01-04 | gpt-4o
    text-davinci-edit-001 code-davinci-edit-001
embeddings | 2023-07-06 | 2024-01-04 | text-embedding-3-small
    text-similarity-ada-001 text-similarity-babbage-001 text-similarity-curie-001
    text-similarity-davinci-001 text-search-ada-doc-001 text-search-ada-query-001
    text-search-babbage-doc-001 text-search-babbage-query-001 text-search-curie-doc-001
    text-search-curie-query-001 text-search-davinci-doc-001 text-search-davinci-query-001
    code-search-ada-code-001 code-search-ada-text-001 code-search-babbage-code-001
    code-search-babbage-text-001
completions | 2023-03-20 | 2024-01-04 | gpt-3.5-turbo-instruct
    code-davinci-002
# Shut down in 2023
completions | 2023-03-20 | 2023-03-23 | gpt-4o
    code-davinci-001 code-cushman-002 code-cushman-001
"""
"""Groups of models with equal abilities, dates and replacements.

Each begins with the line `abilities | deprecated | shutdown | replacement`; `-` is none or unknown.
"""


def _parse(table: str) -> Iterable[KnownModel]:
    properties: dict[str, Any] = {}
    for line in table.splitlines():
        if line.startswith("    "):
            yield from (KnownModel(name, **properties) for name in line.split())
        elif not line.startswith("#"):
            cells = [None if cell == "-" else cell for cell in line.split(" | ")]
            abilities, deprecated, shutdown, replacement = (*cells, None, None, None)[:4]
            properties = {
                "abilities": frozenset((abilities or "").split()),
                "deprecated": date.fromisoformat(deprecated) if deprecated else None,
                "shutdown": date.fromisoformat(shutdown) if shutdown else None,
                "replacement": replacement,
            }


KNOWN_MODELS: Mapping[str, KnownModel] = {model.name: model for model in _parse(_TABLE)}
"""Every model by its name, current models first."""
