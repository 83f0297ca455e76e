"""Commands of the old `openai` command line, and their names here."""

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
_DEFAULTS = {"api": "fine_tunes.create", "tools": "fine_tunes.prepare_data"}
"""Commands to show for a first word without a known second one."""


def translate_legacy_command(argv: Sequence[str]) -> tuple[str, str] | None:
    """Translate a command of `openai`.

    Args:
        argv: The arguments after `tunesmith`.

    Returns:
        The command there and here; None if it is not a command of `openai`.
    """
    first, *rest = argv
    name = next(iter(rest), _DEFAULTS[first]) if first in _DEFAULTS else first
    group, _, verb = name.rpartition(".")
    command = _COMMANDS.get(name)
    if command is None and group in _GROUPS:
        verb = verb.replace("_", "-")
        command = f"{_GROUPS[group]} {_VERBS.get(verb, verb)}"
    if command is None:
        return translate_legacy_command([first]) if first in _DEFAULTS and rest else None
    kind = "tools" if name == _DEFAULTS["tools"] else "api"
    return f"openai {kind} {name}", f"tunesmith {command}"
