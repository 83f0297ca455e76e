# pyright: basic, reportMissingImports=false
"""Requests in progress of a sampler, each of which gets a token at a time."""

from collections.abc import Sequence
from typing import Any

import torch

from tunesmith.train.sampler.batch import RowBatch
from tunesmith.train.sampler.model import SamplerModel, alternatives
from tunesmith.train.sampler.requests import SamplingRequest
from tunesmith.train.sampler.rows import Row

__all__ = ["Sampler"]

_MAX_ROWS = 64


class Sampler:
    """Requests in progress of one base model.

    Args:
        model: The model.
    """

    def __init__(self, model: SamplerModel) -> None:
        self._model = model
        self._batches: dict[str | None, RowBatch] = {}
        self._waiting: list[Row] = []
        self.output: list[dict[str, Any]] = []
        """Responses that are not written yet."""

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to generate."""
        return not (self._waiting or self._batches)

    def handle(self, command: dict[str, Any]) -> None:
        """Accept a request, or forget one.

        Args:
            command: Its values; `op` is `generate`, `score`, `embed` or `cancel`.
        """
        operation = command.pop("op")
        if operation == "cancel":
            self._forget(command["id"])
            return
        try:
            if command.get("adapter"):
                self._load_adapter(command["adapter"])
            self._model.check_tokens(command.get("prompt") or command["tokens"])
            if operation == "score":
                scores = self._model.score(
                    command["tokens"], command.get("adapter"), command["top_logprobs"]
                )
                self.output.append({"id": command["id"], "tokens": scores, "end": "stop"})
            elif operation == "embed":
                vector = self._model.embed(command["tokens"], command.get("adapter"))
                self.output.append({"id": command["id"], "tokens": vector, "end": "stop"})
            else:
                request = SamplingRequest.parse(command)
                grammar = request.grammar
                matcher = None if grammar is None else self._model.create_matcher(grammar)
                self._waiting.append(Row(request, matcher, self._model.device))
        except Exception as error:  # noqa: BLE001 - only this request fails
            self.output.append({"id": command["id"], "error": str(error) or repr(error)})

    def advance(self) -> None:
        """Generate the next token of each text."""
        for batch in list(self._batches.values()):
            self._choose(batch, batch.rows, batch.advance())
        n_free = _MAX_ROWS - sum(len(batch.rows) for batch in self._batches.values())
        joining, self._waiting = self._waiting[:n_free], self._waiting[n_free:]
        groups: dict[str | None, list[Row]] = {}
        for row in joining:
            key = None if self._model.can_mix else row.request.adapter or ""
            groups.setdefault(key, []).append(row)
        for key, rows in groups.items():
            batch = self._batches.get(key) or RowBatch(self._model.forward, self._model.device)
            self._batches[key] = batch
            self._choose(batch, rows, batch.join(rows))
        self._batches = {key: batch for key, batch in self._batches.items() if batch.rows}

    def _load_adapter(self, folder: str) -> None:
        rows = [*self._waiting, *(row for batch in self._batches.values() for row in batch.rows)]
        could_mix = self._model.can_mix
        self._model.load_adapter(folder, {row.request.adapter for row in rows})
        if could_mix and not self._model.can_mix:
            self._waiting, self._batches = rows, {}  # each adapter gets a batch of its own

    def _choose(self, batch: RowBatch, rows: Sequence[Row], logits: torch.Tensor) -> None:
        logprobs = logits.log_softmax(-1)
        tokens, errors = _choose_tokens(rows, logits)
        index = torch.tensor(tokens, device=logprobs.device)[:, None]
        chosen = logprobs.gather(-1, index)[:, 0].tolist()
        ended: set[int] = set()
        for position, (row, token) in enumerate(zip(rows, tokens, strict=True)):
            request = row.request
            response: dict[str, Any] = {"id": request.id}
            if request.id in errors:
                response["error"] = errors[request.id]
            elif token in self._model.stop_ids:
                response["end"] = "stop"
            else:
                row.append(token)
                top = alternatives(logprobs[position], request.top_logprobs)
                response["tokens"] = [[token, chosen[position], top]]
                if row.n_tokens >= request.max_tokens:
                    response["end"] = "length"
            if "end" in response or "error" in response:
                ended.add(request.id)
            self.output.append(response)
        if ended:
            batch.retain([row for row in batch.rows if row.request.id not in ended])

    def _forget(self, id: int) -> None:
        self._waiting = [row for row in self._waiting if row.request.id != id]
        for batch in self._batches.values():
            batch.retain([row for row in batch.rows if row.request.id != id])
        self._batches = {key: batch for key, batch in self._batches.items() if batch.rows}


def _choose_tokens(rows: Sequence[Row], logits: torch.Tensor) -> tuple[list[int], dict[int, str]]:
    """Return the next token of each row, and the reasons of failures by the id of the request."""
    tokens: list[int] = logits.argmax(-1).tolist()
    errors: dict[int, str] = {}
    is_nan = logits.isnan().any(-1).tolist()
    for position, row in enumerate(rows):
        if is_nan[position]:
            errors[row.request.id] = "the model's outputs are not numbers: its weights diverged"
        elif not row.is_greedy:
            try:
                tokens[position] = row.choose(logits[position])
            except Exception as error:  # noqa: BLE001 - only this request fails
                errors[row.request.id] = str(error) or repr(error)
    return tokens, errors
