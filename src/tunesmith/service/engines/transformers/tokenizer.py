"""Tokenizer of a model's folder, without torch or transformers."""

import json
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from tunesmith._extras import import_extra
from tunesmith._json_types import is_list, is_object
from tunesmith.service.engines.transformers.chat_template import (
    CallFields,
    ChatTemplate,
    ChatTemplateError,
)
from tunesmith.service.engines.transformers.tool_calls.format import ToolCallFormat, find_format

__all__ = ["ModelTokenizer", "TokenizerError"]

_SENTINELS = tuple(map(chr, range(0xFDD0, 0xFDF0)))
"""Characters that Unicode reserves for use inside of programs."""

_SPECIAL_TOKENS = ("bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token")


class TokenizerError(ValueError):
    """Folder without a usable tokenizer."""


class ModelTokenizer:
    """Vocabulary, control tokens and chat template of a model.

    Texts of users never become control tokens: `<|im_end|>` in a message is spelled out in ordinary
    tokens, so that contents cannot forge turns.

    Args:
        folder: Folder with `tokenizer.json`, and optionally `tokenizer_config.json`,
            `chat_template.jinja`, `generation_config.json`, `config.json`.

    Raises:
        TokenizerError: The folder does not exist, or has no `tokenizer.json`.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / "tokenizer.json"
        if not folder.is_dir():
            raise TokenizerError(f"folder {folder} does not exist; give the folder of a model")
        if not path.exists():
            raise TokenizerError(
                f"{folder} has no tokenizer.json; save the tokenizer with "
                "AutoTokenizer.from_pretrained(…).save_pretrained(…)"
            )
        library = import_extra("tokenizers", "train", "Models with weights")
        self.path = path
        """The file `tokenizer.json`."""
        self._config = _read_json(folder / "tokenizer_config.json")
        self._folder = folder
        self._rendered: Any = library.Tokenizer.from_file(str(path))
        self._rendered.no_truncation()
        self._rendered.no_padding()
        self.size: int = self._rendered.get_vocab_size()
        self._added: dict[int, Any] = self._rendered.get_added_tokens_decoder()
        stop = self.stop_ids
        control = [
            token.content
            for number, token in self._added.items()
            if token.special or number in stop
        ]
        self._plain: Any = library.Tokenizer.from_file(str(path))
        self._plain.no_truncation()
        self._plain.no_padding()
        self._plain.add_special_tokens(control)
        self._plain.encode_special_tokens = True
        control.sort(key=len, reverse=True)
        self._control = re.compile("|".join(map(re.escape, control)) or r"(?!)")

    @cached_property
    def special_tokens(self) -> Mapping[str, str]:
        """Texts of the special tokens by name, such as `eos_token`."""
        tokens: dict[str, str] = {}
        for name in _SPECIAL_TOKENS:
            token = self._config.get(name)
            text = token.get("content") if is_object(token) else token
            if isinstance(text, str):
                tokens[name] = text
        return tokens

    @cached_property
    def stop_ids(self) -> frozenset[int]:
        """Ids of all tokens that end a text or a turn."""
        ids: set[int] = set()
        for name in ("generation_config.json", "config.json"):
            value = _read_json(self._folder / name).get("eos_token_id")
            ids.update([value] if isinstance(value, int) else value or ())
        eos = self._rendered.token_to_id(self.special_tokens.get("eos_token", ""))
        if eos is not None:
            ids.add(eos)
        return frozenset(ids)

    @cached_property
    def end_of_text(self) -> int:
        """Id of the token that ends a text.

        Raises:
            TokenizerError: The model has no such token.
        """
        eos = self._rendered.token_to_id(self.special_tokens.get("eos_token", ""))
        if eos is None and not self.stop_ids:
            raise TokenizerError(f"{self._folder} does not define an eos_token")
        return min(self.stop_ids) if eos is None else eos

    @cached_property
    def prefix_ids(self) -> tuple[int, ...]:
        """Ids that begin each text, such as that of `<s>`."""
        return tuple(self._rendered.encode("", add_special_tokens=True).ids)[:1]

    @property
    def bos_token_id(self) -> int:
        """Id of the token that begins a text; alone it is the empty prompt."""
        return self.prefix_ids[0] if self.prefix_ids else self.end_of_text

    @cached_property
    def chat_template(self) -> ChatTemplate | None:
        """Chat template; None for a base model."""
        path = self._folder / "chat_template.jinja"
        source: Any = path.read_text("utf-8") if path.exists() else None
        source = source or self._config.get("chat_template")
        if is_list(source):
            named = {entry["name"]: entry["template"] for entry in source}
            source = named.get("default")
        return ChatTemplate(source, self.special_tokens) if source else None

    @cached_property
    def tool_call_format(self) -> ToolCallFormat | None:
        """Spelling of tool calls; None if the chat template does not write them."""
        template = self.chat_template
        return None if template is None else find_format(template, self._cut_end)

    def _cut_end(self, text: str) -> str:
        for match in self._control.finditer(text):
            if self._rendered.token_to_id(match[0]) in self.stop_ids:
                return text[: match.start()]
        return text

    def split_special(self, text: str) -> list[str | int]:
        """Split a rendered text into texts and the ids of special tokens."""
        parts: list[str | int] = []
        end = 0
        for match in self._control.finditer(text):
            number: int = self._rendered.token_to_id(match[0])
            if number in self.special_ids:
                parts += [text[end : match.start()], number]
                end = match.end()
        return [part for part in (*parts, text[end:]) if part != ""]

    @cached_property
    def special_ids(self) -> frozenset[int]:
        """Ids of all tokens that are not text."""
        return frozenset(number for number, token in self._added.items() if token.special)

    def encode(self, text: str) -> list[int]:
        """Split a text into token ids, none of them a control token."""
        ids: list[int] = self._plain.encode(text, add_special_tokens=False).ids
        return ids

    def decode(self, tokens: Sequence[int]) -> str:
        """Join token ids to a text.

        Raises:
            ValueError: An id is not in the vocabulary.
        """
        return b"".join(map(self.token_bytes, tokens)).decode("utf-8", "replace")

    def encode_chat(
        self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]] = ()
    ) -> list[int]:
        """Return the prompt of the assistant's next turn in a conversation.

        Raises:
            ChatTemplateError: The chat template does not support the messages.
        """
        conversation = self.begin(messages, tools)
        return self.encode_rendered(conversation.render(len(messages), prompt=True))

    def begin(
        self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]] = ()
    ) -> "Conversation":
        """Return a conversation whose beginnings can be rendered.

        Raises:
            ChatTemplateError: The model has no chat template, or it does not support the messages.
        """
        template = self.chat_template
        if template is None:
            raise ChatTemplateError("the model has no chat template; use prompts and completions")
        call_format = None
        if tools or any(map(_has_calls, messages)):
            call_format = self.tool_call_format
            if call_format is None:
                raise ChatTemplateError(
                    "the model's chat template does not write tool calls; "
                    "leave out tools, or use a template that does"
                )
        normalized = template.normalize(
            messages, call_format.fields if call_format else CallFields()
        )
        split = _ControlSplitter(self._control)
        return Conversation(template, split(normalized), split(list(tools)))

    def encode_rendered(self, text: str) -> list[int]:
        """Split a rendered part of a conversation into token ids, with control tokens."""
        ids: list[int] = []
        if not any(sentinel in text for sentinel in _SENTINELS):
            ids += self._rendered.encode(text, add_special_tokens=False).ids
            return ids
        end = 0
        for match in self._control.finditer(text):
            ids += self._encode_split(text[end : match.start()])
            ids.append(self._rendered.token_to_id(match[0]))
            end = match.end()
        return ids + self._encode_split(text[end:])

    def _encode_split(self, text: str) -> list[int]:
        for sentinel in _SENTINELS:
            text = text.replace(sentinel, "")
        return self.encode(text)

    def token_bytes(self, id: int) -> bytes:
        """Return the bytes of a token.

        Raises:
            ValueError: The id is not in the vocabulary.
        """
        if id in self._added:
            content: str = self._added[id].content
            return content.encode()
        token: str | None = self._rendered.id_to_token(id)
        if token is None:
            raise ValueError(f"token id {id} is not in the vocabulary")
        if self._is_byte_level:
            return bytes(_BYTES_BY_CHAR[char] for char in token)
        if re.fullmatch(r"<0x[0-9A-F]{2}>", token):
            return bytes([int(token[3:5], 16)])
        return token.replace("\u2581", " ").encode()

    @cached_property
    def _is_byte_level(self) -> bool:
        decoder = self._rendered.decoder
        return decoder is not None and b'"ByteLevel"' in decoder.__getstate__()


class Conversation:
    """Conversation whose beginnings can be rendered.

    Args:
        template: Chat template.
        messages: Messages, with control tokens split.
        tools: Tools, with control tokens split.
    """

    def __init__(
        self,
        template: ChatTemplate,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]],
    ) -> None:
        self._template = template
        self._messages = messages
        self._tools = tools

    def render(self, n: int, *, prompt: bool = False, user_next: bool = False) -> str:
        """Render the first messages.

        Args:
            n: Number of messages.
            prompt: Whether to begin a turn of the assistant after them.
            user_next: Whether to add a message of the user.

        Raises:
            ChatTemplateError: The template does not support the messages.
        """
        messages = list(self._messages[:n])
        if user_next:
            messages.append({"role": "user", "content": "?"})
        return self._template.render(messages, self._tools, add_generation_prompt=prompt)


class _ControlSplitter:
    """Function that puts a sentinel into each control token that a text spells."""

    def __init__(self, control: re.Pattern[str]) -> None:
        self._control = control

    def __call__(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._split(value)
        if is_object(value):
            return {self(key): self(item) for key, item in value.items()}
        return [self(item) for item in value] if is_list(value) else value

    def _split(self, text: str) -> str:
        if not self._control.search(text):
            return text
        sentinel = next((char for char in _SENTINELS if char not in text), None)
        if sentinel is None:
            raise ChatTemplateError("a message contains too many noncharacters of Unicode")
        return self._control.sub(lambda match: f"{match[0][0]}{sentinel}{match[0][1:]}", text)


def _has_calls(message: Mapping[str, Any]) -> bool:
    return bool(message.get("tool_calls") or message.get("function_call"))


def _read_json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text("utf-8")) if path.exists() else {}


def _byte_chars() -> dict[str, int]:
    """Return the characters by which byte-level vocabularies write bytes."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [byte for byte in range(256) if byte not in printable]
    chars = {chr(byte): byte for byte in printable}
    return chars | {chr(256 + index): byte for index, byte in enumerate(rest)}


_BYTES_BY_CHAR = _byte_chars()
