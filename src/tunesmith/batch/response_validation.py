"""Validation of responses by a class, and retries with a correction."""

from typing import Any

from pydantic import ValidationError
from pydantic_core import from_json, to_json

from tunesmith._json_types import is_list, is_object
from tunesmith.errors import InvalidResponseError
from tunesmith.protocol.json import text_content, validate_leniently
from tunesmith.protocol.structured import parse_message
from tunesmith.protocol.structured_responses import parse_output
from tunesmith.types.chat import ChatCompletionMessage
from tunesmith.types.responses import Response

__all__ = ["ResponseValidator"]


class ResponseValidator:
    """Parser of responses as objects of a class.

    Args:
        model: The class.
    """

    def __init__(self, model: type[Any]) -> None:
        self._model = model

    def parse(self, answer: dict[str, Any]) -> Any:
        """Parse the first choice of a chat completion, or the text of a response.

        Raises:
            InvalidResponseError: It does not match the class.
        """
        if "output" in answer:
            return self._parse_response(answer)
        choice = _first_choice(answer)
        reason = choice.get("finish_reason")
        if isinstance(reason, str) and reason in {"length", "content_filter"}:
            raise InvalidResponseError(f"The answer is incomplete: it ended with {reason!r}")
        try:
            message = validate_leniently(ChatCompletionMessage, choice.get("message") or {})
        except ValidationError:
            raise InvalidResponseError("The answer is not a chat completion") from None
        return parse_message(self._model, message)

    def _parse_response(self, answer: dict[str, Any]) -> Any:
        try:
            response = validate_leniently(Response, answer)
        except ValidationError:
            raise InvalidResponseError("The answer is not a response") from None
        parsed = parse_output(self._model, response)
        if parsed is None:
            raise InvalidResponseError("The response has no text")
        return parsed

    @staticmethod
    def is_truncated(answer: dict[str, Any]) -> bool:
        """Return whether the token limit cut the answer, as it would cut the next one."""
        details: Any = answer.get("incomplete_details")
        if is_object(details) and details.get("reason") == "max_output_tokens":
            return True
        return _first_choice(answer).get("finish_reason") == "length"

    @staticmethod
    def build_retry_body(
        body: bytes, answer: dict[str, Any], problem: InvalidResponseError
    ) -> bytes:
        """Return a request that shows the model its answer, and the problem."""
        request: Any = from_json(body)
        content = _text_of(answer)
        correction = (
            f"This does not match the schema: {problem.message}. Answer again with JSON that "
            "does, and nothing else."
        )
        name = "input" if "output" in answer else "messages"
        previous = request[name]
        if isinstance(previous, str):
            previous = [{"role": "user", "content": previous}]
        request[name] = [
            *previous,
            {"role": "assistant", "content": content},
            {"role": "user", "content": correction},
        ]
        return to_json(request)


def _text_of(answer: dict[str, Any]) -> str:
    """Return the text of an answer; empty if there is none."""
    output: Any = answer.get("output")
    messages: list[Any] = output if is_list(output) else [_first_choice(answer).get("message")]
    contents = (message.get("content") for message in messages if is_object(message))
    return "".join(text_content(content) or "" for content in contents)


def _first_choice(answer: dict[str, Any]) -> dict[str, Any]:
    """Return the first choice; empty if there is none, since bodies can have any shape."""
    choices: Any = answer.get("choices")
    choice: Any = choices[0] if is_list(choices) and choices else None
    return choice if is_object(choice) else {}
