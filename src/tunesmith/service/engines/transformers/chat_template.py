"""Chat templates of Hugging Face models, rendered without their library."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tunesmith._extras import import_extra

__all__ = ["CallFields", "ChatTemplate", "ChatTemplateError", "function_name"]

_GENERATION_TAG = re.compile(r"\{%-?\s*(?:end)?generation\s*-?%\}")


_SHORT_ID = re.compile(r"[a-zA-Z0-9]{9}")


class ChatTemplateError(ValueError):
    """Conversation that a chat template cannot render."""


@dataclass(frozen=True, slots=True)
class CallFields:
    """Fields of messages with tool calls, as a chat template takes them.

    Args:
        are_parsed: Whether arguments are objects instead of JSON texts.
        empty_content: Content of a message that has none.
        has_short_ids: Whether ids of calls must have 9 letters and digits.
    """

    are_parsed: bool = True
    empty_content: str | None = ""
    has_short_ids: bool = False

    def call_id(self, id: str) -> str:
        """Return the id of a call; the same for a call and its result."""
        if not self.has_short_ids or _SHORT_ID.fullmatch(id):
            return id
        return hashlib.sha256(id.encode()).hexdigest()[:9]

    def arguments(self, value: Any) -> Any:
        """Return the arguments of a call; a text that is not JSON stays as it is."""
        if not isinstance(value, str):
            return value if self.are_parsed else json.dumps(value, ensure_ascii=False)
        if self.are_parsed:
            try:
                return json.loads(value)
            except ValueError:
                pass
        return value


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
        template_error: type[Exception] = import_extra(
            "jinja2", "train", "Chat templates"
        ).TemplateError
        try:
            # The tag only marks texts of the assistant, which are found in another way.
            self._template: Any = environment.from_string(_GENERATION_TAG.sub("", source))
        except template_error as error:
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
        except Exception as error:  # a template is a program of its own
            raise ChatTemplateError(
                f"the model's chat template does not support the messages: {error}"
            ) from error

    def normalize(
        self, messages: Sequence[Mapping[str, Any]], fields: CallFields = CallFields()
    ) -> list[dict[str, Any]]:
        """Convert messages of the API to those that templates expect.

        Text parts are joined, arguments of tool calls are parsed, legacy function calls become tool
        calls, results of tools get the names of the functions, and `developer` becomes `system`
        unless the template has a turn for it.

        Args:
            messages: Messages of the API.
            fields: Fields of tool calls.

        Raises:
            ChatTemplateError: A message contains something other than text.
        """
        names: dict[str, str] = {}
        return [self._normalize(message, fields, names) for message in messages]

    def _normalize(
        self, message: Mapping[str, Any], fields: CallFields, names: dict[str, str]
    ) -> dict[str, Any]:
        role = message["role"]
        if role == "function":
            role = "tool"
        if role == "developer" and "developer" not in self.source:
            role = "system"
        result: dict[str, Any] = {"role": role, "content": _join_parts(message.get("content"))}
        if not result["content"] and message.get("refusal"):
            result["content"] = message["refusal"]
        if message.get("name"):
            result["name"] = message["name"]
        if message.get("tool_call_id"):
            result["tool_call_id"] = fields.call_id(message["tool_call_id"])
            result.setdefault("name", names.get(message["tool_call_id"], ""))
        calls: list[Any] = list(message.get("tool_calls") or ())
        if message.get("function_call"):
            calls.append({"type": "function", "function": message["function_call"]})
        if calls:
            names.update((call.get("id", ""), function_name(call)) for call in calls)
            result["tool_calls"] = [_normalize_call(call, fields) for call in calls]
            result["content"] = result["content"] or fields.empty_content
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


def function_name(item: Mapping[str, Any]) -> str:
    """Return the name of the function of a tool or of a call; empty for other tools."""
    function: Mapping[str, Any] = item.get("function") or {}
    return str(function.get("name", ""))


def _normalize_call(call: Mapping[str, Any], fields: CallFields) -> dict[str, Any]:
    function = dict(call.get("function") or {})
    function["arguments"] = fields.arguments(function.get("arguments"))
    ids = {"id": fields.call_id(call["id"])} if call.get("id") else {}
    return {**call, **ids, "type": "function", "function": function}


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
