"""The commands of old courses, and what they are now."""

from collections.abc import Sequence

__all__ = ["of_old"]

_NOW = {
    "fine_tunes.prepare_data": "prepare",
    "completions.create": "complete",
    "chat_completions.create": "chat",
    "chat.completions.create": "chat",
    "files.create": "files upload",
    "fine_tunes.delete": "models delete",
}
_GROUPS = {
    "fine_tunes": "fine-tunes",
    "fine_tuning.job": "fine-tunes",
    "fine_tuning.jobs": "fine-tunes",
    "files": "files",
    "models": "models",
}
_VERBS = {"list-events": "events", "retrieve": "get"}
_ANY = {"api": "fine_tunes.create", "tools": "fine_tunes.prepare_data"}
"""What stands for a first word that nothing follows."""


def of_old(words: Sequence[str]) -> tuple[str, str] | None:
    """Tell what a command of `openai` is now.

    Args:
        words: What was typed behind `tunesmith`.

    Returns:
        The command as it was, and as it is now; None if it is none of old.
    """
    first, *rest = words
    name = next(iter(rest), _ANY[first]) if first in _ANY else first
    group, _, verb = name.rpartition(".")
    now = _NOW.get(name)
    if now is None and group in _GROUPS:
        verb = verb.replace("_", "-")
        now = f"{_GROUPS[group]} {_VERBS.get(verb, verb)}"
    if now is None:
        return of_old([first]) if first in _ANY and rest else None
    kind = "tools" if name == _ANY["tools"] else "api"
    return f"openai {kind} {name}", f"tunesmith {now}"
