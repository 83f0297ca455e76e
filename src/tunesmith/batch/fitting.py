"""Whether an answer fits a class, and how to ask again if it does not."""

from typing import Any

from pydantic import BaseModel
from pydantic_core import from_json, to_json

from tunesmith.errors import ResponseInvalid
from tunesmith.protocol.structured import parse_message
from tunesmith.types.chat import ChatCompletionMessage

__all__ = ["Fitting"]


class Fitting:
    """Reads answers as objects of a class.

    Args:
        model: The class.
    """

    def __init__(self, model: type[BaseModel]) -> None:
        self._model = model

    def parse(self, answer: dict[str, Any]) -> BaseModel:
        """Read the first choice of a chat completion.

        Raises:
            ResponseInvalid: It does not fit.
        """
        choices: Any = answer.get("choices") or [{}]
        choice: Any = choices[0]
        message = ChatCompletionMessage.model_validate(choice.get("message") or {})
        reason: Any = choice.get("finish_reason")
        if reason in {"length", "content_filter"}:
            raise ResponseInvalid(f"The answer is not whole: it ended by {reason!r}")
        return parse_message(self._model, message)

    @staticmethod
    def asked_again(body: bytes, answer: dict[str, Any], problem: ResponseInvalid) -> bytes:
        """Make the request that shows the model its answer, and what is wrong with it."""
        request: Any = from_json(body)
        choices: Any = answer.get("choices") or [{}]
        message: Any = choices[0].get("message") or {}
        request["messages"] = [
            *request["messages"],
            {"role": "assistant", "content": message.get("content") or ""},
            {
                "role": "user",
                "content": f"This does not fit the schema: {problem.message}. Answer again with "
                "JSON that does, and nothing else.",
            },
        ]
        return to_json(request)
