"""How well a model classifies: the metrics that the legacy API computes after each epoch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp

from tunesmith.service.engines.base import (
    CompletionTrainingExample,
    Engine,
    EngineModel,
    TrainingExample,
    TrainingSpec,
)
from tunesmith.service.fine_tuning.timeline import Failure
from tunesmith.service.fine_tuning.training_data import InvalidTrainingFileError

__all__ = ["ClassificationConfig", "ClassificationEvaluator"]


@dataclass(frozen=True, slots=True)
class ClassificationConfig:
    """What the owner of a fine-tune says about its classes.

    Args:
        n_classes: How many there are; None for those in the training file.
        positive_class: The one that counts as found, of two; None for metrics of any number.
        betas: Which F-beta scores to compute, of two classes.
    """

    n_classes: int | None
    positive_class: str | None
    betas: tuple[float, ...]


class ClassificationEvaluator:
    """Lets a model choose among the classes for each held-out example.

    The completions of the training file are the classes. A model chooses the one to whose text it
    gives the highest probability after the prompt.

    Args:
        engine: Knows the tokens.
        config: What is known about the classes.
        spec: The training: its examples have the classes, its held-out ones are classified.

    Raises:
        InvalidTrainingFileError: The classes are not those that were announced.
    """

    def __init__(self, engine: Engine, config: ClassificationConfig, spec: TrainingSpec) -> None:
        self._engine = engine
        self._asked = config
        self._classes = list(dict.fromkeys(_pairs(spec.examples).completions))
        self._held_out = _pairs(spec.validation)
        expected = 2 if config.positive_class is not None else config.n_classes
        if expected is not None and len(self._classes) != expected:
            raise _invalid_classes(
                f"The number of classes in the training file is {len(self._classes)}, which does "
                f"not match the number of classes specified in the hyperparameters, {expected}.",
                "training_file",
            )
        unknown = set(self._held_out.completions) - set(self._classes)
        if unknown:
            raise _invalid_classes(
                f"The validation file has a class that the training file has not: "
                f"{min(unknown)!r}.",
                "validation_file",
            )
        self._positive = self._find_positive()

    def measure(self, model: EngineModel) -> Mapping[str, float]:
        """Classify all held-out examples, and compute the metrics by the names of their columns."""
        tokens = [self._engine.encode(name) for name in self._classes]
        chances = [
            self._class_probabilities(model, prompt, tokens) for prompt in self._held_out.prompts
        ]
        truth = [self._classes.index(name) for name in self._held_out.completions]
        chosen = [row.index(max(row)) for row in chances]
        accuracy = sum(map(int.__eq__, truth, chosen)) / len(truth)
        metrics = {"accuracy": accuracy}
        if self._positive is None:
            metrics["weighted_f1_score"] = sum(
                truth.count(label)
                / len(truth)
                * _f_beta(*_precision_recall(truth, chosen, label), beta=1)
                for label in set(truth)
            )
        else:
            precision, recall = _precision_recall(truth, chosen, self._positive)
            scored = [
                (row[self._positive], label == self._positive)
                for row, label in zip(chances, truth, strict=True)
            ]
            metrics |= {
                "precision": precision,
                "recall": recall,
                "auroc": _auroc(scored),
                "auprc": _auprc(scored),
            }
            for beta in self._asked.betas:
                metrics[f"f{beta:g}"] = _f_beta(precision, recall, beta=beta)
        return {f"classification/{name}": value for name, value in metrics.items()}

    def _class_probabilities(
        self, model: EngineModel, prompt: str, classes: Sequence[list[int]]
    ) -> list[float]:
        before = self._engine.encode(prompt)
        logprobs = [
            sum(token.token.logprob for token in model.score([*before, *name])[len(before) :])
            for name in classes
        ]
        most = max(logprobs)
        weights = [exp(logprob - most) for logprob in logprobs]
        return [weight / sum(weights) for weight in weights]

    def _find_positive(self) -> int | None:
        wanted = self._asked.positive_class
        if wanted is None:
            return None
        for index, name in enumerate(self._classes):
            if name.strip() == wanted.strip():
                return index
        raise _invalid_classes(f"The training file has no class {wanted!r}.", "training_file")


@dataclass(frozen=True, slots=True)
class _Pairs:
    prompts: list[str]
    completions: list[str]


def _pairs(examples: Sequence[TrainingExample]) -> _Pairs:
    pairs = [example for example in examples if isinstance(example, CompletionTrainingExample)]
    return _Pairs([pair.prompt for pair in pairs], [pair.completion for pair in pairs])


def _invalid_classes(message: str, param: str) -> InvalidTrainingFileError:
    return InvalidTrainingFileError(Failure("invalid_classes", message, param))


def _precision_recall(
    truth: Sequence[int], chosen: Sequence[int], label: int
) -> tuple[float, float]:
    """Precision and recall of one class."""
    hits = sum(a == b == label for a, b in zip(truth, chosen, strict=True))
    found, there = chosen.count(label), truth.count(label)
    return (hits / found if found else 0.0, hits / there if there else 0.0)


def _f_beta(precision: float, recall: float, *, beta: float) -> float:
    below = beta**2 * precision + recall
    return (1 + beta**2) * precision * recall / below if below else 0.0


def _auroc(scored: Sequence[tuple[float, bool]]) -> float:
    """Chance that a positive example has a higher score than a negative one."""
    positive = [score for score, is_positive in scored if is_positive]
    negative = [score for score, is_positive in scored if not is_positive]
    if not positive or not negative:
        return 0.0
    wins = sum((p > n) + 0.5 * (p == n) for p in positive for n in negative)
    return wins / (len(positive) * len(negative))


def _auprc(scored: Sequence[tuple[float, bool]]) -> float:
    """Mean of the precisions at each positive example, from the highest score down."""
    ranked = sorted(scored, key=lambda pair: -pair[0])
    hits, total = 0, 0.0
    for place, (_, is_positive) in enumerate(ranked, 1):
        if is_positive:
            hits += 1
            total += hits / place
    return total / hits if hits else 0.0
