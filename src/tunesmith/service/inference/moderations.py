"""The room of moderations: a list of words, not a judgement."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

from anyio.lowlevel import checkpoint

from tunesmith.operations.moderations import CreateModeration
from tunesmith.service.core.errors import model_not_found
from tunesmith.service.core.ids import IdGenerator
from tunesmith.service.core.models import Models
from tunesmith.types.moderations import CreateModerationResponse

__all__ = ["FLAGGED_WORDS", "Moderations"]

FLAGGED_WORDS: Mapping[str, frozenset[str]] = {
    "harassment": frozenset({"idiot", "idiots"}),
    "harassment/threatening": frozenset(),
    "hate": frozenset({"hate", "hatred"}),
    "hate/threatening": frozenset(),
    "illicit": frozenset({"smuggle", "steal"}),
    "illicit/violent": frozenset({"bomb", "explosives"}),
    "self-harm": frozenset({"suicide"}),
    "self-harm/intent": frozenset(),
    "self-harm/instructions": frozenset(),
    "sexual": frozenset({"pornography"}),
    "sexual/minors": frozenset(),
    "violence": frozenset({"kill", "murder"}),
    "violence/graphic": frozenset({"gore"}),
}
"""The words that flag a text, by category; those without words are never flagged."""

_NOT_IN_TEXT_MODELS = frozenset({"illicit", "illicit/violent"})
_DEFAULT_MODEL = "omni-moderation-latest"
_UNFLAGGED_SCORE = 0.0001
_FLAGGED_SCORE = 0.95


class Moderations:
    """Flags what contains one of a few words, so that both outcomes can be tested.

    This knows nothing of what a text means, and nothing of images: never rely on it to keep
    anybody from harm. `FLAGGED_WORDS` has the words.

    Args:
        models: Knows which models there are.
        ids: Makes ids.
    """

    def __init__(self, *, models: Models, ids: IdGenerator) -> None:
        self._models = models
        self._ids = ids

    async def create(self, operation: CreateModeration) -> CreateModerationResponse:
        """Look for the words: in each text of a list, in all parts of a message together."""
        model = operation.model or _DEFAULT_MODEL
        if "moderation" not in self._models.base_of(model):
            raise model_not_found(model)
        await checkpoint()
        fields = {
            "id": self._ids.new("moderation"),
            "model": model,
            "results": [_result(text, model) for text in _texts(operation)],
        }
        return CreateModerationResponse.model_validate(fields)


def _texts(asked: CreateModeration) -> list[str]:
    given = cast("str | Sequence[str | Mapping[str, Any]]", asked.input)
    if isinstance(given, str):
        return [given]
    texts = [each for each in given if isinstance(each, str)]
    parts = [str(each.get("text", "")) for each in given if not isinstance(each, str)]
    return [*texts, " ".join(parts)] if parts else texts


def _result(text: str, model: str) -> dict[str, Any]:
    words = set(re.findall(r"[\w-]+", text.lower()))
    omni = model.startswith("omni")
    flags = {
        category: bool(words & flagged)
        for category, flagged in FLAGGED_WORDS.items()
        if omni or category not in _NOT_IN_TEXT_MODELS
    }
    result: dict[str, Any] = {
        "flagged": any(flags.values()),
        "categories": flags,
        "category_scores": {
            category: _FLAGGED_SCORE if flag else _UNFLAGGED_SCORE
            for category, flag in flags.items()
        },
    }
    if omni:
        result["category_applied_input_types"] = {category: ["text"] for category in flags}
    return result
