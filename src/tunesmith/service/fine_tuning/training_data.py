"""Training and validation files: reading and validation of their examples."""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from pydantic_core import from_json

from tunesmith._json_types import is_object
from tunesmith.service.engines.training import InvalidExampleError, Row
from tunesmith.service.files.json_lines import split_lines
from tunesmith.service.fine_tuning.timeline import Failure
from tunesmith.training_rules import (
    MAX_IMAGE_EXAMPLES,
    MIN_EXAMPLES,
    RULES,
    Format,
    Problem,
    count_images,
    inspect_row,
)

__all__ = [
    "InvalidTrainingFileError",
    "TrainingFile",
    "has_prompt",
    "to_file_error",
    "validate_example_count",
]

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


class TrainingFile:
    """Rows of a training or validation file, which is read each time.

    Args:
        open: Function that returns the content.
        format: Format of the rows.
        param: The file's parameter: `training_file` or `validation_file`.

    Raises:
        InvalidTrainingFileError: A row is invalid.
    """

    def __init__(
        self,
        open: Callable[[], Iterable[bytes]],
        format: Format,
        param: str = "training_file",
    ) -> None:
        self._open = open
        self._n_rows = with_images = 0
        for number, (_, line) in enumerate(split_lines(open()), 1):
            try:
                data = _validate_line(line, format)
            except _InvalidLineError as error:
                raise _file_error(f"{number}{error}", param, error.code) from None
            with_images += count_images(data.get("messages")) > 0
            self._n_rows = number
        validate_image_count(with_images, param)

    def __len__(self) -> int:
        return self._n_rows

    def __iter__(self) -> Iterator[Row]:
        for _, line in split_lines(self._open()):
            yield from_json(line)


def has_prompt(content: Iterable[bytes]) -> bool:
    """Return whether the first row of a file is a prompt and its completion."""
    for _, line in split_lines(content):
        try:
            row = from_json(line)
        except ValueError:
            return False
        return is_object(row) and "prompt" in row and "messages" not in row
    return False


def to_file_error(error: InvalidExampleError) -> InvalidTrainingFileError:
    """Return the failure of a job whose engine cannot learn a row."""
    param = "validation_file" if error.is_validation else "training_file"
    return _file_error(f"{error.example} {error.message}", param, "invalid_training_file")


def _file_error(example: str, param: str, code: str) -> InvalidTrainingFileError:
    message = (
        f"The job failed due to an invalid {_kind(param)} file. "
        f"Invalid file format. Example {example}"
    )
    return InvalidTrainingFileError(Failure(code, message, param))


def _kind(param: str) -> str:
    return param.removesuffix("_file")


def _validate_line(line: bytes, format: Format) -> dict[str, Any]:
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
            'requires chat-formatted data: {"messages": […]}. '
            "Convert the file: tunesmith prepare FILE --to chat"
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
