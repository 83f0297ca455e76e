"""Classification metrics of the legacy API."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp

from tunesmith.service.engines.base import EngineModel
from tunesmith.service.engines.training import TrainingSpec
from tunesmith.service.fine_tuning.timeline import Failure
from tunesmith.service.fine_tuning.training_data import InvalidTrainingFileError

__all__ = ["ClassificationConfig", "ClassificationEvaluator"]


@dataclass(frozen=True, slots=True)
class ClassificationConfig:
    """Classification parameters of a fine-tune.

    Args:
        n_classes: Number of classes; None for those in the training file.
        positive_class: The positive class, for binary metrics; None for multiclass metrics.
        betas: Betas of the F-beta scores, for binary metrics.
    """

    n_classes: int | None
    positive_class: str | None
    betas: tuple[float, ...]


class ClassificationEvaluator:
    """Evaluation of models as classifiers of the validation examples.

    The completions of the training file are the classes. The prediction is the class with the
    highest probability after the prompt.

    Args:
        config: The classification parameters.
        spec: Training examples, which have the classes, and validation examples.

    Raises:
        InvalidTrainingFileError: The classes do not match the parameters.
    """

    def __init__(self, config: ClassificationConfig, spec: TrainingSpec) -> None:
        self._betas = config.betas
        self._classes = list(dict.fromkeys(str(row["completion"]) for row in spec.examples))
        self._validation = [(str(row["prompt"]), str(row["completion"])) for row in spec.validation]
        expected = 2 if config.positive_class is not None else config.n_classes
        if expected is not None and len(self._classes) != expected:
            raise _invalid_classes(
                f"The number of classes in the training file is {len(self._classes)}, which does "
                f"not match the number of classes specified in the hyperparameters, {expected}.",
                "training_file",
            )
        unknown = {completion for _, completion in self._validation} - set(self._classes)
        if unknown:
            raise _invalid_classes(
                f"The validation file has a class that is missing in the training file: "
                f"{min(unknown)!r}.",
                "validation_file",
            )
        self._positive = self._find_class(config.positive_class)

    async def evaluate(self, model: EngineModel) -> dict[str, float]:
        """Return the metrics of a model by column name."""
        classes = [model.tokenizer.encode(name) for name in self._classes]
        probabilities = [
            await _class_probabilities(model, prompt, classes) for prompt, _ in self._validation
        ]
        truth = [self._classes.index(completion) for _, completion in self._validation]
        predicted = [row.index(max(row)) for row in probabilities]
        metrics = {"accuracy": sum(map(int.__eq__, truth, predicted)) / len(truth)}
        if self._positive is None:
            metrics["weighted_f1_score"] = sum(
                truth.count(label)
                / len(truth)
                * _f_beta(*_precision_recall(truth, predicted, label), beta=1)
                for label in set(truth)
            )
        else:
            precision, recall = _precision_recall(truth, predicted, self._positive)
            scored = [
                (row[self._positive], label == self._positive)
                for row, label in zip(probabilities, truth, strict=True)
            ]
            metrics |= {
                "precision": precision,
                "recall": recall,
                "auroc": _auroc(scored),
                "auprc": _auprc(scored),
                **{f"f{beta:g}": _f_beta(precision, recall, beta=beta) for beta in self._betas},
            }
        return {f"classification/{name}": value for name, value in metrics.items()}

    def _find_class(self, positive_class: str | None) -> int | None:
        if positive_class is None:
            return None
        for index, name in enumerate(self._classes):
            if name.strip() == positive_class.strip():
                return index
        message = f"The training file has no class {positive_class!r}."
        raise _invalid_classes(message, "training_file")


async def _class_probabilities(
    model: EngineModel, prompt: str, classes: Sequence[list[int]]
) -> list[float]:
    prefix = model.tokenizer.encode(prompt)
    logprobs: list[float] = []
    for tokens in classes:
        scored = await model.score([*prefix, *tokens])
        logprobs.append(sum(token.token.logprob for token in scored[len(prefix) :]))
    highest = max(logprobs)
    weights = [exp(logprob - highest) for logprob in logprobs]
    return [weight / sum(weights) for weight in weights]


def _invalid_classes(message: str, param: str) -> InvalidTrainingFileError:
    return InvalidTrainingFileError(Failure("invalid_classes", message, param))


def _precision_recall(
    truth: Sequence[int], predicted: Sequence[int], label: int
) -> tuple[float, float]:
    hits = sum(a == b == label for a, b in zip(truth, predicted, strict=True))
    n_predicted, n_true = predicted.count(label), truth.count(label)
    return (hits / n_predicted if n_predicted else 0.0, hits / n_true if n_true else 0.0)


def _f_beta(precision: float, recall: float, *, beta: float) -> float:
    denominator = beta**2 * precision + recall
    return (1 + beta**2) * precision * recall / denominator if denominator else 0.0


def _auroc(scored: Sequence[tuple[float, bool]]) -> float:
    """Return the probability that a positive example has a higher score than a negative one."""
    positive = [score for score, is_positive in scored if is_positive]
    negative = [score for score, is_positive in scored if not is_positive]
    if not positive or not negative:
        return 0.0
    wins = sum((p > n) + 0.5 * (p == n) for p in positive for n in negative)
    return wins / (len(positive) * len(negative))


def _auprc(scored: Sequence[tuple[float, bool]]) -> float:
    """Return the mean of the precisions at each positive example, by descending score."""
    ranked = sorted(scored, key=lambda pair: -pair[0])
    hits, total = 0, 0.0
    for rank, (_, is_positive) in enumerate(ranked, 1):
        if is_positive:
            hits += 1
            total += hits / rank
    return total / hits if hits else 0.0
