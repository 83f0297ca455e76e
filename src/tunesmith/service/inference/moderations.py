"""Moderations by a list of words."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

from anyio.lowlevel import checkpoint

from tunesmith.operations.moderations import CreateModeration
from tunesmith.service.core.errors import model_not_found
from tunesmith.service.core.handlers import handles
from tunesmith.service.inference.sampling import InferenceContext
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
"""Words that flag a text, by category; a category without words is never flagged."""

_OMNI_CATEGORIES = frozenset({"illicit", "illicit/violent"})
_DEFAULT_MODEL = "omni-moderation-latest"
_UNFLAGGED_SCORE = 0.0001
_FLAGGED_SCORE = 0.95


class Moderations:
    """Moderations for tests: a text is flagged if it contains one of `FLAGGED_WORDS`.

    The meaning of texts is not examined, and images are ignored: never rely on it for safety.

    Args:
        context: Dependencies shared by all endpoints that run models.
    """

    def __init__(self, context: InferenceContext) -> None:
        self._context = context

    @handles(CreateModeration)
    async def create(self, operation: CreateModeration) -> CreateModerationResponse:
        """Moderate each text of a list, or all parts of a message together."""
        model = operation.model or _DEFAULT_MODEL
        if not self._context.models.info_of(model).can("moderations"):
            raise model_not_found(model)
        texts = _read_texts(operation)
        await checkpoint()
        results = await self._context.run(
            lambda: [_moderate(text, model) for text in texts], size=sum(map(len, texts))
        )
        fields = {"id": self._context.ids.new("moderation"), "model": model, "results": results}
        return CreateModerationResponse.model_validate(fields)


def _read_texts(operation: CreateModeration) -> list[str]:
    value = cast("str | Sequence[str | Mapping[str, Any]]", operation.input)
    if isinstance(value, str):
        return [value]
    texts = [item for item in value if isinstance(item, str)]
    parts = [str(item.get("text", "")) for item in value if not isinstance(item, str)]
    return [*texts, " ".join(parts)] if parts else texts


def _moderate(text: str, model: str) -> dict[str, Any]:
    words = set(re.findall(r"[\w-]+", text.lower()))
    is_omni = model.startswith("omni")
    categories = {
        category: bool(words & flagged)
        for category, flagged in FLAGGED_WORDS.items()
        if is_omni or category not in _OMNI_CATEGORIES
    }
    result: dict[str, Any] = {
        "flagged": any(categories.values()),
        "categories": categories,
        "category_scores": {
            category: _FLAGGED_SCORE if is_flagged else _UNFLAGGED_SCORE
            for category, is_flagged in categories.items()
        },
    }
    if is_omni:
        result["category_applied_input_types"] = {category: ["text"] for category in categories}
    return result
