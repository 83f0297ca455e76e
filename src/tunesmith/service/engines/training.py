"""Training: data, hyperparameters and metrics, and a training in progress."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from tunesmith.training_rules import Format

__all__ = [
    "Dataset",
    "Hyperparameters",
    "InvalidExampleError",
    "Metrics",
    "Progress",
    "Row",
    "TrainingRun",
    "TrainingSpec",
    "TrainingStep",
]

Row: TypeAlias = Mapping[str, Any]
"""Row of a training file, as it was uploaded."""


class Dataset(Protocol):
    """Rows of a training file, which are valid by the rules of the API.

    They are read from the file each time, so a file may be larger than memory. A list is a data
    set, too.
    """

    def __iter__(self) -> Iterator[Row]: ...

    def __len__(self) -> int: ...


@dataclass(frozen=True, slots=True)
class TrainingSpec:
    """Training data and hyperparameters: plain data, which can be sent to another process.

    Args:
        format: Format of the rows: `completions` (`prompt`, `completion`), `chat` (`messages`,
            `tools`), `dpo` (`input`, `preferred_output`, `non_preferred_output`) or
            `reinforcement` (`messages` and fields for the grader).
        examples: Training rows; at least one.
        validation: Held-out rows, which are scored but not learnt.
        n_epochs: Passes over the examples; None lets the engine choose, here and below.
        batch_size: Examples per step.
        learning_rate_multiplier: Factor of the engine's learning rate.
        prompt_loss_weight: Weight of prompt tokens beside completion tokens, for `completions`.
        beta: Strength of the constraint to the initial model, for `dpo`.
        grader: Grader of the API, for `reinforcement`; `tunesmith.service.grading.score` computes
            rewards with it.
        seed: Seed of the order of examples and of all samples.
        options: Further options, which `Engine.check_options` accepted.
    """

    format: Format
    examples: Dataset
    validation: Dataset = ()
    n_epochs: int | None = None
    batch_size: int | None = None
    learning_rate_multiplier: float | None = None
    prompt_loss_weight: float = 0.01
    beta: float = 0.1
    grader: Mapping[str, Any] | None = None
    seed: int = 0
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """Hyperparameters of a training, including those that the engine chose.

    Args:
        n_epochs: Passes over the examples.
        batch_size: Examples per step.
        learning_rate_multiplier: Factor of the engine's learning rate.
        options: All options of the engine, which the job shows.
    """

    n_epochs: int
    batch_size: int
    learning_rate_multiplier: float
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Metrics:
    """Metrics of a model on some examples.

    Args:
        loss: Weighted mean of the negative log-probabilities, in nats per token; for preferences
            the loss of the method, for graded examples 1 minus the mean reward.
        mean_token_accuracy: Share of the learnt tokens that were the most likely ones; for
            preferences the share of correctly ranked pairs, for graded examples that of the full
            rewards.
        sequence_accuracy: Share of examples without an error.
        mean_reward: Mean reward of the sampled answers, for graded examples.
    """

    loss: float
    mean_token_accuracy: float
    sequence_accuracy: float = 0.0
    mean_reward: float | None = None


@dataclass(frozen=True, slots=True)
class TrainingStep:
    """One step of a training: a batch was scored, then learnt.

    Args:
        step: Number of the step, from 1.
        epoch: Number of its epoch, from 1.
        elapsed_tokens: Tokens trained on so far, including repetitions.
        elapsed_examples: Examples trained on so far, including repetitions.
        train: Metrics of the batch before the step.
        valid: Metrics of a validation batch after the step; None without validation data.
        full_valid: Metrics of all validation data, at the end of each epoch.
        is_checkpoint: Whether `TrainingRun.save` can write the weights after this step, as at the
            end of each epoch and of the training.
    """

    step: int
    epoch: int
    elapsed_tokens: int
    elapsed_examples: int
    train: Metrics
    valid: Metrics | None = None
    full_valid: Metrics | None = None
    is_checkpoint: bool = False


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress of a training.

    Args:
        steps: Steps that were asked for, in order.
        is_finished: Whether no step will follow these.
    """

    steps: Sequence[TrainingStep]
    is_finished: bool = False


class InvalidExampleError(ValueError):
    """Row that a model cannot be trained on; the job fails with its line.

    Args:
        message: The problem, continuing the sentence "Example 3 …": `has no token to learn`.
        example: Number of the row, from 1.
        is_validation: Whether it is a row of the validation data.
    """

    def __init__(self, message: str, example: int, *, is_validation: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.example = example
        self.is_validation = is_validation


class TrainingRun(Protocol):
    """Training of one job; it works only between `start` and its end, `pause` or `cancel`."""

    @property
    def hyperparameters(self) -> Hyperparameters:
        """The hyperparameters; known before the start."""
        ...

    @property
    def total_steps(self) -> int:
        """Number of steps of all epochs; known before the start."""
        ...

    async def start(self) -> None:
        """Start the training, or continue it after `pause` or after the process was killed."""
        ...

    async def poll(self, after: int, /) -> Progress:
        """Return the steps after a number of steps, waiting for the first, at most about a second.

        It can be cancelled at any time without losing a step. A step that is asked for again, or
        that is computed again after the process was killed, is equal to the first one.

        Args:
            after: Number of steps that are known already.

        Raises:
            EngineError: The training has failed; the job shows the message.
        """
        ...

    async def save(self, step: int, folder: Path, /) -> None:
        """Write the weights after a step to a folder, for `Engine.open`.

        Args:
            step: One of the last three steps with `is_checkpoint`.
            folder: The folder, which does not exist; after an error the service deletes it.
        """
        ...

    def pause(self) -> None:
        """Stop after the step in progress, keeping everything that `start` needs; do not wait."""
        ...

    def cancel(self) -> None:
        """Stop at once and release everything; do not wait. The folder is deleted afterwards."""
        ...
