"""Facts about a model, from the files of its folder."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["ModelConfig", "count_parameters"]

_DEFAULT_CONTEXT_WINDOW = 2048
_WINDOW_KEYS = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "n_ctx")
_WIDTH_KEYS = ("hidden_size", "n_embd", "d_model")


class ModelConfig:
    """Sizes of a model, which architectures name differently.

    Args:
        folder: Folder of the model.

    Raises:
        OSError: The folder has no `config.json`.
        ValueError: The file is invalid.
    """

    def __init__(self, folder: Path) -> None:
        config: dict[str, Any] = json.loads((folder / "config.json").read_text("utf-8"))
        config = config.get("text_config", config)
        self.context_window = _find(config, _WINDOW_KEYS) or _DEFAULT_CONTEXT_WINDOW
        """Maximum number of tokens."""
        self.dimensions = _find(config, _WIDTH_KEYS)
        """Number of dimensions of hidden states, if it is known."""


def _find(config: Mapping[str, Any], keys: Sequence[str]) -> int | None:
    return next((int(config[key]) for key in keys if config.get(key)), None)


def count_parameters(folder: Path) -> int:
    """Return the number of weights in the `.safetensors` files of a folder, by their headers.

    Raises:
        OSError: A file cannot be read.
    """
    total = 0
    for path in folder.glob("*.safetensors"):
        with path.open("rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        total += sum(
            math.prod(tensor["shape"]) for name, tensor in header.items() if name != "__metadata__"
        )
    return total
