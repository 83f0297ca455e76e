"""How many tokens examples have: exactly, by tiktoken, or by a stated estimate."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic_core import to_json

from tunesmith.datasets.rows import Chunk
from tunesmith.errors import ConfigurationError

if TYPE_CHECKING:
    from tiktoken import Encoding

__all__ = [
    "ESTIMATE",
    "ExampleTokens",
    "TokenCounter",
    "best_counter",
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
        learned: Those in completions or answers, which the model learns to write.
    """

    total: int
    learned: int


@dataclass(frozen=True, slots=True)
class TokenCounter:
    """Counts tokens. Made by `exact_counter` or `best_counter`; `ESTIMATE` is one.

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
            assert tokens == ExampleTokens(total=4, learned=2)
            ```
        """
        texts: list[str] = []
        spans: list[tuple[int, int, int]] = []
        for _, data in chunk:
            example = _Example()
            example.see(data)
            learned = len(example.learned)
            spans.append((len(example.told), learned, example.overhead))
            texts += example.told
            texts += example.learned
        counts = iter(self.texts(texts))
        counted: list[ExampleTokens] = []
        for told, learned, overhead in spans:
            before = sum(next(counts) for _ in range(told))
            after = sum(next(counts) for _ in range(learned))
            counted.append(ExampleTokens(before + after + overhead, after))
        return counted


def estimated_tokens(texts: Sequence[str]) -> list[int]:
    """A token for every four bytes of UTF-8, begun ones included.

    That is near for English prose. Numbers, code and other languages can be off by half.
    """
    return [
        -(
            -(len(text) if text.isascii() else len(text.encode(errors="surrogatepass")))
            // _BYTES_PER_TOKEN
        )
        for text in texts
    ]


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


def best_counter(model: str | None = None) -> TokenCounter:
    """Count as `model` does if that is possible here; else estimate, and say why in `note`."""
    if model is None:
        return _estimate_because("name the model for an exact count")
    try:
        return exact_counter(model)
    except ConfigurationError as error:
        return _estimate_because(str(error))


def _estimate_because(reason: str) -> TokenCounter:
    return TokenCounter("estimate", False, estimated_tokens, f"{ESTIMATE.note} ({reason})")


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

    __slots__ = ("learned", "overhead", "told")

    def __init__(self) -> None:
        self.told: list[str] = []
        self.learned: list[str] = []
        self.overhead = 0

    def see(self, data: dict[str, Any]) -> None:
        if "prompt" in data:
            self.told.append(data["prompt"])
            self.learned.append(data["completion"])
            return
        question = data.get("input", data)
        if not isinstance(question, dict):
            return
        self.overhead += PER_CONVERSATION
        for key in ("tools", "functions"):
            if question.get(key):
                self.told.append(to_json(question[key]).decode())
        self._messages(question.get("messages"))
        for key in ("preferred_output", "non_preferred_output"):
            self._messages(data.get(key))

    def _messages(self, messages: Any) -> None:
        if not isinstance(messages, list):
            return
        for message in messages:
            if isinstance(message, dict):
                self._message(message)

    def _message(self, message: dict[str, Any]) -> None:
        self.overhead += PER_MESSAGE + PER_NAME * ("name" in message)
        self.told += [
            value
            for key, value in message.items()
            if isinstance(value, str) and key not in _UNCOUNTED_KEYS
        ]
        learns = message.get("role") == "assistant" and message.get("weight") != 0
        (self.learned if learns else self.told).extend(_written(message))


def _written(message: dict[str, Any]) -> Iterator[str]:
    """What a message's author wrote: its content, and the calls it makes."""
    content = message.get("content")
    for part in content if isinstance(content, list) else [{"text": content}]:
        if isinstance(part, dict) and isinstance(part.get("text"), str):
            yield part["text"]
    calls = message.get("tool_calls")
    functions = [c.get("function") for c in calls or () if isinstance(c, dict)]
    for function in (*functions, message.get("function_call")):
        if isinstance(function, dict):
            yield from (v for v in function.values() if isinstance(v, str))
