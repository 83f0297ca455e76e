"""Check of the rows against the abilities of the model to train."""

from collections.abc import Iterator, Mapping
from datetime import date
from difflib import get_close_matches

from tunesmith.datasets.diagnosis import Check
from tunesmith.datasets.findings import Finding, FindingCounter
from tunesmith.datasets.rows import Chunk, ChunkSource
from tunesmith.datasets.token_limit import TokenLimit, token_limit
from tunesmith.datasets.tokens import TokenCounter
from tunesmith.known_models import KNOWN_MODELS, Ability, KnownModel, base_name, find_model
from tunesmith.training_rules import Format, count_images

__all__ = ["ModelCheck", "UnknownModelCheck", "can_train", "checks_for_model"]

_METHODS: Mapping[Format, Ability] = {
    "completions": "supervised",
    "chat": "supervised",
    "dpo": "dpo",
    "reinforcement": "reinforcement",
}
_ENDPOINTS: Mapping[Format, Ability] = {"completions": "completions", "chat": "chat"}


def can_train(model: KnownModel, format: Format) -> bool:
    """Return whether a model can be fine-tuned on rows of a format."""
    method = _METHODS[format]
    return model.can(method) and model.can(_ENDPOINTS.get(format, method))


def checks_for_model(
    model: str, format: Format, counter: TokenCounter, file: str | None = None
) -> list[Check]:
    """Return the checks of rows against a model: its limit of tokens and its abilities.

    Args:
        model: Name of the model to train.
        format: The format of the rows.
        counter: The counter of tokens.
        file: The name of the file for the findings.
    """
    checks: list[Check] = []
    if limit := token_limit(model):
        checks.append(TokenLimit(counter, limit, file))
    known = find_model(model)
    checks.append(ModelCheck(known, format, file) if known else UnknownModelCheck(model, file))
    return checks


class UnknownModelCheck:
    """Check that reports a model which is in no table, such as a misspelt one.

    Args:
        model: Its name.
        file: The name of the file for the finding.
    """

    def __init__(self, model: str, file: str | None = None) -> None:
        self._model = model
        self._file = file

    def update(self, chunk: Chunk) -> None:
        """Inspect nothing."""

    def findings(self, _: ChunkSource) -> Iterator[Finding]:
        """Yield the finding."""
        near = get_close_matches(base_name(self._model), KNOWN_MODELS, n=1, cutoff=0.8)
        advice = f"Did you mean {near[0]}?" if near else "Add it to the service: --model NAME."
        yield Finding(
            code="unknown-model",
            severity="warning",
            message=f"{self._model} is not a model of OpenAI. {advice}",
            file=self._file,
        )


class ModelCheck:
    """Check of whether a model can be fine-tuned on the rows; pass it to `diagnose`.

    Args:
        model: The model, such as `find_model("gpt-4.1")`.
        format: The format of the rows.
        file: The name of the file for the finding.

    Example:
        ```python
        from tunesmith.datasets import Dataset
        from tunesmith.datasets.checks.model import ModelCheck
        from tunesmith.known_models import find_model

        dataset = Dataset.open("kant.csv")
        check = ModelCheck(find_model("babbage-002"), dataset.format(), dataset.file)
        diagnosis = await dataset.diagnose(checks=[check])
        ```
    """

    def __init__(self, model: KnownModel, format: Format, file: str | None = None) -> None:
        self._model = model
        self._format: Format = format
        self._file = file
        self._images = FindingCounter()

    def update(self, chunk: Chunk) -> None:
        """Inspect some rows."""
        if self._format == "chat" and not self._model.can("images"):
            for line, data in chunk:
                if count_images(data.get("messages")):
                    self._images.add(line, field="messages")

    def findings(self, _: ChunkSource) -> Iterator[Finding]:
        """Yield the findings."""
        if problem := self._problem():
            yield Finding(
                code="unsuitable-model", severity="error", message=problem, file=self._file
            )
        if self._images.count:
            yield self._images.finding(
                "images-for-model",
                "error",
                f"{self._images.rows}: {self._model.name} cannot be fine-tuned on images. "
                f"{_others('images')}",
                file=self._file,
            )

    def _problem(self) -> str | None:
        """Return why the model cannot be fine-tuned on rows of this format."""
        name, method = self._model.name, _METHODS[self._format]
        if can_train(self._model, self._format):
            return None
        if not self._model.can(method):
            tunable = self._model.can("supervised", "dpo", "reinforcement")
            method_name = f" by the method {method}" if tunable else ""
            return f"{name} cannot be fine-tuned{method_name}. {_others(method)}"
        other = "chat" if self._format == "completions" else "completions"
        remedy = f"Convert the rows: target_format={other!r}."
        return f"{name} is not fine-tuned on {self._format}. {remedy}"


def _others(ability: Ability) -> str:
    """Name the models with an ability that live the longest."""
    able = [model for model in KNOWN_MODELS.values() if model.can(ability)]
    last = max(model.shutdown or date.max for model in able)
    names = sorted(m.name for m in able if (m.shutdown or date.max) == last)
    until = "" if last == date.max else f" (at OpenAI until {last})"
    return f"Use {'one of ' if len(names) > 1 else ''}{', '.join(names)}{until}."
