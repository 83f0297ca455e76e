# pyright: basic, reportMissingImports=false
"""Sequences as tensors, in micro-batches of a limited number of tokens."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from tunesmith.service.engines.transformers.rows import TokenSequence

__all__ = ["Item", "TokenBatch", "can_pack", "compute_logprobs", "micro_batches"]


@dataclass(frozen=True, slots=True)
class Item:
    """Sequences that must be computed together, such as the two answers of a preference.

    Args:
        sequences: The sequences.
        value: A number that the loss needs: the advantage of a sampled answer, or the reference's
            margin between two answers.
    """

    sequences: tuple[TokenSequence, ...]
    value: float = 0.0

    @property
    def n_tokens(self) -> int:
        """Number of tokens of all sequences."""
        return sum(len(sequence.ids) for sequence in self.sequences)


@dataclass(frozen=True, slots=True)
class TokenBatch:
    """Sequences as tensors, either padded to one length or packed into one row.

    Args:
        inputs: Arguments of the model.
        selected: Positions that predict a learnt token.
        targets: Those tokens, in the order of the positions.
        weights: Their weights.
        sequence: Index of the sequence of each.
        values: Value of each item.
    """

    inputs: dict[str, torch.Tensor]
    selected: torch.Tensor
    targets: torch.Tensor
    weights: torch.Tensor
    sequence: torch.Tensor
    values: torch.Tensor

    @property
    def n_sequences(self) -> int:
        """Number of sequences with a learnt token."""
        return int(self.sequence.max()) + 1 if len(self.sequence) else 0


def micro_batches(
    items: Sequence[Item], *, max_tokens: int, packing: bool, device: torch.device
) -> Iterator[TokenBatch]:
    """Split the items of a step into batches that are computed one after the other.

    Items of similar length share a batch, so there is little padding.

    Args:
        items: The items.
        max_tokens: Maximum number of tokens of a batch, with padding.
        packing: Whether to pack sequences into one row instead of padding them.
        device: Device of the tensors.
    """
    group: list[Item] = []
    for item in sorted(items, key=_longest):
        sequences = sum(len(other.sequences) for other in [*group, item])
        packed = sum(other.n_tokens for other in group) + item.n_tokens
        size = packed if packing else sequences * _longest(item)
        if group and size > max_tokens:
            yield _build(group, packing=packing, device=device)
            group = []
        group.append(item)
    if group:
        yield _build(group, packing=packing, device=device)


def _longest(item: Item) -> int:
    return max(len(sequence.ids) for sequence in item.sequences)


def _build(items: Sequence[Item], *, packing: bool, device: torch.device) -> TokenBatch:
    sequences = [sequence for item in items for sequence in item.sequences]
    lengths = [len(sequence.ids) for sequence in sequences]
    # A position predicts the next token, so the weights move one position to the front.
    weights = [[*sequence.weights[1:], 0.0] for sequence in sequences]
    targets = [[*sequence.ids[1:], 0] for sequence in sequences]
    if packing:
        positions = [index for length in lengths for index in range(length)]
        inputs = {
            "input_ids": torch.tensor([_concatenate([item.ids for item in sequences])]),
            "position_ids": torch.tensor([positions]),
        }
        all_weights = torch.tensor([_concatenate(weights)])
        all_targets = torch.tensor([_concatenate(targets)])
        owners = torch.tensor([[i for i, length in enumerate(lengths) for _ in range(length)]])
    else:
        width = max(lengths)
        inputs = {
            "input_ids": _pad([sequence.ids for sequence in sequences], width),
            "attention_mask": _pad([[1] * length for length in lengths], width),
        }
        all_weights, all_targets = _pad(weights, width), _pad(targets, width)
        owners = torch.arange(len(sequences))[:, None].expand(-1, width)
    selected = all_weights != 0
    return TokenBatch(
        inputs={name: tensor.to(device) for name, tensor in inputs.items()},
        selected=selected.to(device),
        targets=all_targets[selected].to(device),
        weights=all_weights[selected].to(device),
        sequence=owners[selected].to(device),
        values=torch.tensor([item.value for item in items], device=device),
    )


def _concatenate(lists: Sequence[Sequence[Any]]) -> list[Any]:
    return [value for values in lists for value in values]


def _pad(lists: Sequence[Sequence[Any]], width: int) -> torch.Tensor:
    return torch.tensor([[*values, *[0] * (width - len(values))] for values in lists])


@torch.no_grad()
def can_pack(model: Any, device: torch.device) -> bool:
    """Return whether a model keeps the sequences of a packed row apart.

    Some architectures ignore position ids, so that a sequence attends to those before it.

    Args:
        model: Causal language model.
        device: Device of the model.
    """
    model.eval()
    positions = torch.tensor([[0, 1, 2, 0, 1, 2]], device=device)
    second = [
        model(input_ids=ids.to(device), position_ids=positions, use_cache=False).logits[0, 3:]
        for ids in (torch.tensor([[0, 1, 2, 3, 4, 5]]), torch.tensor([[2, 0, 0, 3, 4, 5]]))
    ]
    return bool(torch.allclose(*second, rtol=0, atol=1e-6))


def compute_logprobs(model: Any, batch: TokenBatch) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the log-probability of each learnt token, and whether it was the most likely one.

    The output head is computed only where a token is learnt.

    Args:
        model: Causal language model.
        batch: The batch.
    """
    with _head_at(model, batch.selected):
        logits = model(**batch.inputs, use_cache=False).logits[0].float()
    logprobs = -torch.nn.functional.cross_entropy(logits, batch.targets, reduction="none")
    return logprobs, logits.detach().argmax(-1) == batch.targets


@contextmanager
def _head_at(model: Any, selected: torch.Tensor) -> Iterator[None]:
    head = getattr(model, "module", model).get_output_embeddings()
    hook: Callable[..., Any] = lambda _, inputs: (inputs[0][selected][None], *inputs[1:])  # noqa: E731
    handle = head.register_forward_pre_hook(hook)
    try:
        yield
    finally:
        handle.remove()
