# pyright: basic, reportMissingImports=false
"""Losses of the training methods."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from tunesmith.service.engines.transformers.rows import TokenSequence
from tunesmith.train.batches import Item, TokenBatch, compute_logprobs

__all__ = ["Example", "Objective", "Preference", "Split", "Supervised", "Totals"]


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
        n_full_rewards: Number of rewards of 1.
        n_rewards: Number of rewards.
    """

    loss: float = 0.0
    weight: float = 0.0
    correct: float = 0.0
    sequences: float = 0.0
    correct_sequences: float = 0.0
    reward: float = 0.0
    n_full_rewards: float = 0.0
    n_rewards: float = 0.0

    def metrics(self) -> dict[str, float | None]:
        """Return the metrics by their names in `steps.jsonl`."""
        if self.n_rewards:
            reward, full = self.reward / self.n_rewards, self.n_full_rewards / self.n_rewards
            return {
                "loss": 1 - reward,
                "mean_token_accuracy": full,
                "sequence_accuracy": full,
                "mean_reward": reward,
            }
        return {
            "loss": self.loss / self.weight if self.weight else 0.0,
            "mean_token_accuracy": self.correct / self.weight if self.weight else 0.0,
            "sequence_accuracy": self.correct_sequences / max(self.sequences, 1),
            "mean_reward": None,
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


Split = Callable[[Sequence[Item]], Iterable[TokenBatch]]
"""Function that splits items into batches."""


class Objective(Protocol):
    """Training method."""

    def begin(self, model: Any, examples: Sequence[Example], split: Split, /) -> None:
        """Compute what the method needs of the initial weights, before anything is learnt."""
        ...

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

    def begin(self, model: Any, examples: Sequence[Example], split: Split, /) -> None:
        """Do nothing."""

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


class Preference:
    """Direct preference optimization (DPO) beside the initial weights.

    Args:
        beta: Strength of the constraint to the initial weights.
    """

    def __init__(self, beta: float) -> None:
        self._beta = beta
        self._margins: dict[int, float] = {}

    def begin(self, model: Any, examples: Sequence[Example], split: Split, /) -> None:
        """Compute the margins of the initial weights, which never change."""
        model.eval()
        with torch.no_grad():
            for example in examples:
                [batch] = split([Item(example.sequences)])
                self._margins[id(example)] = float(_margins(model, batch)[0])

    def prepare(self, model: Any, examples: Sequence[Example], totals: Totals, /) -> list[Item]:
        """Return an item for each pair."""
        del model, totals
        return [Item(example.sequences, self._margins[id(example)]) for example in examples]

    def weight(self, items: Sequence[Item], /) -> float:
        """Return the number of pairs."""
        return float(len(items))

    def loss(self, model: Any, batch: TokenBatch, totals: Totals, /) -> torch.Tensor:
        """Return the sum of the losses of the pairs."""
        margins = _margins(model, batch) - batch.values
        loss = -torch.nn.functional.logsigmoid(self._beta * margins).sum()
        n_correct = int((margins > 0).sum())
        totals.loss += float(loss.detach())
        totals.weight += len(margins)
        totals.correct += n_correct
        totals.sequences += len(margins)
        totals.correct_sequences += n_correct
        return loss


def _margins(model: Any, batch: TokenBatch) -> torch.Tensor:
    """Return the log-probability of each preferred answer minus that of the other one."""
    logprobs, _ = compute_logprobs(model, batch)
    sums = torch.zeros(2 * len(batch.values), device=logprobs.device)
    sums = sums.index_add(0, batch.sequence, logprobs)
    return sums[0::2] - sums[1::2]
