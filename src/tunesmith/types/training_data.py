r"""The lines of training files.

Fields that a line knows are checked, others are kept. Write one without its empty fields:

```python
line = CompletionExample(prompt="Space is", completion=" a form of outer intuition.")
print(line.model_dump_json(exclude_none=True))
```
"""

from typing import Annotated, Any, Literal

from annotated_types import MinLen

from tunesmith.types.base import APIModel

__all__ = [
    "ChatExample",
    "CompletionExample",
    "PreferenceExample",
    "PreferenceInput",
    "ReinforcementExample",
    "TrainingMessage",
]


class CompletionExample(APIModel):
    """A prompt and how to go on from it, for models that complete."""

    prompt: str
    completion: str


class TrainingMessage(APIModel):
    """A message of a conversation to learn from."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[dict[str, Any]] | None = None
    """Text, or parts of text and images; None where the assistant calls tools instead."""
    name: str | None = None
    refusal: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: str | None = None
    function_call: dict[str, Any] | None = None
    weight: Literal[0, 1] | None = None
    """Of assistants' messages: whether to learn from it."""


class ChatExample(APIModel):
    """A conversation to learn the assistant's messages from.

    Source: https://platform.openai.com/docs/api-reference/fine-tuning/chat-input
    """

    messages: Annotated[list[TrainingMessage], MinLen(1)]
    tools: list[dict[str, Any]] | None = None
    functions: list[dict[str, Any]] | None = None
    parallel_tool_calls: bool | None = None


class PreferenceInput(APIModel):
    """A conversation up to the answer that is judged."""

    messages: Annotated[list[TrainingMessage], MinLen(1)]
    tools: list[dict[str, Any]] | None = None
    parallel_tool_calls: bool | None = None


class PreferenceExample(APIModel):
    """A better and a worse answer to one conversation, for DPO.

    Source: https://platform.openai.com/docs/api-reference/fine-tuning/preference-input
    """

    input: PreferenceInput
    preferred_output: Annotated[list[TrainingMessage], MinLen(1)]
    non_preferred_output: Annotated[list[TrainingMessage], MinLen(1)]


class ReinforcementExample(APIModel):
    """A conversation to answer; whatever else the line holds, the grader finds as `item`.

    Source: https://platform.openai.com/docs/api-reference/fine-tuning/reinforcement-input
    """

    messages: Annotated[list[TrainingMessage], MinLen(1)]
    tools: list[dict[str, Any]] | None = None
    parallel_tool_calls: bool | None = None

    @property
    def reference(self) -> dict[str, Any]:
        """What the line holds beside messages and tools."""
        return self.model_extra or {}
