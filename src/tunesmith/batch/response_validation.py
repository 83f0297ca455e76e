"""Whether an answer fits a class, and how to ask again if it does not."""

from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json, to_json

from tunesmith._json_types import is_list, is_object
from tunesmith.errors import InvalidResponseError
from tunesmith.protocol.structured import parse_message
from tunesmith.types.chat import ChatCompletionMessage

__all__ = ["ResponseValidator"]


class ResponseValidator:
    """Reads answers as objects of a class.

    Args:
        model: The class.
    """

    def __init__(self, model: type[BaseModel]) -> None:
        self._model = model

    def parse(self, answer: dict[str, Any]) -> BaseModel:
        """Read the first choice of a chat completion.

        Raises:
            InvalidResponseError: It does not fit.
        """
        choice = _first_choice(answer)
        reason = choice.get("finish_reason")
        if isinstance(reason, str) and reason in {"length", "content_filter"}:
            raise InvalidResponseError(f"The answer is incomplete: it ended with {reason!r}")
        try:
            message = ChatCompletionMessage.model_validate(choice.get("message") or {})
        except ValidationError:
            raise InvalidResponseError("The answer is no chat completion") from None
        return parse_message(self._model, message)

    @staticmethod
    def is_truncated(answer: dict[str, Any]) -> bool:
        """Whether the limit of tokens cut the answer, as it would cut the next one."""
        return _first_choice(answer).get("finish_reason") == "length"

    @staticmethod
    def build_retry_body(
        body: bytes, answer: dict[str, Any], problem: InvalidResponseError
    ) -> bytes:
        """Make the request that shows the model its answer, and what is wrong with it."""
        request: Any = from_json(body)
        message: Any = _first_choice(answer).get("message")
        request["messages"] = [
            *request["messages"],
            {
                "role": "assistant",
                "content": (message.get("content") if is_object(message) else None) or "",
            },
            {
                "role": "user",
                "content": f"This does not fit the schema: {problem.message}. Answer again with "
                "JSON that does, and nothing else.",
            },
        ]
        return to_json(request)


def _first_choice(answer: dict[str, Any]) -> dict[str, Any]:
    """The first choice; empty if there is none: what a service sends may have any shape."""
    choices: Any = answer.get("choices")
    choice: Any = choices[0] if is_list(choices) and choices else None
    return choice if is_object(choice) else {}
