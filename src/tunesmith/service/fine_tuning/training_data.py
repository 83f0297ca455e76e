"""Training and validation files: reading and validation of their examples."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic_core import from_json

from tunesmith._json_types import is_object
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
from tunesmith.training_rules import (
    MAX_IMAGE_EXAMPLES,
    MIN_EXAMPLES,
    PAIR_KEYS,
    RULES,
    Format,
    Problem,
    count_images,
    inspect_row,
    is_learned,
)

__all__ = ["GradeFunction", "InvalidTrainingFileError", "read_examples", "validate_example_count"]

GradeFunction = Callable[[str, Mapping[str, Any]], float]
"""Function that scores a text as the answer to an example."""

_MESSAGE = re.compile(r"(?:(input)\.)?(messages|\w*preferred_output)\[(\d+)\]")


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
    if n < MIN_EXAMPLES:
        message = (
            f"{_kind(param).capitalize()} file has {n} example(s), "
            f"but must have at least {MIN_EXAMPLES} examples"
        )
        raise InvalidTrainingFileError(Failure("invalid_n_examples", message, param))


def validate_image_count(n: int, param: str) -> None:
    """Validate that a file has few enough examples with images.

    Raises:
        InvalidTrainingFileError: There are more than 50,000.
    """
    if n > MAX_IMAGE_EXAMPLES:
        message = (
            f"{_kind(param).capitalize()} file has {n} examples with images, "
            f"but must have at most {MAX_IMAGE_EXAMPLES} of them"
        )
        raise InvalidTrainingFileError(Failure("invalid_training_file", message, param))


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
    with_images = 0
    for number, line in enumerate(_lines(content), 1):
        try:
            data = _parse_line(line, format)
        except _InvalidLineError as error:
            message = (
                f"The job failed due to an invalid {_kind(param)} file. "
                f"Invalid file format. Example {number}{error}"
            )
            raise InvalidTrainingFileError(Failure(error.code, message, param)) from None
        with_images += count_images(data.get("messages")) > 0
        examples.append(_to_example(data, format, grade))
    validate_image_count(with_images, param)
    return examples


def _kind(param: str) -> str:
    return param.removesuffix("_file")


def _lines(content: bytes) -> Iterator[bytes]:
    for line in content.removeprefix(b"\xef\xbb\xbf").split(b"\n"):
        if line.strip():
            yield line


def _parse_line(line: bytes, format: Format) -> dict[str, Any]:
    try:
        data = from_json(line, allow_inf_nan=False)
    except ValueError:
        raise _InvalidLineError(" is not valid JSON") from None
    if not is_object(data):
        raise _InvalidLineError(" is not a JSON object")
    if format == "completions" and "messages" in data:
        raise _InvalidLineError(
            " is in the chat format, but the model is a completion model and requires "
            '{"prompt": …, "completion": …}'
        )
    if format in {"chat", "reinforcement"} and "prompt" in data and "messages" not in data:
        raise _InvalidLineError(
            " is in the prompt-completion format, but the model is a chat model and "
            'requires chat-formatted data: {"messages": […]}'
        )
    for problem in inspect_row(data, format):
        raise _error(problem)
    return data


def _error(problem: Problem) -> _InvalidLineError:
    """Word a problem as the service does, as far as its words are known."""
    match = _MESSAGE.match(problem.path)
    place = ""
    if match:
        parts = [match[1], match[2] if match[2] != "messages" else None, "message"]
        place = f", {' '.join(filter(None, parts))} {int(match[3]) + 1}"
    match problem.code:
        case "unknown-key":
            text = f'{place} contains an extra "{problem.value}".'
            return _InvalidLineError(text, "invalid_file_format")
        case "missing-key":
            return _InvalidLineError(f' is missing "{problem.path.rpartition(".")[2]}"')
        case "missing-role":
            return _InvalidLineError(f"{place} Discriminator 'role' is missing in value")
        case "unknown-role":
            return _InvalidLineError(
                f"{place} No match for discriminator 'role' and value {problem.value!r}"
            )
        case code:
            place = place or f', "{problem.path}"'
            return _InvalidLineError(f"{place}: {RULES[code].message}")


def _to_example(
    data: dict[str, Any], format: Format, grade: GradeFunction | None
) -> TrainingExample:
    if format == "completions":
        return CompletionTrainingExample(data["prompt"], data["completion"])
    if format == "chat":
        return ChatTrainingExample(_messages(data["messages"]))
    if format == "dpo":
        better, worse = (_messages(data[key]) for key in PAIR_KEYS[1:])
        return PreferenceTrainingExample(_messages(data["input"]["messages"]), better, worse)
    assert grade is not None  # noqa: S101 - reinforcement jobs have a grader
    return GradedExample(_messages(data["messages"]), _BoundGradeFunction(grade, data))


@dataclass(frozen=True, slots=True)
class _BoundGradeFunction:
    """Score of answers to one line; the repr contains all that the score depends on."""

    grade: GradeFunction
    line: dict[str, Any]

    def __call__(self, text: str) -> float:
        return self.grade(text, self.line)


def _messages(messages: Sequence[dict[str, Any]]) -> tuple[ChatMessage, ...]:
    return tuple(map(_message, messages))


def _message(message: dict[str, Any]) -> ChatMessage:
    if message.get("content") is None and message.get("refusal"):
        message = {**message, "content": message["refusal"]}
    is_context = message["role"] == "assistant" and not is_learned(message)
    return replace(to_chat_messages([message])[0], weight=0 if is_context else None)
