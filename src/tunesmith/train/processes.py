# pyright: basic, reportMissingImports=false
"""Processes of one training, as torchrun starts them: each computes a share of every step."""

import os
from collections.abc import Sequence
from dataclasses import astuple
from typing import TypeVar

import torch

from tunesmith.train.objectives import Totals

__all__ = ["Processes"]

_Item = TypeVar("_Item")


class Processes:
    """Processes of one training; a single one without torchrun.

    Args:
        device: Device of this process.
    """

    def __init__(self, device: torch.device) -> None:
        self.rank = int(os.environ.get("RANK", "0"))
        """Number of this process; 0 writes to the job's folder."""
        self.count = int(os.environ.get("WORLD_SIZE", "1"))
        """Number of processes."""
        self._device = device

    def share(self, items: Sequence[_Item]) -> Sequence[_Item]:
        """Return the items of this process, which may be none."""
        return items[self.rank :: self.count]

    def total(self, value: float) -> float:
        """Return the sum of a value over all processes."""
        return self._reduce([value], "SUM")[0]

    def maximum(self, value: float) -> float:
        """Return the largest value of all processes."""
        return self._reduce([value], "MAX")[0]

    def merge(self, totals: Totals) -> Totals:
        """Return the totals of all processes."""
        return Totals(*self._reduce(astuple(totals), "SUM"))

    def _reduce(self, values: Sequence[float], operation: str) -> list[float]:
        if self.count == 1:
            return list(values)
        dtype = torch.float32 if self._device.type == "mps" else torch.float64
        tensor = torch.tensor(values, dtype=dtype, device=self._device)
        torch.distributed.all_reduce(tensor, getattr(torch.distributed.ReduceOp, operation))
        return [float(value) for value in tensor.tolist()]
