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
    function_name,
)
from tunesmith.service.engines.transformers.conversation import (
    SENTINELS,
    ControlSplitter,
    Conversation,
)
from tunesmith.service.engines.transformers.leading_space import LeadingSpace
from tunesmith.service.engines.transformers.tool_calls.format import ToolCallFormat, find_format

__all__ = ["ModelTokenizer", "TokenizerError"]

_MAX_IDS = 2**32
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
        TokenizerError: The folder has no `tokenizer.json`.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / "tokenizer.json"
        if not path.exists():
            raise TokenizerError(
                f"{folder} has no tokenizer.json; save the tokenizer with "
                "AutoTokenizer.from_pretrained(…).save_pretrained(…)"
            )
        self.path = path
        """The file `tokenizer.json`."""
        self._config = _read_json(folder / "tokenizer_config.json")
        self._folder = folder
        self._rendered: Any = self._load()
        self.size: int = self._rendered.get_vocab_size()
        self._added: dict[int, Any] = self._rendered.get_added_tokens_decoder()
        stop = self.stop_ids
        self._control_ids = {
            number for number, token in self._added.items() if token.special or number in stop
        }
        control = [self._added[number].content for number in self._control_ids]
        self._plain: Any = self._load_plain(control)
        self._space = LeadingSpace(self._plain.normalizer, self._plain.pre_tokenizer)
        self._continuing = self._plain
        if self._space.is_added:
            self._continuing = self._load_plain(control)
            self._space.remove_from(self._continuing)
        control.sort(key=len, reverse=True)
        self._control = re.compile("|".join(map(re.escape, control)) or r"(?!)")

    def _load(self) -> Any:
        library = import_extra("tokenizers", "train", "Models with weights")
        try:
            tokenizer = library.Tokenizer.from_file(str(self.path))
        except Exception as error:  # the library raises nothing more specific
            raise TokenizerError(f"{self.path} cannot be read: {error}") from error
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return tokenizer

    def _load_plain(self, control: Sequence[str]) -> Any:
        """Load the tokenizer again, such that no text becomes a control token."""
        tokenizer = self._load()
        tokenizer.add_special_tokens(control)
        tokenizer.encode_special_tokens = True
        return tokenizer

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
            raise TokenizerError(
                f"{self._folder} does not define an eos_token; add it to tokenizer_config.json"
            )
        return min(self.stop_ids) if eos is None else eos

    @cached_property
    def prefix_ids(self) -> tuple[int, ...]:
        """Ids that begin each text, such as that of `<s>`."""
        # Some tokenizers add an end, too.
        encoding = self._rendered.encode("a", add_special_tokens=True)
        return tuple(encoding.ids[: encoding.special_tokens_mask.index(0)])

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

    def encode(self, text: str, *, after: Sequence[int] = ()) -> list[int]:
        """Split a text into token ids, none of them a control token.

        Args:
            text: The text.
            after: Tokens that it continues.
        """
        tokenizer = self._continuing if self._is_continued(after) else self._plain
        ids: list[int] = tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def _is_continued(self, ids: Sequence[int]) -> bool:
        """Return whether no space is added to a text after some tokens."""
        if not ids or not self._space.is_added:
            return False
        return not (self._space.follows_control_tokens and ids[-1] in self._control_ids)

    def decode(self, tokens: Sequence[int]) -> str:
        """Join token ids to a text."""
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
    ) -> Conversation:
        """Return a conversation whose beginnings can be rendered.

        Raises:
            ChatTemplateError: The model has no chat template, or it does not support the messages.
        """
        template = self.chat_template
        if template is None:
            raise ChatTemplateError("the model has no chat template; use prompts and completions")
        has_tools = bool(tools) or any(map(_has_calls, messages))
        call_format = self.tool_call_format if has_tools else None
        fields = CallFields() if call_format is None else call_format.fields
        normalized = template.normalize(messages, fields)
        split = ControlSplitter(self._control)
        conversation = Conversation(template, split(normalized), split(list(tools)))
        if has_tools and call_format is None:
            # The template may write them in a way that cannot be read again.
            _check_names(conversation.render(len(messages)), normalized, tools)
        return conversation

    def encode_rendered(self, text: str, *, after: Sequence[int] = ()) -> list[int]:
        """Split a rendered part of a conversation into token ids, with control tokens.

        Args:
            text: The text.
            after: Tokens that it continues.
        """
        ids: list[int] = []
        if not self._is_continued(after) and not any(sentinel in text for sentinel in SENTINELS):
            ids += self._rendered.encode(text, add_special_tokens=False).ids
            return ids
        end = 0
        for match in self._control.finditer(text):
            ids += self._encode_split(text[end : match.start()], [*after[-1:], *ids])
            ids.append(self._rendered.token_to_id(match[0]))
            end = match.end()
        return ids + self._encode_split(text[end:], [*after[-1:], *ids])

    def _encode_split(self, text: str, after: Sequence[int]) -> list[int]:
        for sentinel in SENTINELS:
            text = text.replace(sentinel, "")
        return self.encode(text, after=after)

    def __contains__(self, id: int) -> bool:
        return 0 <= id < _MAX_IDS and self._rendered.id_to_token(id) is not None

    def token_bytes(self, id: int) -> bytes:
        """Return the bytes of a token; none for an id that is not in the vocabulary.

        Models may have more logits than there are tokens, and choose such an id.
        """
        if id in self._added:
            content: str = self._added[id].content
            return content.encode()
        token: str | None = self._rendered.id_to_token(id)
        if token is None:
            return b""
        if self._is_byte_level:
            return bytes(_BYTES_BY_CHAR[char] for char in token)
        if re.fullmatch(r"<0x[0-9A-F]{2}>", token):
            return bytes([int(token[3:5], 16)])
        return token.replace("\u2581", " ").encode()

    @cached_property
    def _is_byte_level(self) -> bool:
        decoder = self._rendered.decoder
        return decoder is not None and b'"ByteLevel"' in decoder.__getstate__()


def _has_calls(message: Mapping[str, Any]) -> bool:
    return bool(message.get("tool_calls") or message.get("function_call"))


def _check_names(
    text: str, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]]
) -> None:
    """Check that a rendered conversation names its tools and calls.

    Raises:
        ChatTemplateError: The template leaves them out.
    """
    calls = (call for message in messages for call in message.get("tool_calls") or ())
    if not all(function_name(item) in text for item in (*tools, *calls)):
        raise ChatTemplateError(
            "the model's chat template does not write tool calls; "
            "leave out tools, or use a template that does"
        )


def _read_json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text("utf-8")) if path.exists() else {}


def _byte_chars() -> dict[str, int]:
    """Return the characters by which byte-level vocabularies write bytes."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [byte for byte in range(256) if byte not in printable]
    chars = {chr(byte): byte for byte in printable}
    return chars | {chr(256 + index): byte for index, byte in enumerate(rest)}


_BYTES_BY_CHAR = _byte_chars()
