# pyright: basic, reportMissingImports=false
"""Attention of a model and of its base to the tokens of a prompt."""

import json
import sys
from pathlib import Path
from typing import Any

import peft
import torch

from tunesmith.service.engines.transformers.tokenizer import ModelTokenizer
from tunesmith.train.weights import check_tokens, choose_device, find_base, load_base

__all__ = ["compute_attention"]

_N_NEXT = 5
_MAX_TOKENS = 64
"""Maximum number of tokens of a prompt of the command line, which answers with JSON."""


def compute_attention(folder: Path, prompt: str, *, max_tokens: int) -> dict[str, Any]:
    """Compute the attention of each head to each token.

    Args:
        folder: Folder of an adapter, which names its base, or of a whole model.
        prompt: The prompt; for a model with a chat template, a message of the user.
        max_tokens: Maximum number of tokens.

    Returns:
        `tokens`: their texts. `models`: by name (`base`, `tuned`; `model` for a whole model),
        `attention[layer][head][token][earlier token]`, and `next`: pairs of a likely next token and
        its probability.

    Raises:
        OSError: The weights cannot be read.
        ValueError: The prompt is too long, the base model cannot be found, or the model has no
            attention.
    """
    is_adapter = (folder / "adapter_config.json").exists()
    tokenizer = ModelTokenizer(folder)
    messages = [{"role": "user", "content": prompt}]
    ids = (
        tokenizer.encode_chat(messages)
        if tokenizer.chat_template
        else [*tokenizer.prefix_ids, *tokenizer.encode(prompt)]
    )
    if not 1 <= len(ids) <= max_tokens:
        raise ValueError(f"the prompt has {len(ids)} tokens; it must have 1 to {max_tokens}")
    model = load_base(
        find_base(folder) if is_adapter else folder,
        torch.float32,
        attn_implementation="eager",  # the others do not return what they computed
    )
    check_tokens(ids, model)
    names = ["model"]
    if is_adapter:
        model = peft.PeftModel.from_pretrained(model, str(folder))
        names = ["base", "tuned"]
    model = model.to(choose_device()).eval()
    results: dict[str, Any] = {}
    for name in names:
        if name == "base":
            with model.disable_adapter():
                results[name] = _compute(model, ids, tokenizer)
        else:
            results[name] = _compute(model, ids, tokenizer)
    return {"tokens": [_text(tokenizer, token) for token in ids], "models": results}


@torch.inference_mode()
def _compute(model: Any, ids: list[int], tokenizer: ModelTokenizer) -> dict[str, Any]:
    output = model(input_ids=torch.tensor([ids], device=model.device), output_attentions=True)
    values, next_ids = output.logits[0, -1].float().softmax(-1).topk(_N_NEXT)
    return {
        "attention": [layer[0].float().tolist() for layer in output.attentions],
        "next": [
            (_text(tokenizer, token), value)
            for token, value in zip(next_ids.tolist(), values.tolist(), strict=True)
        ],
    }


def _text(tokenizer: ModelTokenizer, token: int) -> str:
    return tokenizer.token_bytes(token).decode("utf-8", "replace")


def _main() -> int:
    """Compute the attention to the prompt in standard input; write JSON to standard output."""
    try:
        result = compute_attention(Path(sys.argv[1]), sys.stdin.read(), max_tokens=_MAX_TOKENS)
    except (ValueError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    for model in result["models"].values():
        # A page shows no more digits, and no attention to later tokens.
        model["attention"] = [
            [
                [[round(value, 3) for value in row[: i + 1]] for i, row in enumerate(head)]
                for head in layer
            ]
            for layer in model["attention"]
        ]
    sys.stdout.write(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(_main())
