# pyright: basic, reportMissingImports=false
"""Losses of the training methods."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from tunesmith.train.batches import Item, TokenBatch, compute_logprobs
from tunesmith.train.rows import TokenSequence

__all__ = ["Example", "Objective", "Supervised", "Totals"]


@dataclass(slots=True)
class Totals:
    """Sums over the micro-batches of a step, from which its metrics are computed.

    Args:
        loss: Sum of the losses.
        weight: Sum of the weights by which `loss` is divided.
        correct: Sum of the weights of correct predictions.
        sequences: Number of sequences.
        correct_sequences: Number of sequences without an error.
        reward: Sum of the rewards, for reinforcement.
        n_rewards: Number of rewards.
    """

    loss: float = 0.0
    weight: float = 0.0
    correct: float = 0.0
    sequences: int = 0
    correct_sequences: int = 0
    reward: float = 0.0
    n_rewards: int = 0

    def metrics(self) -> dict[str, float | None]:
        """Return the metrics by their names in `steps.jsonl`."""
        mean_reward = self.reward / self.n_rewards if self.n_rewards else None
        loss = self.loss / self.weight if self.weight else 0.0
        return {
            "loss": loss if mean_reward is None else 1 - mean_reward,
            "mean_token_accuracy": self.correct / self.weight if self.weight else 0.0,
            "sequence_accuracy": self.correct_sequences / max(self.sequences, 1),
            "mean_reward": mean_reward,
        }


@dataclass(frozen=True, slots=True)
class Example:
    """Row of a training file.

    Args:
        row: The row, for graders.
        sequences: Its sequences.
    """

    row: Mapping[str, Any]
    sequences: tuple[TokenSequence, ...]

    @property
    def n_tokens(self) -> int:
        """Number of tokens of all sequences."""
        return sum(len(sequence.ids) for sequence in self.sequences)


class Objective(Protocol):
    """Training method."""

    def prepare(self, model: Any, examples: Sequence[Example], totals: Totals, /) -> list[Item]:
        """Return the items of a step, sampling answers if the method learns from them."""
        ...

    def weight(self, items: Sequence[Item], /) -> float:
        """Return the weight of all items, by which the sum of their losses is divided."""
        ...

    def loss(self, model: Any, batch: TokenBatch, totals: Totals, /) -> torch.Tensor:
        """Return the sum of the losses of a micro-batch, and add its numbers to `totals`."""
        ...


class Supervised:
    """Mean negative log-probability of the learnt tokens."""

    def prepare(self, model: Any, examples: Sequence[Example], totals: Totals, /) -> list[Item]:
        """Return an item for each sequence."""
        del model, totals
        return [Item((sequence,)) for example in examples for sequence in example.sequences]

    def weight(self, items: Sequence[Item], /) -> float:
        """Return the sum of the weights of all predicted tokens."""
        return sum(sum(sequence.weights[1:]) for item in items for sequence in item.sequences)

    def loss(self, model: Any, batch: TokenBatch, totals: Totals, /) -> torch.Tensor:
        """Return the weighted sum of the negative log-probabilities."""
        logprobs, is_correct = compute_logprobs(model, batch)
        loss = -(batch.weights * logprobs).sum()
        n = batch.n_sequences
        wrong = torch.zeros(n, device=loss.device).index_add(
            0, batch.sequence, (~is_correct & (batch.weights >= 1)).float()
        )
        totals.loss += float(loss.detach())
        totals.weight += float(batch.weights.sum())
        totals.correct += float((batch.weights * is_correct).sum())
        totals.sequences += n
        totals.correct_sequences += int((wrong == 0).sum())
        return loss
