"""Rows of training files as token ids with the weight of each in the loss."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from tunesmith.service.engines.transformers.chat_template import ChatTemplateError
from tunesmith.service.engines.transformers.tokenizer import ModelTokenizer
from tunesmith.training_rules import Format, is_learned

__all__ = ["InvalidRowError", "TokenSequence", "encode_row"]


class InvalidRowError(ValueError):
    """Row that cannot be learnt; the message continues the sentence "Example 3 …"."""


@dataclass(frozen=True, slots=True)
class TokenSequence:
    """Text of a row.

    Args:
        ids: Token ids.
        weights: Weight of each token in the loss; 0 for context.
        n_prompt: Number of tokens of the prompt, which may have a weight, too.
    """

    ids: list[int]
    weights: list[float]
    n_prompt: int = 1

    @property
    def is_learned(self) -> bool:
        """Whether any token is learnt; the first one has no context to be predicted from."""
        return any(self.weights[self.n_prompt :])

    def truncate(self, length: int) -> "TokenSequence":
        """Return the first tokens."""
        return replace(self, ids=self.ids[:length], weights=self.weights[:length])


def encode_row(
    row: Mapping[str, Any],
    format: Format,
    tokenizer: ModelTokenizer,
    *,
    max_length: int,
    prompt_loss_weight: float = 0.0,
) -> tuple[TokenSequence, ...]:
    """Encode a row that is valid by the rules of its format.

    Args:
        row: The row.
        format: Its format.
        tokenizer: Tokenizer of the model.
        max_length: Number of tokens after which a sequence is truncated.
        prompt_loss_weight: Weight of prompt tokens, for `completions`.

    Returns:
        One sequence, or one for each turn of the assistant if the chat template rewrites earlier
        turns; the preferred and the other answer for `dpo`; the prompt for `reinforcement`.

    Raises:
        InvalidRowError: The row cannot be learnt.
    """
    try:
        sequences = _ENCODERS[format](row, tokenizer, prompt_loss_weight)
    except ChatTemplateError as error:
        raise InvalidRowError(f"cannot be encoded: {error}") from error
    if format == "reinforcement":
        n = len(sequences[0].ids)
        if n >= max_length:
            raise InvalidRowError(
                f"has a prompt of {n} tokens, which leaves none of max_length={max_length} for an "
                "answer; shorten it or raise max_length"
            )
        return sequences
    sequences = tuple(sequence.truncate(max_length) for sequence in sequences)
    learned = tuple(sequence for sequence in sequences if sequence.is_learned)
    if not learned or (format == "dpo" and len(learned) < len(sequences)):
        raise InvalidRowError(
            f"has no token to learn within max_length={max_length}; shorten it or raise max_length"
        )
    return learned


def _encode_completion(
    row: Mapping[str, Any], tokenizer: ModelTokenizer, prompt_loss_weight: float
) -> tuple[TokenSequence, ...]:
    prompt = [*tokenizer.prefix_ids, *tokenizer.encode(row["prompt"])] or [tokenizer.bos_token_id]
    completion = [*tokenizer.encode(row["completion"], after=prompt), tokenizer.end_of_text]
    weights = [prompt_loss_weight] * len(prompt) + [1.0] * len(completion)
    return (TokenSequence(prompt + completion, weights, n_prompt=len(prompt)),)


def _encode_chat(
    row: Mapping[str, Any], tokenizer: ModelTokenizer, _: float
) -> tuple[TokenSequence, ...]:
    messages = row["messages"]
    learned = [index for index, message in enumerate(messages) if is_learned(message)]
    return _encode_turns(tokenizer, messages, _tools(row), learned)


def _encode_pair(
    row: Mapping[str, Any], tokenizer: ModelTokenizer, _: float
) -> tuple[TokenSequence, ...]:
    context = row["input"]["messages"]
    result: tuple[TokenSequence, ...] = ()
    for key in ("preferred_output", "non_preferred_output"):
        messages = [*context, *row[key]]
        learned = [len(messages) - 1]
        result += _encode_turns(tokenizer, messages, _tools(row["input"]), learned)
    return result


def _encode_prompt(
    row: Mapping[str, Any], tokenizer: ModelTokenizer, _: float
) -> tuple[TokenSequence, ...]:
    ids = tokenizer.encode_chat(row["messages"], _tools(row))
    return (TokenSequence(ids, [0.0] * len(ids)),)


_ENCODERS = {
    "completions": _encode_completion,
    "chat": _encode_chat,
    "dpo": _encode_pair,
    "reinforcement": _encode_prompt,
}


def _tools(row: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    functions = [{"type": "function", "function": item} for item in row.get("functions") or ()]
    return [*(row.get("tools") or ()), *functions]


def _encode_turns(
    tokenizer: ModelTokenizer,
    messages: Sequence[Mapping[str, Any]],
    tools: Sequence[Mapping[str, Any]],
    learned: Sequence[int],
) -> tuple[TokenSequence, ...]:
    """Encode a conversation of which some turns of the assistant are learnt.

    A learnt turn is the text that the chat template adds to the prompt of the turn, up to its last
    token that ends generation. So a model learns exactly the tokens that it will have to generate.
    """
    conversation = tokenizer.begin(messages, tools)
    rendered: list[tuple[str, int]] = []
    for index in learned:
        prompt = conversation.render(index, prompt=True)
        text = conversation.render(index + 1)
        start = _common_length(prompt, text)
        if not all(name in text[start:] for name in _called_names(messages[index])):
            raise ChatTemplateError(
                f"the model's chat template leaves out a tool call of messages[{index}]"
            )
        rendered.append((text, start))
    if not all(longer.startswith(shorter) for (shorter, _), (longer, _) in pairwise(rendered)):
        # The template rewrites earlier turns: generation sees each of these texts as it is here.
        return tuple(
            _encode_spans(
                tokenizer, text, [(start, len(text))], _end_id(tokenizer, text, following)
            )
            for (text, start), following in zip(
                rendered,
                (conversation.render(index + 1, user_next=True) for index in learned),
                strict=True,
            )
        )
    text = rendered[-1][0]
    following = conversation.render(learned[-1] + 1, user_next=True)
    spans = [(start, len(beginning)) for beginning, start in rendered]
    return (_encode_spans(tokenizer, text, spans, _end_id(tokenizer, text, following)),)


def _called_names(message: Mapping[str, Any]) -> Iterator[str]:
    for call in message.get("tool_calls") or ():
        yield call["function"]["name"]
    if message.get("function_call"):
        yield message["function_call"]["name"]


def _common_length(a: str, b: str) -> int:
    pairs = enumerate(zip(a, b, strict=False))
    return next((index for index, (x, y) in pairs if x != y), min(len(a), len(b)))


def _end_id(tokenizer: ModelTokenizer, text: str, following: str) -> int:
    """Return the id that ends a turn whose text has no end: the next turn's first, or the eos."""
    if following.startswith(text):
        first = tokenizer.encode_rendered(following[len(text) :])[:1]
        if first and first[0] in tokenizer.stop_ids:
            return first[0]
    return tokenizer.end_of_text


def _encode_spans(
    tokenizer: ModelTokenizer, text: str, spans: Sequence[tuple[int, int]], end_id: int
) -> TokenSequence:
    ids: list[int] = []
    weights: list[float] = []

    def add(tokens: Sequence[int], weight: float) -> None:
        ids.extend(tokens)
        weights.extend([weight] * len(tokens))

    position = 0
    for start, end in spans:
        context = tokenizer.encode_rendered(text[position:start], after=ids)
        if ids and weights[-1] and ids[-1] not in tokenizer.stop_ids and context:
            # The next turn's first token ends this one, as in templates without an end of turn.
            is_end = context[0] in tokenizer.stop_ids
            add(context[:1], 1.0 if is_end else 0.0)
            context = context[1:]
        add(context, 0.0)
        turn = tokenizer.encode_rendered(text[start:end], after=ids)
        ends = [index for index, token in enumerate(turn) if token in tokenizer.stop_ids]
        n_learned = ends[-1] + 1 if ends else len(turn)
        add(turn[:n_learned], 1.0)
        add(turn[n_learned:], 0.0)
        position = end
    if weights[-1] and ids[-1] not in tokenizer.stop_ids:
        add([end_id], 1.0)
    return TokenSequence(ids, weights)
