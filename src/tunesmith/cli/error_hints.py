"""What to do after the service refused, as far as its answer tells."""

from collections.abc import Callable, Iterator

from tunesmith.errors import APIStatusError, AuthenticationError, NotFoundError

__all__ = ["error_hint"]

_NO_SUCH_MODEL = {"model_not_available", "model_not_found"}
_LIST_COMMANDS = {"files": "files", "fine_tuning": "fine-tunes"}
"""By the first part of an operation's name: the commands that list what it is about."""


def error_hint(error: APIStatusError, command: Callable[..., str]) -> str:
    """Say what to do, in a sentence; nothing if there is nothing to say.

    Args:
        error: The refusal.
        command: Writes a command for the same service.
    """
    return next(_hints(error, command), "")


def _hints(error: APIStatusError, command: Callable[..., str]) -> Iterator[str]:
    group = (error.operation or "").partition(".")[0]
    if isinstance(error, AuthenticationError):
        yield "Set OPENAI_API_KEY to a key of this service."
    if error.code == "unknown_url":
        yield f"The address may lack its path, such as /v1: see {command('doctor')}"
    if error.code in _NO_SUCH_MODEL:
        yield f"See what there is: {command('models', 'list')}"
    if group == "completions" and "chat model" in error.message:
        yield f"Its command is {command('chat')}."
    if group == "chat" and "not a chat model" in error.message:
        yield f"Its command is {command('complete')}."
    if isinstance(error, NotFoundError) and group in _LIST_COMMANDS:
        yield f"See what there is: {command(_LIST_COMMANDS[group], 'list')}"
