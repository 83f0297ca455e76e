"""What a job finds in its training and validation files, and what is wrong with them."""

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
"""Scores an answer's text, given the line that it answers."""

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
        failure: What the owner of the job reads.
    """

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class _InvalidLineError(Exception):
    """Something is wrong with a line; the text says what, the code of which kind it is."""

    def __init__(self, text: str, code: str = "invalid_training_file") -> None:
        super().__init__(text)
        self.code = code


def validate_example_count(n: int, param: str = "training_file") -> None:
    """Refuse a file with too few examples.

    Raises:
        InvalidTrainingFileError: There are less than ten.
    """
    if n < _MIN_EXAMPLES:
        raise InvalidTrainingFileError(
            Failure(
                "invalid_n_examples",
                f"{_kind(param).capitalize()} file has {n} example(s), "
                f"but must have at least {_MIN_EXAMPLES} examples",
                param,
            )
        )


def read_examples(
    content: bytes,
    format: Format,
    *,
    param: str = "training_file",
    grade: GradeFunction | None = None,
) -> list[TrainingExample]:
    """Read the examples of a file.

    Args:
        content: The file.
        format: What each line should be.
        param: Which file it is: `training_file` or `validation_file`.
        grade: Scores answers, for reinforcement.

    Raises:
        InvalidTrainingFileError: A line is not what it should be.
    """
    examples: list[TrainingExample] = []
    for number, line in enumerate(_lines(content), 1):
        try:
            examples.append(_example(line, format, grade))
        except _InvalidLineError as wrong:
            raise InvalidTrainingFileError(
                Failure(
                    wrong.code,
                    f"The job failed due to an invalid {_kind(param)} file. "
                    f"Invalid file format. Example {number}{wrong}",
                    param,
                )
            ) from None
    return examples


def _kind(param: str) -> str:
    return param.removesuffix("_file")


def _lines(content: bytes) -> Iterator[bytes]:
    for line in content.removeprefix(b"\xef\xbb\xbf").split(b"\n"):
        if line.strip():
            yield line


def _example(line: bytes, format: Format, grade: GradeFunction | None) -> TrainingExample:
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
    messages = _messages(example, "messages", "")
    if messages[-1].role != "user":
        raise _InvalidLineError(": the last message must be from the user")
    assert grade is not None  # noqa: S101 - a reinforcement job cannot be created without
    return GradedExample(messages, _BoundLineGrader(grade, example))


@dataclass(frozen=True, slots=True)
class _BoundLineGrader:
    """Scores answers to one line; its repr tells all that the score depends on."""

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
    for key in ("input", "preferred_output", "non_preferred_output"):
        if key not in example:
            raise _InvalidLineError(f' is missing "{key}"')
    _reject_unknown_keys(example, {"input", "preferred_output", "non_preferred_output"})
    asked = example["input"]
    if not isinstance(asked, dict):
        raise _InvalidLineError(', "input" is not an object')
    preferred = _messages(example, "preferred_output", "preferred_output ")
    other = _messages(example, "non_preferred_output", "non_preferred_output ")
    for name, output in (("preferred_output", preferred), ("non_preferred_output", other)):
        if output[-1].role != "assistant":
            raise _InvalidLineError(f', "{name}" must be a message from the assistant')
    messages = _messages(cast("dict[str, Any]", asked), "messages", "input ")
    return PreferenceTrainingExample(messages, preferred, other)


def _trainable_messages(example: dict[str, Any]) -> tuple[ChatMessage, ...]:
    messages = _messages(example, "messages", "")
    if messages[-1].role != "assistant":
        raise _InvalidLineError(": the last message must be from the assistant")
    if all(message.weight == 0 for message in messages if message.role == "assistant"):
        raise _InvalidLineError(" has no message from the assistant with a weight above 0")
    return messages


def _messages(container: Mapping[str, Any], key: str, where: str) -> tuple[ChatMessage, ...]:
    if key not in container:
        raise _InvalidLineError(f' is missing "{key}"')
    found = container[key]
    if not isinstance(found, list) or not found:
        raise _InvalidLineError(f', "{key}" is not a list of messages')
    given = cast("Sequence[Any]", found)
    return tuple(_message(message, f", {where}message {i}") for i, message in enumerate(given, 1))


def _message(value: Any, where: str) -> ChatMessage:
    if not isinstance(value, dict):
        raise _InvalidLineError(f"{where} is not an object")
    message = cast("dict[str, Any]", value)
    if "role" not in message:
        raise _InvalidLineError(f"{where} Discriminator 'role' is missing in value")
    role = message["role"]
    if role not in _ROLES:
        raise _InvalidLineError(f"{where} No match for discriminator 'role' and value {role!r}")
    learnt = role == "assistant"
    _reject_unknown_keys(message, _MESSAGE_KEYS | ({"weight"} if learnt else set()), where)
    weight: object = message.get("weight")
    if weight is not None and (not isinstance(weight, int) or weight not in (0, 1)):
        raise _InvalidLineError(f'{where}: "weight" must be 0 or 1')
    content = message.get("content")
    calls = message.get("tool_calls") or message.get("function_call")
    if content is None and not (learnt and (calls or message.get("refusal"))):
        raise _InvalidLineError(f'{where} is missing "content"')
    _check_content(content, where)
    if content is None and message.get("refusal"):
        message = {**message, "content": message["refusal"]}
    return replace(to_chat_messages([message])[0], weight=weight)


def _check_content(content: object, where: str) -> None:
    if content is None or isinstance(content, str):
        return
    if not isinstance(content, list):
        raise _InvalidLineError(f'{where}: "content" is neither text nor a list of parts')
    for part in cast("list[object]", content):
        if not isinstance(part, dict) or "type" not in part:
            raise _InvalidLineError(f"{where}: a part of the content has no 'type'")


def _reject_unknown_keys(value: Mapping[str, Any], known: set[str], where: str = "") -> None:
    for key in value:
        if key not in known:
            raise _InvalidLineError(f'{where} contains an extra "{key}".', "invalid_file_format")
