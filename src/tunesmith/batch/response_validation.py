"""Validation of responses by a class, and retries with a correction."""

from typing import Any

from pydantic import ValidationError
from pydantic_core import from_json, to_json

from tunesmith._json_types import is_list, is_object
from tunesmith.errors import InvalidResponseError
from tunesmith.protocol.json import validate_leniently
from tunesmith.protocol.structured import parse_message, text_content
from tunesmith.types.chat import ChatCompletionMessage

__all__ = ["ResponseValidator"]


class ResponseValidator:
    """Parser of responses as objects of a class.

    Args:
        model: The class.
    """

    def __init__(self, model: type[Any]) -> None:
        self._model = model

    def parse(self, answer: dict[str, Any]) -> Any:
        """Parse the first choice of a chat completion.

        Raises:
            InvalidResponseError: It does not match the class.
        """
        choice = _first_choice(answer)
        reason = choice.get("finish_reason")
        if isinstance(reason, str) and reason in {"length", "content_filter"}:
            raise InvalidResponseError(f"The answer is incomplete: it ended with {reason!r}")
        try:
            message = validate_leniently(ChatCompletionMessage, choice.get("message") or {})
        except ValidationError:
            raise InvalidResponseError("The answer is not a chat completion") from None
        return parse_message(self._model, message)

    @staticmethod
    def is_truncated(answer: dict[str, Any]) -> bool:
        """Return whether the token limit cut the answer, as it would cut the next one."""
        return _first_choice(answer).get("finish_reason") == "length"

    @staticmethod
    def build_retry_body(
        body: bytes, answer: dict[str, Any], problem: InvalidResponseError
    ) -> bytes:
        """Return a request that shows the model its answer, and the problem."""
        request: Any = from_json(body)
        message: Any = _first_choice(answer).get("message")
        content = text_content(message.get("content")) if is_object(message) else None
        correction = (
            f"This does not match the schema: {problem.message}. Answer again with JSON that "
            "does, and nothing else."
        )
        request["messages"] = [
            *request["messages"],
            {"role": "assistant", "content": content or ""},
            {"role": "user", "content": correction},
        ]
        return to_json(request)


def _first_choice(answer: dict[str, Any]) -> dict[str, Any]:
    """Return the first choice; empty if there is none, since bodies can have any shape."""
    choices: Any = answer.get("choices")
    choice: Any = choices[0] if is_list(choices) and choices else None
    return choice if is_object(choice) else {}
