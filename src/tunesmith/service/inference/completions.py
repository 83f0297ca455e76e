"""The room of completions: models go on from prompts."""

from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from itertools import accumulate

from anyio.lowlevel import checkpoint

from tunesmith.operations.completions import CreateCompletion
from tunesmith.service.core.errors import invalid
from tunesmith.service.engines.base import EngineModel, Generation, GenerationSpec, ScoredToken
from tunesmith.service.inference.capabilities import check_context_length, require_completion_model
from tunesmith.service.inference.sampling import (
    InferenceContext,
    SampledText,
    finish_reason_for,
    interleave,
    sampling_spec,
    start_generation,
    system_fingerprint,
)
from tunesmith.service.inference.stub_generation import TokenTiming
from tunesmith.service.inference.stubs import Reply
from tunesmith.types.completions import (
    Completion,
    CompletionChoice,
    CompletionUsage,
    Logprobs,
)

__all__ = ["CompletionService"]

_DEFAULT_MAX_TOKENS = 16
_CANDIDATES_FOR_SUFFIX = 4


@dataclass(frozen=True, slots=True)
class _Prompt:
    text: str
    tokens: Sequence[int]


@dataclass(frozen=True, slots=True)
class _PreparedRequest:
    operation: CreateCompletion
    template: Completion
    """The answer without choices."""
    weights: EngineModel
    prompts: Sequence[_Prompt]
    spec: GenerationSpec
    stubs: Sequence[Reply | None]
    """What to answer to each prompt, where it does not come from the engine."""

    @property
    def n(self) -> int:
        return self.operation.n or 1

    @property
    def candidates(self) -> int:
        least = 1 if self.operation.suffix is None else _CANDIDATES_FOR_SUFFIX
        return max(self.n, self.operation.best_of or 1, least)


