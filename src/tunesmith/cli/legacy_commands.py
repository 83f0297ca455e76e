"""The commands of old courses, and what they are now."""

from collections.abc import Sequence

__all__ = ["translate_legacy_command"]

_COMMANDS = {
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
_BARE_GROUPS = {"api": "fine_tunes.create", "tools": "fine_tunes.prepare_data"}
"""What stands for a first word that nothing follows."""


def translate_legacy_command(argv: Sequence[str]) -> tuple[str, str] | None:
    """Tell what a command of `openai` is now.

    Args:
        argv: What was typed behind `tunesmith`.

    Returns:
        The command as it was, and as it is now; None if it is none of old.
    """
    first, *rest = argv
    name = next(iter(rest), _BARE_GROUPS[first]) if first in _BARE_GROUPS else first
    group, _, verb = name.rpartition(".")
    now = _COMMANDS.get(name)
    if now is None and group in _GROUPS:
        verb = verb.replace("_", "-")
        now = f"{_GROUPS[group]} {_VERBS.get(verb, verb)}"
    if now is None:
        return translate_legacy_command([first]) if first in _BARE_GROUPS and rest else None
    kind = "tools" if name == _BARE_GROUPS["tools"] else "api"
    return f"openai {kind} {name}", f"tunesmith {now}"
