"""Tokenizers that put a space before each text, as those of SentencePiece do.

`Hi` becomes the token `▁Hi`. That is right for the beginning of a text, but not for the part of a
text that continues another one: the answer after a prompt would begin with a second space.
"""

import json
from typing import Any

__all__ = ["LeadingSpace"]


class LeadingSpace:
    """Space before texts.

    Args:
        normalizer: Normalizer of `tokenizers`.
        pre_tokenizer: Pre-tokenizer of `tokenizers`.
    """

    def __init__(self, normalizer: Any, pre_tokenizer: Any) -> None:
        self._kinds = _kinds(_state(normalizer)) | _kinds(_state(pre_tokenizer))

    @property
    def is_added(self) -> bool:
        """Whether the tokenizer adds the space at all."""
        return bool(self._kinds)

    @property
    def follows_control_tokens(self) -> bool:
        """Whether it is added after control tokens, too, not only at the beginning of a text."""
        return bool(self._kinds - {"first"})

    def remove_from(self, tokenizer: Any) -> None:
        """Change a tokenizer so that it does not add the space.

        Args:
            tokenizer: Tokenizer that has its own copies of the two parts.
        """
        for name in ("normalizer", "pre_tokenizer"):
            part = getattr(tokenizer, name)
            if part is None:
                continue
            state = _without_space(_state(part))
            if state is None:
                setattr(tokenizer, name, None)
            else:
                part.__setstate__(json.dumps(state).encode())
                setattr(tokenizer, name, part)


def _state(part: Any) -> dict[str, Any]:
    return {} if part is None else json.loads(part.__getstate__())


def _kinds(state: dict[str, Any]) -> set[str]:
    """Return `always` or `first` for each part that adds a space."""
    match state:
        case {"type": "Sequence"}:
            steps = [*state.get("normalizers", ()), *state.get("pretokenizers", ())]
            return {kind for step in steps for kind in _kinds(step)}
        case {"type": "Prepend"} | {"type": "ByteLevel", "add_prefix_space": True}:
            return {"always"}
        case {"type": "Metaspace", "prepend_scheme": "always" | "first" as scheme}:
            return {scheme}
        case _:
            return set()


def _without_space(state: dict[str, Any]) -> dict[str, Any] | None:
    match state:
        case {"type": "Sequence"}:
            changed = dict(state)
            for key in state.keys() & {"normalizers", "pretokenizers"}:
                steps = map(_without_space, state[key])
                changed[key] = [step for step in steps if step is not None]
            return changed
        case {"type": "Prepend"}:
            return None
        case {"type": "ByteLevel"}:
            return {**state, "add_prefix_space": False}
        case {"type": "Metaspace"}:
            return {**state, "prepend_scheme": "never"}
        case _:
            return state
