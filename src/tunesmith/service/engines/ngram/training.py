"""Training of n-gram models: batches, epochs, losses, snapshots."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from random import Random

from tunesmith.service.engines.base import EngineError
from tunesmith.service.engines.ngram.encoding import (
    encode_completion,
    encode_conversation,
    infer_separator,
)
from tunesmith.service.engines.ngram.inference import Weights
from tunesmith.service.engines.ngram.objectives import (
    Objective,
    ObjectiveResult,
    PreferenceObjective,
    ReinforcementObjective,
    SupervisedObjective,
    aggregate_metrics,
)
from tunesmith.service.engines.ngram.weights import save_weights
from tunesmith.service.engines.threads import SaveWeights
from tunesmith.service.engines.training import Hyperparameters, Row, TrainingSpec, TrainingStep
from tunesmith.training_rules import Format

# Increase of a count for a token with probability 0, at a multiplier of 1.
_LEARNING_RATE = 0.1
# Tokens with a smaller update are predicted well enough without longer contexts.
_GROWTH_THRESHOLD = 0.05


class NGramTraining:
    """Training in progress: each batch is scored by the counts so far, then counted.

    Args:
        start: The initial weights, which are not changed.
        spec: Training data and hyperparameters.

    Raises:
        EngineError: The list of examples is empty.
        InvalidExampleError: A row has nothing to learn.
    """

    def __init__(self, start: Weights, spec: TrainingSpec) -> None:
        if not len(spec.examples):
            raise EngineError("examples must have at least one example")
        self._start = start
        self._spec = spec
        self._examples, self._validation = list(spec.examples), list(spec.validation)
        self._weights = replace(
            start,
            tree=start.tree.fork(),
            separators=_all_separators(start, spec.format, self._examples),
        )
        self._hyperparameters = _resolve_hyperparameters(spec)

    @property
    def hyperparameters(self) -> Hyperparameters:
        """The hyperparameters; known before the first step."""
        return self._hyperparameters

    @property
    def total_steps(self) -> int:
        """Number of steps of all epochs; known before the first step."""
        parameters = self._hyperparameters
        return parameters.n_epochs * math.ceil(len(self._examples) / parameters.batch_size)

    def __iter__(self) -> Iterator[TrainingStep]:
        """Yield each completed step."""
        parameters, weights = self._hyperparameters, self._weights
        rng = Random(self._spec.seed)  # noqa: S311 - reproducible, not secret
        objectives = self._objectives(self._examples, "train")
        held_out = self._objectives(self._validation, "valid")
        step = elapsed_tokens = elapsed_examples = 0
        for epoch in range(1, parameters.n_epochs + 1):
            rng.shuffle(objectives)
            for first in range(0, len(objectives), parameters.batch_size):
                batch = [
                    objective.evaluate(weights)
                    for objective in objectives[first : first + parameters.batch_size]
                ]
                for result in batch:
                    self._learn(result)
                step += 1
                elapsed_examples += len(batch)
                elapsed_tokens += sum(result.n_tokens for result in batch)
                is_last = first + parameters.batch_size >= len(objectives)
                valid = _next_window(held_out, step - 1, parameters.batch_size)
                yield TrainingStep(
                    step=step,
                    epoch=epoch,
                    elapsed_tokens=elapsed_tokens,
                    elapsed_examples=elapsed_examples,
                    train=aggregate_metrics(batch),
                    valid=aggregate_metrics([o.evaluate(weights) for o in valid])
                    if valid
                    else None,
                    full_valid=(
                        aggregate_metrics([o.evaluate(weights) for o in held_out])
                        if held_out and is_last
                        else None
                    ),
                    is_checkpoint=is_last,
                )

    def weights(self) -> Weights:
        """Return the weights after the last completed step."""
        return replace(self._weights, tree=self._weights.tree.fork())

    def snapshot(self) -> SaveWeights:
        """Return a function that writes the weights after the last completed step."""
        weights = self.weights()
        return lambda folder: save_weights(weights, folder)

    def _learn(self, result: ObjectiveResult) -> None:
        learn = self._weights.tree.learn
        rate = _LEARNING_RATE * self._hyperparameters.learning_rate_multiplier
        for span, amounts in result.updates:
            for position, amount in enumerate(amounts, span.start):
                grow = amount > _GROWTH_THRESHOLD
                learn(span.tokens, position, rate * amount, grow=grow)

    def _objectives(self, examples: Sequence[Row], part: str) -> list[Objective]:
        return [
            self._objective(example, f"{self._spec.seed}/{part}/{index}")
            for index, example in enumerate(examples)
        ]

    def _objective(self, example: Row, seed: str) -> Objective:
        tokenizer, spec = self._start.tokenizer, self._spec
        match spec.format:
            case "completions":
                separators, weight = self._weights.separators, spec.prompt_loss_weight
                encoded = encode_completion(example, tokenizer, separators, weight)
                return SupervisedObjective(encoded)
            case "chat":
                return SupervisedObjective(encode_conversation(example["messages"], tokenizer))
            case "dpo":
                return PreferenceObjective(example, self._start, spec.beta)
            case "reinforcement":
                return ReinforcementObjective(example, spec.grader or {}, seed)


def _all_separators(
    start: Weights, format: Format, examples: Sequence[Row]
) -> tuple[tuple[int, ...], ...]:
    separator = infer_separator(examples, start.tokenizer) if format == "completions" else None
    if separator is None or separator in start.separators:
        return start.separators
    return (*start.separators, separator)


def _next_window(items: Sequence[Objective], turn: int, size: int) -> list[Objective]:
    """Return the next items, from the beginning again after the last."""
    size = min(size, len(items))
    return [items[(turn * size + offset) % len(items)] for offset in range(size)]


def _resolve_hyperparameters(spec: TrainingSpec) -> Hyperparameters:
    """Choose unset hyperparameters: fewer epochs for more examples, batches of 0.2 % of them."""
    n_examples = len(spec.examples)
    n_epochs = min(25, max(3, round(100 / n_examples))) if n_examples < 10_000 else 2  # noqa: PLR2004
    return Hyperparameters(
        n_epochs=spec.n_epochs or n_epochs,
        batch_size=spec.batch_size or min(256, max(1, round(0.002 * n_examples))),
        learning_rate_multiplier=spec.learning_rate_multiplier or 1.0,
    )
