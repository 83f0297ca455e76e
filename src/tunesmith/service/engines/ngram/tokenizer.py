"""Tokenizer with a fixed vocabulary of English words, word pieces, numbers and bytes.

Any text is restored exactly, as unknown characters are encoded as bytes. Text never becomes a
special token, so users cannot forge a turn of a conversation.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

from tunesmith.service.core.messages import turn_text

END_OF_TEXT = 256
END_OF_PROMPT = 257
SPECIAL_TOKENS = (
    "<|endoftext|>",
    "<|endofprompt|>",
    "<|system|>",
    "<|user|>",
    "<|assistant|>",
    "<|tool|>",
)
_ROLE_TOKENS = {
    "system": "<|system|>",
    "developer": "<|system|>",
    "user": "<|user|>",
    "assistant": "<|assistant|>",
    "tool": "<|tool|>",
    "function": "<|tool|>",
}
# A space belongs to the word after it, as in the tokenizers of GPT.
_CHUNK = re.compile(r" ?[^\W\d_]+| ?\d{1,3}| ?(?:[^\w\s]|_)+|[\r\n]+|[^\S\r\n]+(?!\S)|[^\S\r\n]")
_SYMBOLS = (
    *("\n\n", "\n\n\n", "  ", "    ", "\r\n", "###", "===", "---", " ->", "--->", "===>", " =>"),
    *(" #", " (", " [", " {", ' "', " '", " -", " \u2013", " \u2014", " =", " <", " >", " *", " +"),
    *(
        ").",
        "),",
        '",',
        '".',
        '."',
        "...",
        "\u2026",
        "://",
        "**",
        '":',
        "\u2019",
        "\u201c",
        " \u201c",
    ),
)
_CACHED_CHUNKS = 50_000
_MAX_CACHED_CHARS = 64


class Tokenizer:
    """Tokenizer by longest match.

    Ids from 0 to 255 are the bytes; the special tokens follow, then the vocabulary in its order.
    Stored models contain these ids, so the vocabulary may only grow at its end.

    Example:
        >>> tokenizer = standard_tokenizer()
        >>> tokenizer.decode(tokenizer.encode("Kant's question"))
        "Kant's question"
    """

    bos_token_id = END_OF_TEXT
    """Id of the token that begins a text."""

    stop_ids = frozenset({END_OF_TEXT})
    """Ids of the tokens that end a text or a turn."""

    def __init__(self, vocabulary: Iterable[str]) -> None:
        self._tokens: list[bytes] = [bytes([value]) for value in range(END_OF_TEXT)]
        self._tokens += [text.encode() for text in SPECIAL_TOKENS]
        self._ids: dict[str, int] = {chr(value): value for value in range(128)}
        for text in vocabulary:
            if text not in self._ids:
                self._ids[text] = len(self._tokens)
                self._tokens.append(text.encode())
        self._longest = max(map(len, self._ids))
        self._chunks: dict[str, tuple[int, ...]] = {}

    def __len__(self) -> int:
        return len(self._tokens)

    def special(self, text: str) -> int:
        """Return the id of a special token."""
        return END_OF_TEXT + SPECIAL_TOKENS.index(text)

    def token_bytes(self, token: int, /) -> bytes:
        """Return a token's bytes.

        Raises:
            ValueError: The id is not in the vocabulary.
        """
        if not 0 <= token < len(self._tokens):
            raise ValueError(f"Token {token} is not in the vocabulary of {len(self)} tokens.")
        return self._tokens[token]

    def encode(self, text: str, /) -> list[int]:
        """Split a text into token ids."""
        tokens: list[int] = []
        for chunk in _CHUNK.findall(text):
            ids = self._chunks.get(chunk)
            if ids is None:
                ids = tuple(self._split(chunk))
                if len(self._chunks) < _CACHED_CHUNKS and len(chunk) <= _MAX_CACHED_CHARS:
                    self._chunks[chunk] = ids
            tokens += ids
        return tokens

    def decode(self, tokens: Sequence[int], /) -> str:
        """Join token ids to a text; invalid bytes become U+FFFD.

        Raises:
            ValueError: An id is not in the vocabulary.
        """
        return to_text(b"".join(map(self.token_bytes, tokens)))

    def encode_chat(
        self,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]] = (),  # noqa: ARG002 - these models call no tools
        /,
    ) -> list[int]:
        """Return the prompt of the assistant's next turn in a conversation."""
        tokens = [token for message in messages for token in self.encode_turn(message)]
        return [*tokens, self.special("<|assistant|>")]

    def encode_turn(self, message: Mapping[str, Any]) -> list[int]:
        """Return a turn of a conversation: its role, its text and its end."""
        role = self.special(_ROLE_TOKENS.get(str(message["role"]), "<|user|>"))
        return [role, *self.encode(turn_text(message)), END_OF_TEXT]

    def _split(self, chunk: str) -> Iterator[int]:
        """Yield the longest known tokens of a chunk, from the left."""
        start = 0
        while start < len(chunk):
            for end in range(min(len(chunk), start + self._longest), start, -1):
                token = self._ids.get(chunk[start:end])
                if token is not None:
                    yield token
                    start = end
                    break
            else:
                # JSON may contain half of a surrogate pair, which UTF-8 cannot encode.
                yield from chunk[start].encode("utf-8", "surrogatepass")
                start += 1


def to_text(raw: bytes) -> str:
    """Decode bytes of tokens, including surrogates."""
    try:
        return raw.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return raw.decode("utf-8", "replace")


def load_corpus(name: str) -> str:
    """Read one of the texts in the package: `prose`, `words` or `pieces`."""
    return (
        resources.files("tunesmith.service.engines.ngram") / "english" / f"{name}.txt"
    ).read_text("utf-8")


@cache
def standard_tokenizer() -> Tokenizer:
    """Return the tokenizer of the n-gram engine."""
    return Tokenizer(_standard_vocabulary())


def _standard_vocabulary() -> Iterator[str]:
    words = dict.fromkeys(re.findall(r"[a-z]+", load_corpus("prose").lower()))
    words.update(dict.fromkeys(load_corpus("words").split()))
    for word in words:
        yield from (" " + word, word, " " + word.capitalize(), word.capitalize())
    for piece in load_corpus("pieces").split():
        yield from (piece, " " + piece, " " + piece.capitalize())
    yield from (f"{space}{number}" for number in range(1000) for space in ("", " "))
    yield from _SYMBOLS
