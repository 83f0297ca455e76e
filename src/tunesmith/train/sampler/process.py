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
        self._batch = RowBatch(model.forward, model.device)
        self._waiting: list[Row] = []
        self.output: list[dict[str, Any]] = []
        """Responses that are not written yet."""

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to generate."""
        return not (self._waiting or self._batch.rows)

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
                rows = [*self._waiting, *self._batch.rows]
                self._model.load_adapter(command["adapter"], {r.request.adapter for r in rows})
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
        if self._batch.rows:
            self._choose(self._batch.rows, self._batch.advance())
        joining = self._waiting[: _MAX_ROWS - len(self._batch.rows)]
        if joining:
            self._waiting = self._waiting[len(joining) :]
            self._choose(joining, self._batch.join(joining))

    def _choose(self, rows: Sequence[Row], logits: torch.Tensor) -> None:
        logprobs = logits.log_softmax(-1)
        tokens: list[int] = logits.argmax(-1).tolist()
        errors: dict[int, str] = {}
        for position, row in enumerate(rows):
            if not row.is_greedy:
                try:
                    tokens[position] = row.choose(logits[position])
                except ValueError as error:  # only this request fails
                    errors[position] = str(error)
        index = torch.tensor(tokens, device=logprobs.device)[:, None]
        chosen = logprobs.gather(-1, index)[:, 0].tolist()
        ended: set[int] = set()
        for position, (row, token) in enumerate(zip(rows, tokens, strict=True)):
            request = row.request
            response: dict[str, Any] = {"id": request.id}
            if position in errors:
                response["error"] = errors[position]
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
            self._batch.retain([row for row in self._batch.rows if row.request.id not in ended])

    def _forget(self, id: int) -> None:
        self._waiting = [row for row in self._waiting if row.request.id != id]
        self._batch.retain([row for row in self._batch.rows if row.request.id != id])
