"""Encoding of training examples and conversations as tokens.

A completion example is the prompt, the completion and the end-of-text token; a separator that all
prompts end with becomes one token between them. A turn of a conversation is a role token, the text
and the end-of-text token; the prompt of a chat ends with the assistant's role token. Every sequence
begins with an end-of-text token.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tunesmith.service.engines.ngram.tokenizer import END_OF_PROMPT, END_OF_TEXT, Tokenizer
from tunesmith.service.engines.training import Row
from tunesmith.training_rules import is_learned


@dataclass(frozen=True, slots=True)
class TokenSpan:
    """Span of tokens to learn.

    Args:
        tokens: The tokens of the whole text.
        start: Position of the first token.
        stop: Position after the last token.
        weight: Weight of the span.
    """

    tokens: list[int]
    start: int
    stop: int
    weight: float


@dataclass(frozen=True, slots=True)
class EncodedExample:
    """Training example as tokens.

    Args:
        spans: The tokens to learn.
        n_tokens: Number of tokens of the example, learnt or not.
    """

    spans: tuple[TokenSpan, ...]
    n_tokens: int


Separator = tuple[int, ...]


class Context:
    """Tokens before the next one, with one token in place of a separator.

    A separator only marks the end of a prompt. A model trained with one treats each prompt as
    ended, so the completion is the same with the separator or without it.
    """

    def __init__(self, separators: Iterable[Separator], tokens: Iterable[int] = ()) -> None:
        self.tokens = [END_OF_TEXT]
        self._separators = [list(separator) for separator in separators]
        for token in tokens:
            self.append(token)

    def append(self, token: int) -> None:
        """Add a token, and replace a separator that it completes."""
        if token == END_OF_TEXT and len(self.tokens) == 1:
            return
        self.tokens.append(token)
        for separator in self._separators:
            if self.tokens[-len(separator) :] == separator:
                self.tokens[-len(separator) :] = [END_OF_PROMPT]

    def end_prompt(self) -> None:
        """Add the separator of the model's training prompts, if it is missing or incomplete."""
        if not self._separators or END_OF_PROMPT in self.tokens:
            return
        for separator in self._separators:
            for length in range(len(separator) - 1, 0, -1):
                if self.tokens[-length:] == separator[:length]:
                    del self.tokens[-length:]
                    break
        self.tokens.append(END_OF_PROMPT)


def infer_separator(examples: Sequence[Row], tokenizer: Tokenizer) -> Separator | None:
    """Return the common ending of all prompts that occurs nowhere else; None without one."""
    prompts = [tokenizer.encode(example["prompt"]) for example in examples]
    first, last = min(map(_reversed, prompts)), max(map(_reversed, prompts))
    length = 0
    while length < min(len(first), len(last)) and first[length] == last[length]:
        length += 1
    shortest = min(map(len, prompts))
    if not 0 < length < shortest:
        return None
    separator = prompts[0][-length:]
    text = tokenizer.decode(separator)
    is_elsewhere = "\ufffd" in text or any(
        text in example["completion"] or text in example["prompt"][: -len(text)]
        for example in examples
    )
    return None if is_elsewhere else tuple(separator)


def encode_completion(
    example: Row,
    tokenizer: Tokenizer,
    separators: Iterable[Separator],
    prompt_weight: float,
) -> EncodedExample:
    """Encode a prompt and its completion."""
    raw_prompt = [END_OF_TEXT, *tokenizer.encode(example["prompt"])]
    context = Context(separators, raw_prompt)
    context.end_prompt()
    prompt = context.tokens
    completion = [*tokenizer.encode(example["completion"]), END_OF_TEXT]
    text = prompt + completion
    spans = [TokenSpan(text, len(prompt), len(text), 1.0)]
    if prompt_weight > 0:
        spans.insert(0, TokenSpan(raw_prompt, 1, len(raw_prompt), prompt_weight))
    return EncodedExample(tuple(spans), len(raw_prompt) - 1 + len(completion))


def encode_conversation(messages: Iterable[Row], tokenizer: Tokenizer) -> EncodedExample:
    """Encode a conversation, whose assistant turns are learnt unless their weight is 0."""
    tokens = [END_OF_TEXT]
    spans: list[TokenSpan] = []
    for message in messages:
        start = len(tokens) + 1
        tokens += tokenizer.encode_turn(message)
        if is_learned(message):
            spans.append(TokenSpan(tokens, start, len(tokens), 1.0))
    return EncodedExample(tuple(spans), len(tokens) - 1)


def _reversed(tokens: Sequence[int]) -> tuple[int, ...]:
    return tuple(reversed(tokens))
