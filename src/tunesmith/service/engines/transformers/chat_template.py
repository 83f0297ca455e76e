"""Chat templates of Hugging Face models, rendered without their library."""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from tunesmith._extras import import_extra

__all__ = ["ChatTemplate", "ChatTemplateError"]

_GENERATION_TAG = re.compile(r"\{%-?\s*(?:end)?generation\s*-?%\}")


class ChatTemplateError(ValueError):
    """Conversation that a chat template cannot render."""


class ChatTemplate:
    """Chat template of a model.

    Args:
        source: The template, in Jinja.
        special_tokens: Texts that the template inserts, such as `bos_token`.

    Raises:
        ChatTemplateError: The template is invalid.
        ConfigurationError: jinja2 is not installed.
    """

    def __init__(self, source: str, special_tokens: Mapping[str, str]) -> None:
        sandbox = import_extra("jinja2.sandbox", "train", "Chat templates")
        environment = sandbox.ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
        )
        environment.filters["tojson"] = _to_json
        functions: dict[str, Any] = {"raise_exception": _raise, "strftime_now": _format_now}
        environment.globals.update(functions)
        self._special_tokens = dict(special_tokens)
        self.source = source
        self._template_error: type[Exception] = import_extra(
            "jinja2", "train", "Chat templates"
        ).TemplateError
        try:
            # The tag only marks texts of the assistant, which are found in another way.
            self._template: Any = environment.from_string(_GENERATION_TAG.sub("", source))
        except self._template_error as error:
            raise ChatTemplateError(f"the model's chat template is invalid: {error}") from error

    def render(
        self,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]] = (),
        *,
        add_generation_prompt: bool = False,
    ) -> str:
        """Render a conversation as text.

        Args:
            messages: Messages as `normalize` returns them.
            tools: Tools of the API.
            add_generation_prompt: Whether to begin the next turn of the assistant.

        Raises:
            ChatTemplateError: The template does not support the conversation.
        """
        try:
            text: str = self._template.render(
                messages=messages,
                tools=list(tools) or None,
                documents=None,
                add_generation_prompt=add_generation_prompt,
                **self._special_tokens,
            )
            return text  # noqa: TRY300 - as short as the call
        except (self._template_error, TypeError, ValueError, KeyError, AttributeError) as error:
            raise ChatTemplateError(
                f"the model's chat template does not support the messages: {error}"
            ) from error

    def normalize(self, messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Convert messages of the API to those that templates expect.

        Text parts are joined, arguments of tool calls are parsed, legacy function calls become tool
        calls, and `developer` becomes `system` unless the template has a turn for it.

        Raises:
            ChatTemplateError: A message contains something other than text.
        """
        return [self._normalize(message) for message in messages]

    def _normalize(self, message: Mapping[str, Any]) -> dict[str, Any]:
        role = message["role"]
        if role == "function":
            role = "tool"
        if role == "developer" and "developer" not in self.source:
            role = "system"
        result = {"role": role, "content": _join_parts(message.get("content"))}
        if not result["content"] and message.get("refusal"):
            result["content"] = message["refusal"]
        for key in ("name", "tool_call_id"):
            if message.get(key):
                result[key] = message[key]
        calls: list[Any] = list(message.get("tool_calls") or ())
        if message.get("function_call"):
            calls.append({"type": "function", "function": message["function_call"]})
        if calls:
            result["tool_calls"] = [_parse_arguments(call) for call in calls]
        return result


def _join_parts(content: Any) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    texts: list[str] = []
    for part in content:
        text = part.get("text", part.get("refusal"))
        if not isinstance(text, str):
            raise ChatTemplateError(
                f"the model accepts only text, but a message contains a part of type "
                f"{part.get('type')!r}"
            )
        texts.append(text)
    return "".join(texts)


def _parse_arguments(call: Mapping[str, Any]) -> dict[str, Any]:
    function = dict(call.get("function") or {})
    arguments = function.get("arguments")
    if isinstance(arguments, str):
        try:
            function["arguments"] = json.loads(arguments)
        except ValueError:
            function["arguments"] = arguments
    return {**call, "type": "function", "function": function}


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    # Unlike jinja2's own filter it does not escape HTML, as templates expect.
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


def _raise(message: str) -> None:
    raise ChatTemplateError(message)


def _format_now(format: str) -> str:
    return datetime.now().astimezone().strftime(format)