class CompletionService:
    """Goes on from prompts.

    Where a `suffix` is to come after the completion, the engine draws four candidates and answers
    the one after which the suffix is likeliest.

    Args:
        sources: What completions come from.
    """

    def __init__(self, sources: InferenceContext) -> None:
        self._sources = sources

    async def create(self, operation: CreateCompletion) -> Completion:
        """Complete the prompts: `n` choices for the first one, then for the second, and so on."""
        call = self._prepare(operation)
        await checkpoint()
        choices: list[CompletionChoice] = []
        completion_tokens = longest = 0
        for place, prompt in enumerate(call.prompts):
            drawn = [
                SampledText.from_generation(self._start(call, place, each))
                for each in range(call.candidates)
            ]
            completion_tokens += sum(each.n_tokens for each in drawn)
            longest = max(longest, *(each.n_tokens for each in drawn))
            choices += [
                self._choice(call, place, index, each)
                for index, each in enumerate(self._rank(call, prompt, drawn))
            ]
        await self._sources.pause(
            TokenTiming.slowest_of(call.stubs).total_delay(longest), working=True
        )
        usage = _usage(call, completion_tokens)
        return call.template.model_copy(update={"choices": choices, "usage": usage})

    async def stream(self, operation: CreateCompletion) -> AsyncGenerator[Completion, None]:
        """Complete the prompts token by token, the choices in turn."""
        call = self._prepare(operation)
        if call.candidates > call.n:
            raise invalid("A stream cannot choose the best: 'best_of' and 'suffix' need an answer")
        with_usage = bool((operation.stream_options or {}).get("include_usage"))
        head = call.template.model_copy(update={"usage": None}) if with_usage else call.template
        generations = [
            self._start(call, place, each)
            for place in range(len(call.prompts))
            for each in range(call.n)
        ]
        for choice in self._echoes(call):
            yield head.model_copy(update={"choices": [choice]})
        offsets = [len(prompt.text) for prompt in call.prompts for _ in range(call.n)]
        turns = interleave(generations, self._sources, TokenTiming.slowest_of(call.stubs))
        async with aclosing(turns):
            async for index, token in turns:
                if isinstance(token, str):
                    reason = finish_reason_for(token, call.stubs[index // call.n])
                    choice = _choice_of(index, "", None, reason)
                elif token.text or operation.logprobs is not None:
                    logprobs = _logprobs(operation.logprobs, [token], offsets[index])
                    choice = _choice_of(index, token.text, logprobs, None)
                    offsets[index] += len(token.text)
                else:
                    continue
                yield head.model_copy(update={"choices": [choice]})
        if with_usage:
            usage = _usage(call, sum(each.n_tokens for each in generations))
            yield head.model_copy(update={"choices": [], "usage": usage})

    def _prepare(self, asked: CreateCompletion) -> _PreparedRequest:
        require_completion_model(self._sources.models, asked.model)
        if asked.best_of is not None and asked.best_of < (asked.n or 1):
            raise invalid(
                "You requested that the server return more choices than it will generate (HINT: "
                f"you must set 'n' (currently {asked.n}) to be at most 'best_of' (currently "
                f"{asked.best_of}), or omit either parameter if you don't specifically want to "
                "use them.)"
            )
        max_tokens = _DEFAULT_MAX_TOKENS if asked.max_tokens is None else asked.max_tokens
        prompts = [self._prompt(prompt) for prompt in _each_prompt(asked)]
        for prompt in prompts:
            check_context_length(
                len(prompt.tokens), max_tokens, self._sources.engine.context_window
            )
        completion_id = self._sources.ids.new("completion")
        head = Completion(
            id=completion_id,
            object="text_completion",
            created=int(self._sources.now()),
            model=asked.model,
            choices=[],
            system_fingerprint=system_fingerprint(asked.model),
        )
        spec = sampling_spec(
            asked, max_tokens=max_tokens, top_logprobs=asked.logprobs, id=completion_id
        )
        given = [self._given(asked, prompt, single_prompt=len(prompts) == 1) for prompt in prompts]
        return _PreparedRequest(
            asked, head, self._sources.models.resolve(asked.model), prompts, spec, given
        )

    def _prompt(self, prompt: str | Sequence[int]) -> _Prompt:
        if isinstance(prompt, str):
            # Without a prompt a model begins where a text ends.
            return _Prompt(
                prompt, self._sources.engine.encode(prompt) or [self._sources.engine.end_of_text]
            )
        try:
            return _Prompt(self._sources.engine.decode(prompt), prompt)
        except ValueError:
            raise invalid("Invalid token ids: not all are in the vocabulary", "prompt") from None

    def _given(
        self, asked: CreateCompletion, prompt: _Prompt, *, single_prompt: bool
    ) -> Reply | None:
        # Each of several prompts is asked about for itself.
        each = asked if single_prompt else replace(asked, prompt=prompt.text)
        return self._sources.replies.find(each, prompt.text)

    def _start(self, call: _PreparedRequest, place: int, index: int) -> Generation:
        spec = replace(call.spec, seed=f"{call.spec.seed}/{place}/{index}")
        return start_generation(
            self._sources.engine, call.weights, call.prompts[place].tokens, spec, call.stubs[place]
        )

    def _rank(
        self, call: _PreparedRequest, prompt: _Prompt, drawn: list[SampledText]
    ) -> list[SampledText]:
        if len(drawn) == call.n:
            return drawn

        def suits(index: SampledText) -> float:
            if call.operation.suffix is None:
                return index.mean_logprob
            before = self._sources.engine.encode(prompt.text + index.text)
            after = self._sources.engine.encode(call.operation.suffix)
            scored = call.weights.score([*before, *after])[len(before) :]
            return sum(token.token.logprob for token in scored)

        return sorted(drawn, key=suits, reverse=True)[: call.n]

    def _choice(
        self, call: _PreparedRequest, place: int, index: int, drawn: SampledText
    ) -> CompletionChoice:
        prompt = call.prompts[place]
        top = call.operation.logprobs
        logprobs = _logprobs(top, drawn.tokens, len(prompt.text))
        text = drawn.text
        if call.operation.echo:
            text = prompt.text + text + (call.operation.suffix or "")
            logprobs = self._echoed(call, prompt, drawn.tokens)
        reason = finish_reason_for(drawn.finish_reason, call.stubs[place])
        return _choice_of(place * call.n + index, text, logprobs, reason)

    def _echoed(
        self, call: _PreparedRequest, prompt: _Prompt, completion: Sequence[ScoredToken]
    ) -> Logprobs | None:
        top = call.operation.logprobs
        if top is None:
            return None
        before = call.weights.score(prompt.tokens, top_logprobs=top) if prompt.text else []
        logprobs = _logprobs(top, [*before, *completion], 0)
        if before and logprobs and logprobs.token_logprobs:
            # Nothing comes before the first token that could make it likely.
            logprobs.token_logprobs[0] = None
            if logprobs.top_logprobs:
                logprobs.top_logprobs[0] = None
        return logprobs

    def _echoes(self, call: _PreparedRequest) -> Iterator[CompletionChoice]:
        if call.operation.echo:
            for place, prompt in enumerate(call.prompts):
                logprobs = self._echoed(call, prompt, [])
                for each in range(call.n):
                    yield _choice_of(place * call.n + each, prompt.text, logprobs, None)


def _each_prompt(asked: CreateCompletion) -> Sequence[str | Sequence[int]]:
    prompt = asked.prompt
    if prompt is None or isinstance(prompt, str):
        return [prompt or ""]
    ids = [each for each in prompt if isinstance(each, int)]
    several = [each for each in prompt if not isinstance(each, int)]
    if not prompt or not all(each or isinstance(each, str) for each in several):
        raise invalid("[] is too short - 'prompt'", "prompt")
    return [ids] if ids else several


def _choice_of(
    index: int, text: str, logprobs: Logprobs | None, finish_reason: str | None
) -> CompletionChoice:
    return CompletionChoice(text=text, index=index, logprobs=logprobs, finish_reason=finish_reason)


def _logprobs(top: int | None, tokens: Sequence[ScoredToken], offset: int) -> Logprobs | None:
    if top is None:
        return None
    lengths = accumulate((len(token.text) for token in tokens), initial=offset)
    return Logprobs(
        tokens=[token.token.token for token in tokens],
        token_logprobs=[token.token.logprob for token in tokens],
        top_logprobs=[_likeliest(token) for token in tokens] if top else None,
        text_offset=list(lengths)[:-1],
    )


def _likeliest(token: ScoredToken) -> dict[str, float]:
    # The token itself is always among them.
    return {each.token: each.logprob for each in (*token.top, token.token)}


def _usage(call: _PreparedRequest, completion_tokens: int) -> CompletionUsage:
    prompt_tokens = sum(len(prompt.tokens) for prompt in call.prompts)
    return CompletionUsage(
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        total_tokens=prompt_tokens + completion_tokens,
    )
