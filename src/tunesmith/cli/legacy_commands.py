"""Commands and options of the old `openai` command line, and their names here."""

from collections.abc import Mapping, Sequence
from typing import Any

import click

from tunesmith.cli.output import echo

__all__ = ["LegacyCommand", "OptionNormalizer", "translate_legacy_command"]

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
_REMOVED_OPTIONS = {
    "--classification-betas",
    "--classification-n-classes",
    "--classification-positive-class",
    "--compute-classification-metrics",
    "--no-packing",
    "--prompt-loss-weight",
    "--use-packing",
}


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


class OptionNormalizer:
    """Spelling of options with `-` for `_`; prints the current name once."""

    def __init__(self) -> None:
        self._noted: set[str] = set()

    def __call__(self, name: str) -> str:
        """Return the current name."""
        current = name.replace("_", "-")
        if current != name and name not in self._noted:
            self._noted.add(name)
            echo(f"--{name} is now --{current}.", err=True)
        return current


class LegacyCommand(click.Command):
    """Command that also accepts options of the old command line.

    Args:
        legacy: By old option: the option now, "" for an argument, None to leave it out.
    """

    def __init__(
        self, *args: Any, legacy: Mapping[str, str | None] | None = None, **options: Any
    ) -> None:
        super().__init__(*args, **options)
        self._legacy = legacy or {}

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Replace old options, and print their current form."""
        current: list[str] = []
        for arg in args:
            name = arg.replace("_", "-") if arg.startswith("--") else arg
            if (option := name.partition("=")[0]) in _REMOVED_OPTIONS:
                ctx.fail(f"{option} is no longer part of the API. Leave it out.")
            if name not in self._legacy:
                current.append(arg)
                continue
            replacement = self._legacy[name]
            if replacement:
                current.append(replacement)
            note = {"": "now an argument", None: "no longer needed"}
            echo(f"{arg} is {note.get(replacement, f'now {replacement}')}.", err=True)
        return super().parse_args(ctx, current)
