"""Token counts of examples: exact by tiktoken, or estimated."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic_core import to_json

from tunesmith._json_types import is_list, is_object
from tunesmith.datasets.rows import Chunk, columns, is_table
from tunesmith.errors import ConfigurationError
from tunesmith.training_rules import PAIR_KEYS, is_learned

if TYPE_CHECKING:
    from tiktoken import Encoding

__all__ = [
    "ESTIMATE",
    "ExampleTokens",
    "Segment",
    "TokenCounter",
    "default_counter",
    "estimated_tokens",
    "exact_counter",
    "segments",
]

PER_MESSAGE = 3
PER_NAME = 1
PER_CONVERSATION = 3
"""Tokens that chat models add to the texts.

Source: https://github.com/openai/openai-cookbook/blob/main/examples/Chat_finetuning_data_prep.ipynb
"""

_BYTES_PER_TOKEN = 4
_UNCOUNTED_KEYS = {"weight", "tool_call_id", "content", "tool_calls", "function_call"}


class ExampleTokens(NamedTuple):
    """Number of tokens of an example.

    Attributes:
        total: All tokens; these are paid for.
        trained: The tokens of completions or answers, which the model learns to write.
    """

    total: int
    trained: int


@dataclass(frozen=True, slots=True)
class TokenCounter:
    """Counter of tokens, made by `exact_counter` or `default_counter`; `ESTIMATE` is one.

    Attributes:
        name: The name of the encoding, or `estimate`.
        exact: Whether the counts are exact.
        texts: Function that counts the tokens of each text.
        note: The method of an estimate, and the reason for it.
    """

    name: str
    exact: bool
    texts: Callable[[Sequence[str]], list[int]]
    note: str = ""

    def rows(self, chunk: Chunk) -> list[ExampleTokens]:
        """Count the tokens of each example, whatever its format.

        In conversations, each message costs 3 tokens more than its texts, a name 1, and each
        conversation 3. Tools count as their JSON text and calls as their names and arguments, which
        is close to what services do. Images do not count, because their cost depends on their size.
        The question of a preference pair counts once.

        Example:
            ```python
            (tokens,) = ESTIMATE.rows([Row(1, {"prompt": "Space is", "completion": " a form."})])
            assert tokens == ExampleTokens(total=4, trained=2)
            ```
        """
        if is_table(chunk):
            counts = map(self.texts, columns(chunk))
            return [
                ExampleTokens(prompt + completion, completion)
                for prompt, completion in zip(*counts, strict=True)
            ]
        examples = [_Example(data) for _, data in chunk]
        context = self._sums([example.context for example in examples])
        learned = self._sums([example.learned for example in examples])
        return [
            ExampleTokens(before + after + example.overhead, after)
            for example, before, after in zip(examples, context, learned, strict=True)
        ]

    def _sums(self, examples: list[list[str]]) -> list[int]:
        counts = iter(self.texts([text for texts in examples for text in texts]))
        return [sum(islice(counts, len(texts))) for texts in examples]


def estimated_tokens(texts: Sequence[str]) -> list[int]:
    """Estimate one token for every four bytes of UTF-8, rounded up.

    That is close for English prose. Numbers, code and other languages can be off by half.
    """
    sizes = (len(text.encode(errors="surrogatepass")) for text in texts)
    return [-(-size // _BYTES_PER_TOKEN) for size in sizes]


ESTIMATE = TokenCounter(
    "estimate",
    exact=False,
    texts=estimated_tokens,
    note="an estimate: a token for every four bytes of text",
)
"""Counter that estimates a token for every four bytes of UTF-8; needs no extra."""


def exact_counter(
    model: str | None = None, *, encoding: "str | Encoding | None" = None
) -> TokenCounter:
    """Make a counter that counts as a model does; needs the extra `tokens`.

    tiktoken downloads the vocabulary of an encoding at its first use, and keeps it in the folder
    `TIKTOKEN_CACHE_DIR`. Without a network, fill that folder elsewhere and copy it.

    Args:
        model: The model, base or fine-tuned.
        encoding: The encoding, or its name such as `o200k_base`; instead of `model`.

    Raises:
        ConfigurationError: tiktoken is not installed, does not have the model or the encoding, or
            cannot download its vocabulary.
    """
    if encoding is None or isinstance(encoding, str):
        encoding = _encoding(model, encoding)
    count = encoding.encode_ordinary
    return TokenCounter(
        encoding.name, exact=True, texts=lambda texts: [len(count(text)) for text in texts]
    )


def default_counter(model: str | None = None) -> TokenCounter:
    """Make an exact counter if possible; otherwise an estimate with the reason in `note`."""
    if model is None:
        return _estimate_with_note("name the model for an exact count")
    try:
        return exact_counter(model)
    except ConfigurationError as error:
        return _estimate_with_note(str(error))


def _estimate_with_note(reason: str) -> TokenCounter:
    return TokenCounter(
        "estimate", False, estimated_tokens, f"{ESTIMATE.note} ({reason.rstrip('.')})"
    )


def _encoding(model: str | None, name: str | None) -> "Encoding":
    try:
        import tiktoken  # noqa: PLC0415 — an extra
    except ImportError as error:
        raise ConfigurationError(
            "Exact token counts need an extra: pip install 'tunesmith[tokens]'."
        ) from error
    try:
        name = name or tiktoken.encoding_name_for_model(model or "")
    except KeyError:
        raise ConfigurationError(
            f"tiktoken has no encoding for the model {model!r}; name it, for example "
            "encoding='o200k_base'."
        ) from None
    if name not in tiktoken.list_encoding_names():
        known = ", ".join(tiktoken.list_encoding_names())
        raise ConfigurationError(f"tiktoken has no encoding {name!r}. Use one of {known}.")
    try:
        return tiktoken.get_encoding(name)
    except OSError as error:
        raise ConfigurationError(
            f"tiktoken cannot download the vocabulary of {name}. On a machine with a network, run "
            f'TIKTOKEN_CACHE_DIR=vocabularies python -c "import tiktoken; '
            f"tiktoken.get_encoding('{name}')\"; then copy that folder here and set "
            "TIKTOKEN_CACHE_DIR to it."
        ) from error


class Segment(NamedTuple):
    """Part of an example's text.

    Attributes:
        role: The role of its author, or `tools`, `prompt` or `completion`.
        text: The text.
        is_learned: Whether the model learns to write it; otherwise it is context.
    """

    role: str
    text: str
    is_learned: bool


def segments(data: dict[str, Any]) -> Iterator[Segment]:
    """Yield the texts of an example in order, with the loss mask.

    The rule for messages is the one that the service trains by (`training_rules.is_learned`).

    Example:
        ```python
        row = {"prompt": "Space is", "completion": " a form."}
        assert [segment.is_learned for segment in segments(row)] == [False, True]
        ```
    """
    if "completion" in data and "messages" not in data:
        yield Segment("prompt", str(data.get("prompt", "")), is_learned=False)
        yield Segment("completion", str(data["completion"]), is_learned=True)
        return
    for part in _objects([data.get("input", data)]):
        for key in ("tools", "functions"):
            if part.get(key):
                yield Segment("tools", to_json(part[key]).decode(), is_learned=False)
        yield from _message_segments(part.get("messages"))
    for key in PAIR_KEYS[1:]:
        yield from _message_segments(data.get(key))


def _message_segments(messages: Any) -> Iterator[Segment]:
    for message in _objects(messages):
        role = str(message.get("role"))
        for text in _written(message):
            yield Segment(role, text, is_learned(message))


class _Example:
    """Texts of an example that are context, and those that the model learns to write."""

    __slots__ = ("context", "learned", "overhead")

    def __init__(self, data: dict[str, Any]) -> None:
        self.context: list[str] = []
        self.learned: list[str] = []
        self.overhead = 0
        for segment in segments(data):
            (self.learned if segment.is_learned else self.context).append(segment.text)
        for part in _objects([data.get("input", data)]):
            self.overhead += PER_CONVERSATION
            self._add_overhead(part.get("messages"))
        for key in PAIR_KEYS[1:]:
            self._add_overhead(data.get(key))

    def _add_overhead(self, messages: Any) -> None:
        for message in _objects(messages):
            self.overhead += PER_MESSAGE + PER_NAME * ("name" in message)
            self.context += _texts({k: v for k, v in message.items() if k not in _UNCOUNTED_KEYS})


def _written(message: dict[str, Any]) -> Iterator[str]:
    """Yield the texts that the author of a message wrote: its content and its calls."""
    content = message.get("content")
    if isinstance(content, str):
        yield content
    for part in _objects(content):
        yield from _texts({"text": part.get("text")})
    calls = [call.get("function") for call in _objects(message.get("tool_calls"))]
    for function in _objects([*calls, message.get("function_call")]):
        yield from _texts(function)


def _texts(fields: dict[str, Any]) -> list[str]:
    return [value for value in fields.values() if isinstance(value, str)]


def _objects(value: object) -> list[dict[str, Any]]:
    return [item for item in value if is_object(item)] if is_list(value) else []
