"""What a job finds in its training and validation files, and what is wrong with them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

from pydantic_core import from_json

from tunesmith.service.engines.base import (
    ChatExample,
    ChatMessage,
    CompletionExample,
    GradedExample,
    PreferenceExample,
    TrainingExample,
)
from tunesmith.service.fine_tuning.timeline import Failure
from tunesmith.service.inference.messages import conversation

__all__ = ["Format", "Grade", "TrainingFileInvalid", "read_examples", "require_examples"]

Format = Literal["completion", "chat", "preference", "reinforcement"]
Grade = Callable[[str, Mapping[str, Any]], float]
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


class TrainingFileInvalid(Exception):
    """A job cannot train on its file.

    Args:
        failure: What the owner of the job reads.
    """

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class _Wrong(Exception):
    """Something is wrong with a line; the text says what, the code of which kind it is."""

    def __init__(self, text: str, code: str = "invalid_training_file") -> None:
        super().__init__(text)
        self.code = code


def require_examples(n: int, param: str = "training_file") -> None:
    """Refuse a file with too few examples.

    Raises:
        TrainingFileInvalid: There are less than ten.
    """
    if n < _MIN_EXAMPLES:
        raise TrainingFileInvalid(
            Failure(
                "invalid_n_examples",
                f"{_kind(param).capitalize()} file has {n} example(s), "
                f"but must have at least {_MIN_EXAMPLES} examples",
                param,
            )
        )


def read_examples(
    content: bytes, format: Format, *, param: str = "training_file", grade: Grade | None = None
) -> list[TrainingExample]:
    """Read the examples of a file.

    Args:
        content: The file.
        format: What each line should be.
        param: Which file it is: `training_file` or `validation_file`.
        grade: Scores answers, for reinforcement.

    Raises:
        TrainingFileInvalid: A line is not what it should be.
    """
    examples: list[TrainingExample] = []
    for number, line in enumerate(_lines(content), 1):
        try:
            examples.append(_example(line, format, grade))
        except _Wrong as wrong:
            raise TrainingFileInvalid(
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


def _example(line: bytes, format: Format, grade: Grade | None) -> TrainingExample:
    try:
        value = from_json(line)
    except ValueError:
        raise _Wrong(" is not valid JSON") from None
    if not isinstance(value, dict):
        raise _Wrong(" is not a JSON object")
    example = cast("dict[str, Any]", value)
    if format == "completion":
        return _completion(example)
    if format == "preference":
        return _preference(example)
    if "prompt" in example and "messages" not in example:
        raise _Wrong(
            " is in the prompt-completion format, but the model is a chat model and "
            'requires chat-formatted data: {"messages": […]}'
        )
    if format == "chat":
        _no_extra(example, _CHAT_KEYS)
        return ChatExample(_learnt_messages(example))
    messages = _messages(example, "messages", "")
    if messages[-1].role != "user":
        raise _Wrong(": the last message must be from the user")
    assert grade is not None  # noqa: S101 - a reinforcement job cannot be created without
    return GradedExample(messages, _LineGrade(grade, example))


@dataclass(frozen=True, slots=True)
class _LineGrade:
    """Scores answers to one line; its repr tells all that the score depends on."""

    grade: Grade
    line: dict[str, Any]

    def __call__(self, text: str) -> float:
        return self.grade(text, self.line)


def _completion(example: dict[str, Any]) -> CompletionExample:
    if "messages" in example:
        raise _Wrong(
            " is in the chat format, but the model is a completion model and requires "
            '{"prompt": …, "completion": …}'
        )
    _no_extra(example, {"prompt", "completion"})
    for key in ("prompt", "completion"):
        if key not in example:
            raise _Wrong(f' is missing "{key}"')
        if not isinstance(example[key], str):
            raise _Wrong(f', "{key}" is not a string')
    return CompletionExample(example["prompt"], example["completion"])


def _preference(example: dict[str, Any]) -> PreferenceExample:
    for key in ("input", "preferred_output", "non_preferred_output"):
        if key not in example:
            raise _Wrong(f' is missing "{key}"')
    _no_extra(example, {"input", "preferred_output", "non_preferred_output"})
    asked = example["input"]
    if not isinstance(asked, dict):
        raise _Wrong(', "input" is not an object')
    preferred = _messages(example, "preferred_output", "preferred_output ")
    other = _messages(example, "non_preferred_output", "non_preferred_output ")
    for name, output in (("preferred_output", preferred), ("non_preferred_output", other)):
        if output[-1].role != "assistant":
            raise _Wrong(f', "{name}" must be a message from the assistant')
    messages = _messages(cast("dict[str, Any]", asked), "messages", "input ")
    return PreferenceExample(messages, preferred, other)


def _learnt_messages(example: dict[str, Any]) -> tuple[ChatMessage, ...]:
    messages = _messages(example, "messages", "")
    if messages[-1].role != "assistant":
        raise _Wrong(": the last message must be from the assistant")
    if all(message.weight == 0 for message in messages if message.role == "assistant"):
        raise _Wrong(" has no message from the assistant with a weight above 0")
    return messages


def _messages(holder: Mapping[str, Any], key: str, where: str) -> tuple[ChatMessage, ...]:
    if key not in holder:
        raise _Wrong(f' is missing "{key}"')
    found = holder[key]
    if not isinstance(found, list) or not found:
        raise _Wrong(f', "{key}" is not a list of messages')
    given = cast("Sequence[Any]", found)
    return tuple(_message(message, f", {where}message {i}") for i, message in enumerate(given, 1))


def _message(value: Any, where: str) -> ChatMessage:
    if not isinstance(value, dict):
        raise _Wrong(f"{where} is not an object")
    message = cast("dict[str, Any]", value)
    if "role" not in message:
        raise _Wrong(f"{where} Discriminator 'role' is missing in value")
    role = message["role"]
    if role not in _ROLES:
        raise _Wrong(f"{where} No match for discriminator 'role' and value {role!r}")
    learnt = role == "assistant"
    _no_extra(message, _MESSAGE_KEYS | ({"weight"} if learnt else set()), where)
    weight: object = message.get("weight")
    if weight is not None and (not isinstance(weight, int) or weight not in (0, 1)):
        raise _Wrong(f'{where}: "weight" must be 0 or 1')
    content = message.get("content")
    calls = message.get("tool_calls") or message.get("function_call")
    if content is None and not (learnt and (calls or message.get("refusal"))):
        raise _Wrong(f'{where} is missing "content"')
    _check_content(content, where)
    if content is None and message.get("refusal"):
        message = {**message, "content": message["refusal"]}
    return replace(conversation([message])[0], weight=weight)


def _check_content(content: object, where: str) -> None:
    if content is None or isinstance(content, str):
        return
    if not isinstance(content, list):
        raise _Wrong(f'{where}: "content" is neither text nor a list of parts')
    for part in cast("list[object]", content):
        if not isinstance(part, dict) or "type" not in part:
            raise _Wrong(f"{where}: a part of the content has no 'type'")


def _no_extra(value: Mapping[str, Any], known: set[str], where: str = "") -> None:
    for key in value:
        if key not in known:
            raise _Wrong(f'{where} contains an extra "{key}".', "invalid_file_format")
