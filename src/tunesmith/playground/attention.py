"""Attention of tuned models with weights, computed by a process of its own."""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from subprocess import PIPE
from typing import Any

import anyio
from pydantic_core import from_json

from tunesmith.service.core.errors import ServiceError, invalid

__all__ = ["AttentionProcess"]

_COMMAND = (sys.executable, "-m", "tunesmith.train.attention")
_BAD_INPUT = 2


class AttentionProcess:
    """Function that computes the attention of a model, for `Playground(compute_attention=…)`.

    Requests wait for each other: each loads the weights.

    Args:
        find_weights: Function that returns the folder of a tuned model's weights.
        command: The program, to which the folder is added.
    """

    def __init__(
        self, find_weights: Callable[[str], Path | None], command: Sequence[str] = _COMMAND
    ) -> None:
        self._find_weights = find_weights
        self._command = command
        self._lock = anyio.Lock()

    async def __call__(self, model: str, prompt: str) -> Mapping[str, Any]:
        """Compute the attention of a tuned model and of its base to the tokens of a prompt.

        Raises:
            ServiceError: The model has no weights, the prompt is too long, or the process failed.
        """
        folder = self._find_weights(model)
        if folder is None or not await (anyio.Path(folder) / "tokenizer.json").exists():
            message = f"The model {model!r} has no weights in Hugging Face layout of its own."
            raise invalid(message, "model")
        command = [*self._command, str(folder)]
        async with self._lock:
            done = await anyio.run_process(command, input=prompt.encode(), stderr=PIPE, check=False)
        if done.returncode:
            reason = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
            status = 400 if done.returncode == _BAD_INPUT else 500
            raise ServiceError(status, reason or "The process of the attention failed.")
        result: dict[str, Any] = from_json(done.stdout)
        return result
