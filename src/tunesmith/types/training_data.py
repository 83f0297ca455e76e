r"""Lines of training files.

Known fields are checked, others are kept. Write a line without its empty fields:

```python
line = CompletionExample(prompt="Space is", completion=" a form of outer intuition.")
print(line.model_dump_json(exclude_none=True))
```
"""

from typing import Annotated, Any, Literal

from annotated_types import MinLen

from tunesmith.types.base import APIModel


class CompletionExample(APIModel):
    """Prompt and completion, for completion models."""

    prompt: str
    completion: str


class TrainingMessage(APIModel):
    """Message of a training conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[dict[str, Any]] | None = None
    """Text, or text and image parts; None if the assistant calls tools instead."""
    name: str | None = None
    refusal: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: str | None = None
    function_call: dict[str, Any] | None = None
    weight: Literal[0, 1] | None = None
    """Whether an assistant message is trained on."""


class ChatExample(APIModel):
    """Conversation whose assistant messages are trained on.

    Source: https://platform.openai.com/docs/api-reference/fine-tuning/chat-input
    """

    messages: Annotated[list[TrainingMessage], MinLen(1)]
    tools: list[dict[str, Any]] | None = None
    functions: list[dict[str, Any]] | None = None
    parallel_tool_calls: bool | None = None


class PreferenceInput(APIModel):
    """Conversation up to the compared completions."""

    messages: Annotated[list[TrainingMessage], MinLen(1)]
    tools: list[dict[str, Any]] | None = None
    parallel_tool_calls: bool | None = None


class PreferenceExample(APIModel):
    """Preferred and non-preferred completion of a conversation, for DPO.

    Source: https://platform.openai.com/docs/api-reference/fine-tuning/preference-input
    """

    input: PreferenceInput
    preferred_output: Annotated[list[TrainingMessage], MinLen(1)]
    non_preferred_output: Annotated[list[TrainingMessage], MinLen(1)]


class ReinforcementExample(APIModel):
    """Conversation to complete; graders see the whole line as `item`.

    Source: https://platform.openai.com/docs/api-reference/fine-tuning/reinforcement-input
    """

    messages: Annotated[list[TrainingMessage], MinLen(1)]
    tools: list[dict[str, Any]] | None = None
    parallel_tool_calls: bool | None = None

    @property
    def reference(self) -> dict[str, Any]:
        """Fields of the line other than messages and tools."""
        return self.model_extra or {}
