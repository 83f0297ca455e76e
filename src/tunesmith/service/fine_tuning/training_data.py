"""Training and validation files: reading and validation of their examples."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

from pydantic_core import from_json

from tunesmith.service.engines.base import (
    ChatMessage,
    ChatTrainingExample,
    CompletionTrainingExample,
    GradedExample,
    PreferenceTrainingExample,
    TrainingExample,
)
from tunesmith.service.fine_tuning.timeline import Failure
from tunesmith.service.inference.messages import to_chat_messages

__all__ = [
    "Format",
    "GradeFunction",
    "InvalidTrainingFileError",
    "read_examples",
    "validate_example_count",
]

Format = Literal["completion", "chat", "preference", "reinforcement"]
GradeFunction = Callable[[str, Mapping[str, Any]], float]
"""Function that scores a text as the answer to an example."""

_MIN_EXAMPLES = 10

_ROLES = ("system", "developer", "user", "assistant", "tool", "function")
_MESSAGE_KEYS = {
    "role",
    "content",
    "name",
    "refusal",
    "tool_calls",
    "tool_call_id",
    "function_call",
}
_CHAT_KEYS = {"messages", "tools", "functions", "parallel_tool_calls"}


class InvalidTrainingFileError(Exception):
    """A job cannot train on its file.

    Args:
        failure: The reason.
    """

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class _InvalidLineError(Exception):
    """A line is invalid; the message continues the sentence `Example N`."""

    def __init__(self, message: str, code: str = "invalid_training_file") -> None:
        super().__init__(message)
        self.code = code


def validate_example_count(n: int, param: str = "training_file") -> None:
    """Validate that a file has enough examples.

    Raises:
        InvalidTrainingFileError: There are fewer than ten.
    """
    if n < _MIN_EXAMPLES:
        message = (
            f"{_kind(param).capitalize()} file has {n} example(s), "
            f"but must have at least {_MIN_EXAMPLES} examples"
        )
        raise InvalidTrainingFileError(Failure("invalid_n_examples", message, param))


def read_examples(
    content: bytes,
    format: Format,
    *,
    param: str = "training_file",
    grade: GradeFunction | None = None,
) -> list[TrainingExample]:
    """Read the examples of a file.

    Args:
        content: The file's content.
        format: Format of the lines.
        param: The file's parameter: `training_file` or `validation_file`.
        grade: Score of answers, for reinforcement.

    Raises:
        InvalidTrainingFileError: A line is invalid.
    """
    examples: list[TrainingExample] = []
    for number, line in enumerate(_lines(content), 1):
        try:
            examples.append(_read_example(line, format, grade))
        except _InvalidLineError as error:
            message = (
                f"The job failed due to an invalid {_kind(param)} file. "
                f"Invalid file format. Example {number}{error}"
            )
            raise InvalidTrainingFileError(Failure(error.code, message, param)) from None
    return examples


def _kind(param: str) -> str:
    return param.removesuffix("_file")


def _lines(content: bytes) -> Iterator[bytes]:
    for line in content.removeprefix(b"\xef\xbb\xbf").split(b"\n"):
        if line.strip():
            yield line


def _read_example(line: bytes, format: Format, grade: GradeFunction | None) -> TrainingExample:
    try:
        value = from_json(line)
    except ValueError:
        raise _InvalidLineError(" is not valid JSON") from None
    if not isinstance(value, dict):
        raise _InvalidLineError(" is not a JSON object")
    example = cast("dict[str, Any]", value)
    if format == "completion":
        return _completion(example)
    if format == "preference":
        return _preference(example)
    if "prompt" in example and "messages" not in example:
        raise _InvalidLineError(
            " is in the prompt-completion format, but the model is a chat model and "
            'requires chat-formatted data: {"messages": […]}'
        )
    if format == "chat":
        _reject_unknown_keys(example, _CHAT_KEYS)
        return ChatTrainingExample(_trainable_messages(example))
    messages = _messages(example, "messages")
    if messages[-1].role != "user":
        raise _InvalidLineError(": the last message must be from the user")
    assert grade is not None  # noqa: S101 - reinforcement jobs have a grader
    return GradedExample(messages, _BoundGradeFunction(grade, example))


@dataclass(frozen=True, slots=True)
class _BoundGradeFunction:
    """Score of answers to one line; the repr contains all that the score depends on."""

    grade: GradeFunction
    line: dict[str, Any]

    def __call__(self, text: str) -> float:
        return self.grade(text, self.line)


def _completion(example: dict[str, Any]) -> CompletionTrainingExample:
    if "messages" in example:
        raise _InvalidLineError(
            " is in the chat format, but the model is a completion model and requires "
            '{"prompt": …, "completion": …}'
        )
    _reject_unknown_keys(example, {"prompt", "completion"})
    for key in ("prompt", "completion"):
        if key not in example:
            raise _InvalidLineError(f' is missing "{key}"')
        if not isinstance(example[key], str):
            raise _InvalidLineError(f', "{key}" is not a string')
    return CompletionTrainingExample(example["prompt"], example["completion"])


def _preference(example: dict[str, Any]) -> PreferenceTrainingExample:
    keys = ("input", "preferred_output", "non_preferred_output")
    for key in keys:
        if key not in example:
            raise _InvalidLineError(f' is missing "{key}"')
    _reject_unknown_keys(example, set(keys))
    if not isinstance(example["input"], dict):
        raise _InvalidLineError(', "input" is not an object')
    preferred, non_preferred = [_messages(example, key, f"{key} ") for key in keys[1:]]
    for key, output in (("preferred_output", preferred), ("non_preferred_output", non_preferred)):
        if output[-1].role != "assistant":
            raise _InvalidLineError(f', "{key}" must be a message from the assistant')
    messages = _messages(cast("dict[str, Any]", example["input"]), "messages", "input ")
    return PreferenceTrainingExample(messages, preferred, non_preferred)


def _trainable_messages(example: dict[str, Any]) -> tuple[ChatMessage, ...]:
    messages = _messages(example, "messages")
    if messages[-1].role != "assistant":
        raise _InvalidLineError(": the last message must be from the assistant")
    if all(message.weight == 0 for message in messages if message.role == "assistant"):
        raise _InvalidLineError(" has no message from the assistant with a weight above 0")
    return messages


def _messages(container: Mapping[str, Any], key: str, place: str = "") -> tuple[ChatMessage, ...]:
    if key not in container:
        raise _InvalidLineError(f' is missing "{key}"')
    messages = container[key]
    if not isinstance(messages, list) or not messages:
        raise _InvalidLineError(f', "{key}" is not a list of messages')
    return tuple(
        _message(message, f", {place}message {number}")
        for number, message in enumerate(cast("Sequence[Any]", messages), 1)
    )


def _message(value: Any, place: str) -> ChatMessage:
    if not isinstance(value, dict):
        raise _InvalidLineError(f"{place} is not an object")
    message = cast("dict[str, Any]", value)
    if "role" not in message:
        raise _InvalidLineError(f"{place} Discriminator 'role' is missing in value")
    role = message["role"]
    if role not in _ROLES:
        raise _InvalidLineError(f"{place} No match for discriminator 'role' and value {role!r}")
    is_assistant = role == "assistant"
    _reject_unknown_keys(message, _MESSAGE_KEYS | ({"weight"} if is_assistant else set()), place)
    weight: object = message.get("weight")
    if weight is not None and (not isinstance(weight, int) or weight not in (0, 1)):
        raise _InvalidLineError(f'{place}: "weight" must be 0 or 1')
    content = message.get("content")
    calls = message.get("tool_calls") or message.get("function_call")
    if content is None and not (is_assistant and (calls or message.get("refusal"))):
        raise _InvalidLineError(f'{place} is missing "content"')
    _validate_content(content, place)
    if content is None and message.get("refusal"):
        message = {**message, "content": message["refusal"]}
    return replace(to_chat_messages([message])[0], weight=weight)


def _validate_content(content: object, place: str) -> None:
    if content is None or isinstance(content, str):
        return
    if not isinstance(content, list):
        raise _InvalidLineError(f'{place}: "content" must be a string or a list of parts')
    for part in cast("list[object]", content):
        if not isinstance(part, dict) or "type" not in part:
            raise _InvalidLineError(f"{place}: a part of the content has no 'type'")


def _reject_unknown_keys(value: Mapping[str, Any], known: set[str], place: str = "") -> None:
    for key in value:
        if key not in known:
            raise _InvalidLineError(f'{place} contains an extra "{key}".', "invalid_file_format")
