# pyright: basic, reportMissingImports=false
"""Base model of a sampler with the adapters that are loaded on it."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import peft
import torch

from tunesmith.service.engines.transformers.tokenizer import ModelTokenizer
from tunesmith.train.sampler.rows import Row
from tunesmith.train.weights import check_tokens, choose_device, choose_dtype, load_base

__all__ = ["SamplerModel"]

_MAX_ADAPTERS = 16
_BASE = "__base__"


class SamplerModel:
    """Base model and its adapters, which rows of one batch may use side by side.

    Args:
        folder: Folder of the base model.
    """

    def __init__(self, folder: Path) -> None:
        self.device = choose_device()
        self._model: Any = load_base(folder, choose_dtype("auto", self.device))
        self._model = self._model.to(self.device).eval()
        tokenizer = ModelTokenizer(folder)
        self.stop_ids = tokenizer.stop_ids
        self.can_mix = True
        """Whether rows of one batch may have different adapters."""
        self._adapters: dict[str, str] = {}
        self._n_loaded = 0
        self._tokenizer = tokenizer
        self._grammars: Any = None

    def check_tokens(self, tokens: Sequence[int]) -> None:
        """Check that there is an embedding for each token.

        Raises:
            ValueError: There is not.
        """
        check_tokens(tokens, self._model)

    def load_adapter(self, folder: str, in_use: set[str | None]) -> None:
        """Load an adapter, if it is not loaded yet.

        Args:
            folder: Folder of the adapter.
            in_use: Folders of adapters that must stay.
        """
        if folder in self._adapters:
            self._adapters[folder] = self._adapters.pop(folder)  # the last used one is the last
            return
        name = f"adapter_{self._n_loaded}"
        if self._n_loaded == 0:
            self._model = peft.PeftModel.from_pretrained(self._model, folder, adapter_name=name)
        else:
            self._model.load_adapter(folder, adapter_name=name)
        self._model.eval()
        self._n_loaded += 1
        self._adapters[folder] = name
        self.can_mix = self.can_mix and self._try_mixing(name)
        unused = [path for path in self._adapters if path not in in_use and path != folder]
        for path in unused[: max(len(self._adapters) - _MAX_ADAPTERS, 0)]:
            self._model.delete_adapter(self._adapters.pop(path))

    @torch.inference_mode()
    def _try_mixing(self, name: str) -> bool:
        """Return whether the adapters' layers support rows with different adapters.

        Those of experts do not, nor do those of models that flatten their rows.
        """
        ids = torch.zeros((2, 2), dtype=torch.long, device=self.device)
        try:
            self._model(input_ids=ids, adapter_names=[name, _BASE])
        except ValueError:
            for module in self._model.modules():
                module._forward_pre_hooks.clear()  # noqa: SLF001 - peft leaves its own after an error
            return False
        return True

    @torch.inference_mode()
    def forward(
        self,
        rows: Sequence[Row],
        ids: torch.Tensor,
        mask: torch.Tensor,
        positions: torch.Tensor,
        cache: Any,
    ) -> torch.Tensor:
        """Return the logits of the last position of each row."""
        with self._adapters_of([row.request.adapter for row in rows]) as names:
            outputs = self._model(
                input_ids=ids,
                attention_mask=mask,
                position_ids=positions,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
                **names,
            )
        return outputs.logits[:, -1].float()

    @torch.inference_mode()
    def score(self, tokens: list[int], adapter: str | None, top: int) -> list[Any]:
        """Return the log-probability and the alternatives of each token but the first.

        Args:
            tokens: Token ids.
            adapter: Folder of the adapter, which is loaded; None for the base model.
            top: Number of alternatives.
        """
        ids = torch.tensor([tokens], device=self.device)
        with self._adapters_of([adapter]) as names:
            logits = self._model(input_ids=ids, **names).logits[0, :-1]
        logprobs = logits.float().log_softmax(-1)
        values = logprobs.gather(-1, ids[0, 1:, None])[:, 0].tolist()
        return [
            [token, value, alternatives(row, top)]
            for token, value, row in zip(tokens[1:], values, logprobs, strict=True)
        ]

    @torch.inference_mode()
    def embed(self, tokens: list[int], adapter: str | None) -> list[float]:
        """Return the mean of the last hidden states.

        Args:
            tokens: Token ids.
            adapter: Folder of the adapter, which is loaded; None for the base model.
        """
        ids = torch.tensor([tokens], device=self.device)
        with self._adapters_of([adapter]) as names:
            output = self._model(
                input_ids=ids, output_hidden_states=True, logits_to_keep=1, **names
            )
        vector: list[float] = output.hidden_states[-1][0].float().mean(0).tolist()
        return vector

    def create_matcher(self, grammar: str) -> Any:
        """Return a matcher of a grammar.

        Raises:
            ValueError: The grammar is invalid or too large.
        """
        from tunesmith.train.sampler.grammar import Grammars  # noqa: PLC0415 - an extra library

        if self._grammars is None:
            size = self._model.get_output_embeddings().weight.shape[0]
            self._grammars = Grammars(self._tokenizer, size)
        return self._grammars.match(grammar)

    @contextmanager
    def _adapters_of(self, folders: Sequence[str | None]) -> Generator[dict[str, list[str]]]:
        """Switch to the adapters of some rows; yield further arguments of the model."""
        if self._n_loaded == 0:
            yield {}
        elif self.can_mix:
            names = [_BASE if folder is None else self._adapters[folder] for folder in folders]
            yield {"adapter_names": names}
        elif folders[0] is None:
            with self._model.disable_adapter():
                yield {}
        else:
            self._model.set_adapter(self._adapters[folders[0]])
            yield {}


def alternatives(logprobs: torch.Tensor, n: int) -> list[list[float]]:
    """Return the ids and log-probabilities of the most likely tokens."""
    if not n:
        return []
    values, ids = logprobs.topk(min(n, len(logprobs)))
    return [list(pair) for pair in zip(ids.tolist(), values.tolist(), strict=True)]
