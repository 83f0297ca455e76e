# pyright: basic, reportMissingImports=false
"""Continuous batching: rows join and leave between two tokens, whatever their lengths."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import transformers

from tunesmith.train.sampler.rows import Row

__all__ = ["RowBatch"]

Forward = Callable[..., torch.Tensor]
"""Function that returns the logits of the last position of each row."""


class RowBatch:
    """Rows with their keys and values, padded on the left to one length.

    Args:
        forward: Function that runs the model.
        device: Device of the model.
    """

    def __init__(self, forward: Forward, device: torch.device) -> None:
        self._forward = forward
        self._device = device
        self._cache: Any = None
        self._mask = torch.zeros((0, 0), dtype=torch.long, device=device)
        self.rows: list[Row] = []

    def join(self, rows: Sequence[Row]) -> torch.Tensor:
        """Add rows and return the logits of their first tokens.

        Args:
            rows: Rows, each with at least one token.
        """
        prompts = [row.tokens for row in rows]
        width = max(map(len, prompts))
        ids = torch.tensor([[0] * (width - len(ids)) + ids for ids in prompts], device=self._device)
        mask = torch.tensor(
            [[0] * (width - len(ids)) + [1] * len(ids) for ids in prompts], device=self._device
        )
        cache = transformers.DynamicCache()
        positions = (mask.cumsum(-1) - 1).clamp(min=0)
        logits = self._forward(rows, ids, mask, positions, cache)
        if self.rows:
            self._merge(cache, mask)
        else:
            self._cache, self._mask = cache, mask
        self.rows += rows
        return logits

    def advance(self) -> torch.Tensor:
        """Run the model on the last token of each row; return the logits of the next ones."""
        ids = torch.tensor([[row.tokens[-1]] for row in self.rows], device=self._device)
        positions = torch.tensor([[len(row.tokens) - 1] for row in self.rows], device=self._device)
        self._mask = torch.nn.functional.pad(self._mask, (0, 1), value=1)
        return self._forward(self.rows, ids, self._mask, positions, self._cache)

    def retain(self, rows: Sequence[Row]) -> None:
        """Remove all rows but these, and the padding that none of them needs."""
        if len(rows) == len(self.rows):
            return
        if not rows:
            self.rows, self._cache = [], None
            return
        index = torch.tensor([self.rows.index(row) for row in rows], device=self._device)
        mask = self._mask[index]
        start = int(mask.argmax(-1).min())
        self._mask = mask[:, start:]
        for layer in self._cache.layers:
            layer.keys = layer.keys[index][:, :, start:]
            layer.values = layer.values[index][:, :, start:]
        self.rows = list(rows)

    def _merge(self, cache: Any, mask: torch.Tensor) -> None:
        width = max(mask.shape[1], self._mask.shape[1])

        def pad(tensor: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.pad(tensor, (0, 0, width - tensor.shape[2], 0))

        for layer, new in zip(self._cache.layers, cache.layers, strict=True):
            layer.keys = torch.cat([pad(layer.keys), pad(new.keys)])
            layer.values = torch.cat([pad(layer.values), pad(new.values)])
        masks = (torch.nn.functional.pad(m, (width - m.shape[1], 0)) for m in (self._mask, mask))
        self._mask = torch.cat(list(masks))
