"""How training examples and conversations are written as tokens.

A completion example is the prompt and the completion, closed by the end-of-text token; a separator
that all prompts end with becomes one token between them. A conversation is, turn by turn, a role
token, the text and the end-of-text token; the prompt of a chat ends with the assistant's role
token. Everything begins with an end-of-text token.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tunesmith.service.engines.base import ChatMessage, CompletionTrainingExample
from tunesmith.service.engines.ngram.tokenizer import END_OF_PROMPT, END_OF_TEXT, Tokenizer

_ROLE_TOKENS = {
    "system": "<|system|>",
    "developer": "<|system|>",
    "user": "<|user|>",
    "assistant": "<|assistant|>",
    "tool": "<|tool|>",
    "function": "<|tool|>",
}


@dataclass(frozen=True, slots=True)
class TokenSpan:
    """Neighbouring tokens to learn.

    Args:
        tokens: The text they stand in.
        start: Position of the first.
        stop: Position after the last.
        weight: How much they count.
    """

    tokens: list[int]
    start: int
    stop: int
    weight: float


@dataclass(frozen=True, slots=True)
class EncodedExample:
    """What is learnt from one example.

    Args:
        spans: The tokens to learn.
        n_tokens: How many tokens the example has, learnt or not.
    """

    spans: tuple[TokenSpan, ...]
    n_tokens: int


Separator = tuple[int, ...]


class Context:
    """The tokens a model looks back on: those so far, with one token for any separator.

    A separator marks the end of a prompt and says nothing else. A model that was taught one reads
    each prompt as ended, so it is completed the same whether the separator was typed or not.
    """

    def __init__(self, separators: Iterable[Separator], tokens: Iterable[int] = ()) -> None:
        self.tokens = [END_OF_TEXT]
        self._separators = [list(separator) for separator in separators]
        for token in tokens:
            self.append(token)

    def append(self, token: int) -> None:
        """Add a token, and put one in the place of a separator that it makes complete."""
        if token == END_OF_TEXT and len(self.tokens) == 1:
            return
        self.tokens.append(token)
        for separator in self._separators:
            if self.tokens[-len(separator) :] == separator:
                self.tokens[-len(separator) :] = [END_OF_PROMPT]

    def end_prompt(self) -> None:
        """Add the separator if the model was taught one and the prompt has none, or half of it."""
        if not self._separators or END_OF_PROMPT in self.tokens:
            return
        for separator in self._separators:
            for length in range(len(separator) - 1, 0, -1):
                if self.tokens[-length:] == separator[:length]:
                    del self.tokens[-length:]
                    break
        self.tokens.append(END_OF_PROMPT)


def infer_separator(
    examples: Sequence[CompletionTrainingExample], tokenizer: Tokenizer
) -> Separator | None:
    """Find what all prompts end with and nothing else contains; None if there is no such thing."""
    prompts = [tokenizer.encode(example.prompt) for example in examples]
    first, last = min(map(_reversed, prompts)), max(map(_reversed, prompts))
    length = 0
    while length < min(len(first), len(last)) and first[length] == last[length]:
        length += 1
    shortest = min(map(len, prompts))
    if not 0 < length < shortest:
        return None
    separator = prompts[0][-length:]
    text = tokenizer.decode(separator)
    elsewhere = "\ufffd" in text or any(
        text in example.completion or text in example.prompt[: -len(text)] for example in examples
    )
    return None if elsewhere else tuple(separator)


def encode_completion(
    example: CompletionTrainingExample,
    tokenizer: Tokenizer,
    separators: Iterable[Separator],
    prompt_weight: float,
) -> EncodedExample:
    """Write a prompt and its completion, which is learnt in full up to its end."""
    raw_prompt = [END_OF_TEXT, *tokenizer.encode(example.prompt)]
    context = Context(separators, raw_prompt)
    context.end_prompt()
    prompt = context.tokens
    completion = [*tokenizer.encode(example.completion), END_OF_TEXT]
    text = prompt + completion
    spans = [TokenSpan(text, len(prompt), len(text), 1.0)]
    if prompt_weight > 0:
        spans.insert(0, TokenSpan(raw_prompt, 1, len(raw_prompt), prompt_weight))
    return EncodedExample(tuple(spans), len(raw_prompt) - 1 + len(completion))


def encode_chat_example(messages: Sequence[ChatMessage], tokenizer: Tokenizer) -> EncodedExample:
    """Write a conversation, of which the weighted turns are learnt up to their ends."""
    tokens = [END_OF_TEXT]
    spans: list[TokenSpan] = []
    for message in messages:
        tokens.append(_role_token(message, tokenizer))
        start = len(tokens)
        tokens += [*tokenizer.encode(message.content), END_OF_TEXT]
        weight = message.weight
        if weight is None:
            weight = 1.0 if message.role == "assistant" else 0.0
        if weight > 0:
            spans.append(TokenSpan(tokens, start, len(tokens), weight))
    return EncodedExample(tuple(spans), len(tokens) - 1)


def chat_prompt(messages: Sequence[ChatMessage], tokenizer: Tokenizer) -> list[int]:
    """Write a conversation and the beginning of the assistant's turn."""
    tokens: list[int] = []
    for message in messages:
        tokens.append(_role_token(message, tokenizer))
        tokens += [*tokenizer.encode(message.content), END_OF_TEXT]
    return [*tokens, tokenizer.special("<|assistant|>")]


def _role_token(message: ChatMessage, tokenizer: Tokenizer) -> int:
    return tokenizer.special(_ROLE_TOKENS.get(message.role, "<|user|>"))


def _reversed(tokens: Sequence[int]) -> tuple[int, ...]:
    return tuple(reversed(tokens))
