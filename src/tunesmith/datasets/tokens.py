"""How many tokens examples have: exactly, by tiktoken, or by a stated estimate."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic_core import to_json

from tunesmith.datasets.json_types import is_list, is_object
from tunesmith.datasets.rows import Chunk, columns, is_table
from tunesmith.errors import ConfigurationError

if TYPE_CHECKING:
    from tiktoken import Encoding

__all__ = [
    "ESTIMATE",
    "ExampleTokens",
    "TokenCounter",
    "default_counter",
    "estimated_tokens",
    "exact_counter",
]

PER_MESSAGE = 3
PER_NAME = 1
PER_CONVERSATION = 3
"""What chat models add to the texts.

Source: https://github.com/openai/openai-cookbook/blob/main/examples/Chat_finetuning_data_prep.ipynb
"""

_BYTES_PER_TOKEN = 4
_UNCOUNTED_KEYS = {"weight", "tool_call_id", "content", "tool_calls", "function_call"}


class ExampleTokens(NamedTuple):
    """The tokens of one example.

    Attributes:
        total: All of them; these are trained on, and paid for.
        trained: Those in completions or answers, which the model learns to write.
    """

    total: int
    trained: int


@dataclass(frozen=True, slots=True)
class TokenCounter:
    """Counts tokens. Made by `exact_counter` or `default_counter`; `ESTIMATE` is one.

    Attributes:
        name: The encoding's name, or `estimate`.
        exact: Whether it counts, or estimates.
        texts: Counts the tokens of each text.
        note: How an estimate is made, and why there is no exact count.
    """

    name: str
    exact: bool
    texts: Callable[[Sequence[str]], list[int]]
    note: str = ""

    def rows(self, chunk: Chunk) -> list[ExampleTokens]:
        """Count the tokens of each example, whatever its format.

        In conversations, each message costs 3 tokens more than its texts, a name 1, and each
        conversation 3. Descriptions of tools count as their JSON text and calls as their names and
        arguments, which is near to what services make of them. Images do not count: what they cost
        depends on their size. Of a preference pair, the question counts once.

        Example:
            ```python
            (tokens,) = ESTIMATE.rows([Row(1, {"prompt": "Space is", "completion": " a form."})])
            assert tokens == ExampleTokens(total=4, trained=2)
            ```
        """
        if is_table(chunk):
            counts = map(self.texts, columns(chunk))
            return [
                ExampleTokens(told + learned, learned)
                for told, learned in zip(*counts, strict=True)
            ]
        examples = [_Example(data) for _, data in chunk]
        told = self._sums([example.told for example in examples])
        learned = self._sums([example.trained for example in examples])
        return [
            ExampleTokens(before + after + example.overhead, after)
            for example, before, after in zip(examples, told, learned, strict=True)
        ]

    def _sums(self, examples: list[list[str]]) -> list[int]:
        counts = iter(self.texts([text for texts in examples for text in texts]))
        return [sum(islice(counts, len(texts))) for texts in examples]


def estimated_tokens(texts: Sequence[str]) -> list[int]:
    """A token for every four bytes of UTF-8, begun ones included.

    That is near for English prose. Numbers, code and other languages can be off by half.
    """
    sizes = (len(text.encode(errors="surrogatepass")) for text in texts)
    return [-(-size // _BYTES_PER_TOKEN) for size in sizes]


ESTIMATE = TokenCounter(
    "estimate",
    exact=False,
    texts=estimated_tokens,
    note="an estimate: a token for every four bytes of text",
)
"""Counts a token for every four bytes of UTF-8; needs nothing."""


def exact_counter(
    model: str | None = None, *, encoding: "str | Encoding | None" = None
) -> TokenCounter:
    """Count as a model does; needs the extra `tokens`.

    tiktoken downloads an encoding's vocabulary at its first use, and keeps it in the folder that
    the environment variable `TIKTOKEN_CACHE_DIR` names. Where there is no network, fill that folder
    elsewhere and bring it along.

    Args:
        model: The model, base or fine-tuned.
        encoding: The encoding, or its name such as `o200k_base`; instead of `model`.

    Raises:
        ConfigurationError: tiktoken is not installed, does not know the model or the encoding, or
            cannot get its vocabulary.
    """
    if encoding is None or isinstance(encoding, str):
        encoding = _encoding(model, encoding)
    count = encoding.encode_ordinary
    return TokenCounter(
        encoding.name, exact=True, texts=lambda texts: [len(count(text)) for text in texts]
    )


def default_counter(model: str | None = None) -> TokenCounter:
    """Count as `model` does if that is possible here; else estimate, and say why in `note`."""
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
            f"tiktoken does not know which encoding the model {model!r} uses: name it, as in "
            "encoding='o200k_base'."
        ) from None
    if name not in tiktoken.list_encoding_names():
        known = ", ".join(tiktoken.list_encoding_names())
        raise ConfigurationError(f"tiktoken knows no encoding {name!r}, but {known}.")
    try:
        return tiktoken.get_encoding(name)
    except OSError as error:
        raise ConfigurationError(
            f"tiktoken cannot download the vocabulary of {name}. Where there is a network, run "
            f'TIKTOKEN_CACHE_DIR=vocabularies python -c "import tiktoken; '
            f"tiktoken.get_encoding('{name}')\"; then bring that folder here and name it in "
            "TIKTOKEN_CACHE_DIR."
        ) from error


class _Example:
    """The texts of one example: what the model is told, and what it learns to write."""

    __slots__ = ("overhead", "told", "trained")

    def __init__(self, data: dict[str, Any]) -> None:
        self.told: list[str] = []
        self.trained: list[str] = []
        self.overhead = 0
        for question in _objects([data.get("input", data)]):
            self._conversation(question)
        for key in ("preferred_output", "non_preferred_output"):
            self._messages(data.get(key))

    def _conversation(self, question: dict[str, Any]) -> None:
        self.overhead += PER_CONVERSATION
        for key in ("tools", "functions"):
            if question.get(key):
                self.told.append(to_json(question[key]).decode())
        self._messages(question.get("messages"))

    def _messages(self, messages: Any) -> None:
        for message in _objects(messages):
            self.overhead += PER_MESSAGE + PER_NAME * ("name" in message)
            self.told += _texts({k: v for k, v in message.items() if k not in _UNCOUNTED_KEYS})
            learns = message.get("role") == "assistant" and message.get("weight") != 0
            (self.trained if learns else self.told).extend(_written(message))


def _written(message: dict[str, Any]) -> Iterator[str]:
    """What a message's author wrote: its content, and the calls it makes."""
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
