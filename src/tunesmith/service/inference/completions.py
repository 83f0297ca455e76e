"""Completions of prompts."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from itertools import accumulate

from anyio.lowlevel import checkpoint

from tunesmith.operations.completions import CreateCompletion
from tunesmith.service.core.errors import invalid
from tunesmith.service.core.handlers import handles
from tunesmith.service.engines.base import EngineModel
from tunesmith.service.engines.generation import Generation, GenerationSpec, ScoredToken
from tunesmith.service.inference.capabilities import check_context_length, require_completion_model
from tunesmith.service.inference.sampling import (
    MAX_CHOICES,
    InferenceContext,
    SampledText,
    finish_reason_for,
    interleave,
    sampling_spec,
    system_fingerprint,
)
from tunesmith.service.inference.stub_generation import TokenTiming, start_generation
from tunesmith.service.inference.stubs import Reply
from tunesmith.types.completions import Completion, CompletionChoice, CompletionUsage, Logprobs

__all__ = ["CompletionService"]

_DEFAULT_MAX_TOKENS = 16
_CANDIDATES_FOR_SUFFIX = 4


@dataclass(frozen=True, slots=True)
class _Prompt:
    text: str
    tokens: Sequence[int]
    stub: Reply | None = None


@dataclass(frozen=True, slots=True)
class _PreparedRequest:
    operation: CreateCompletion
    template: Completion
    """The completion without its choices."""
    weights: EngineModel
    window: int
    prompts: Sequence[_Prompt]
    spec: GenerationSpec
    n_candidates: int

    @property
    def n(self) -> int:
        return self.operation.n or 1

    @property
    def timing(self) -> TokenTiming:
        return TokenTiming.slowest_of([prompt.stub for prompt in self.prompts])

    def usage(self, completion_tokens: int) -> CompletionUsage:
        prompt_tokens = sum(len(prompt.tokens) for prompt in self.prompts)
        return CompletionUsage(
            prompt_tokens=prompt_tokens,
            completion_tokens=completion_tokens,
            total_tokens=prompt_tokens + completion_tokens,
        )


class CompletionService:
    """Completions of prompts by an engine or by stubs.

    With a `suffix`, the engine samples four candidates, and the one after which the suffix is most
    likely is returned.

    Args:
        context: Dependencies shared by all endpoints that run models.
    """

    def __init__(self, context: InferenceContext) -> None:
        self._context = context

    @handles(CreateCompletion)
    async def create(self, operation: CreateCompletion) -> Completion:
        """Complete the prompts: `n` choices for the first one, then for the second, and so on."""
        request = await self._prepare(operation)
        await checkpoint()
        n = request.n_candidates
        sampled = await self._context.sample(
            [
                self._start(request, prompt, f"{place}/{index}")
                for place, prompt in enumerate(request.prompts)
                for index in range(n)
            ]
        )
        choices: list[CompletionChoice] = []
        for place, prompt in enumerate(request.prompts):
            candidates = sampled[place * n : (place + 1) * n]
            echoed = await self._score_echo(request, prompt)
            for text in await self._rank(request, prompt, candidates):
                choices.append(_completed(request, prompt, len(choices), text, echoed))
        longest = max(text.n_tokens for text in sampled)
        await self._context.pause(request.timing.total_delay(longest), release_clock=True)
        usage = request.usage(sum(text.n_tokens for text in sampled))
        return request.template.model_copy(update={"choices": choices, "usage": usage})

    @handles(CreateCompletion)
    async def stream(self, operation: CreateCompletion) -> AsyncGenerator[Completion, None]:
        """Complete the prompts token by token, the choices in turn."""
        request = await self._prepare(operation)
        if request.n_candidates > request.n:
            raise invalid(
                "'best_of' and 'suffix' cannot be streamed: all candidates must be complete "
                "before one is chosen. Leave out 'stream'."
            )
        template = request.template
        with_usage = bool((operation.stream_options or {}).get("include_usage"))
        if with_usage:
            template = template.model_copy(update={"usage": None})
        generations = [
            self._start(request, prompt, f"{place}/{index}")
            for place, prompt in enumerate(request.prompts)
            for index in range(request.n)
        ]
        if operation.echo:
            for place, prompt in enumerate(request.prompts):
                logprobs = _echoed_logprobs(request, await self._score_echo(request, prompt), ())
                for index in range(place * request.n, (place + 1) * request.n):
                    choice = _choice(index, prompt.text, logprobs, None)
                    yield template.model_copy(update={"choices": [choice]})
        offsets = [len(prompt.text) for prompt in request.prompts for _ in range(request.n)]
        tokens = interleave(generations, self._context, request.timing)
        async with aclosing(tokens):
            async for index, token in tokens:
                if isinstance(token, str):
                    reason = finish_reason_for(token, request.prompts[index // request.n].stub)
                    choice = _choice(index, "", None, reason)
                elif token.text or operation.logprobs is not None:
                    logprobs = _logprobs(operation.logprobs, [token], offsets[index])
                    choice = _choice(index, token.text, logprobs, None)
                    offsets[index] += len(token.text)
                else:
                    continue
                yield template.model_copy(update={"choices": [choice]})
        if with_usage:
            usage = request.usage(sum(generation.n_tokens for generation in generations))
            yield template.model_copy(update={"choices": [], "usage": usage})

    async def _prepare(self, operation: CreateCompletion) -> _PreparedRequest:
        context = self._context
        require_completion_model(context.models, operation.model)
        if operation.best_of is not None and operation.best_of < (operation.n or 1):
            raise invalid(
                "You requested that the server return more choices than it will generate (HINT: "
                f"you must set 'n' (currently {operation.n}) to be at most 'best_of' (currently "
                f"{operation.best_of}), or omit either parameter if you don't specifically want "
                "to use them.)"
            )
        max_tokens = _DEFAULT_MAX_TOKENS if operation.max_tokens is None else operation.max_tokens
        inputs, n_candidates = _split_prompts(operation), _n_candidates(operation)
        if len(inputs) * n_candidates > MAX_CHOICES:
            raise invalid(
                f"The request asks for {len(inputs) * n_candidates} completions "
                f"({len(inputs)} prompts, {n_candidates} candidates each); the maximum is "
                f"{MAX_CHOICES}."
            )
        window = context.models.info_of(operation.model).context_window
        weights = await context.work(context.models.open(operation.model))
        prompts: list[_Prompt] = []
        for item in inputs:
            prompt = await self._read_prompt(weights, item, window)
            check_context_length(len(prompt.tokens), max_tokens, window)
            prompts.append(prompt)
        completion_id = context.ids.new("completion")
        template = Completion(
            id=completion_id,
            object="text_completion",
            created=int(context.now()),
            model=operation.model,
            choices=[],
            system_fingerprint=system_fingerprint(operation.model),
        )
        spec = sampling_spec(
            operation, max_tokens=max_tokens, top_logprobs=operation.logprobs, id=completion_id
        )
        for place, prompt in enumerate(prompts):
            # Stubs are matched against each prompt on its own.
            single = operation if len(prompts) == 1 else replace(operation, prompt=prompt.text)
            prompts[place] = replace(prompt, stub=context.reply_stubs.find(single, prompt.text))
        return _PreparedRequest(operation, template, weights, window, prompts, spec, n_candidates)

    async def _read_prompt(
        self, weights: EngineModel, prompt: str | Sequence[int], window: int
    ) -> _Prompt:
        tokenizer = weights.tokenizer
        if isinstance(prompt, str):
            tokens = await self._context.encode(weights, prompt, window, "prompt")
            return _Prompt(prompt, tokens or [tokenizer.bos_token_id])
        try:
            return _Prompt(tokenizer.decode(prompt), prompt)
        except ValueError:
            raise invalid("Invalid token ids: not all are in the vocabulary", "prompt") from None

    def _start(self, request: _PreparedRequest, prompt: _Prompt, place: str) -> Generation:
        spec = replace(request.spec, seed=f"{request.spec.seed}/{place}")
        return start_generation(request.weights, prompt.tokens, spec, prompt.stub)

    async def _rank(
        self, request: _PreparedRequest, prompt: _Prompt, candidates: list[SampledText]
    ) -> list[SampledText]:
        if len(candidates) == request.n:
            return candidates
        suffix = request.operation.suffix
        if suffix is None:
            scores = [candidate.mean_logprob for candidate in candidates]
        else:
            after = await self._context.encode(request.weights, suffix, request.window, "suffix")
            scores = [
                await self._score_suffix(request, prompt.text + candidate.text, after)
                for candidate in candidates
            ]
        order = sorted(range(len(candidates)), key=scores.__getitem__, reverse=True)
        return [candidates[index] for index in order[: request.n]]

    async def _score_suffix(
        self, request: _PreparedRequest, text: str, suffix: Sequence[int]
    ) -> float:
        before = await self._context.encode(request.weights, text, request.window, "prompt")
        scored = await self._context.work(request.weights.score([*before, *suffix]))
        return sum(token.token.logprob for token in scored[len(before) :])

    async def _score_echo(
        self, request: _PreparedRequest, prompt: _Prompt
    ) -> Sequence[ScoredToken]:
        top = request.operation.logprobs
        if top is None or not request.operation.echo or not prompt.text:
            return ()
        return await self._context.work(request.weights.score(prompt.tokens, top_logprobs=top))


def _n_candidates(operation: CreateCompletion) -> int:
    minimum = 1 if operation.suffix is None else _CANDIDATES_FOR_SUFFIX
    return max(operation.n or 1, operation.best_of or 1, minimum)


def _split_prompts(operation: CreateCompletion) -> Sequence[str | Sequence[int]]:
    prompt = operation.prompt
    if prompt is None or isinstance(prompt, str):
        return [prompt or ""]
    ids = [item for item in prompt if isinstance(item, int)]
    several = [item for item in prompt if not isinstance(item, int)]
    if not prompt or not all(item or isinstance(item, str) for item in several):
        raise invalid("[] is too short - 'prompt'", "prompt")
    return [ids] if ids else several


def _choice(
    index: int, text: str, logprobs: Logprobs | None, finish_reason: str | None
) -> CompletionChoice:
    return CompletionChoice(text=text, index=index, logprobs=logprobs, finish_reason=finish_reason)


def _completed(
    request: _PreparedRequest,
    prompt: _Prompt,
    index: int,
    sampled: SampledText,
    echoed: Sequence[ScoredToken],
) -> CompletionChoice:
    operation = request.operation
    if operation.echo:
        text = prompt.text + sampled.text + (operation.suffix or "")
        logprobs = _echoed_logprobs(request, echoed, sampled.tokens)
    else:
        text = sampled.text
        logprobs = _logprobs(operation.logprobs, sampled.tokens, len(prompt.text))
    return _choice(index, text, logprobs, finish_reason_for(sampled.finish_reason, prompt.stub))


def _echoed_logprobs(
    request: _PreparedRequest, echoed: Sequence[ScoredToken], completion: Sequence[ScoredToken]
) -> Logprobs | None:
    logprobs = _logprobs(request.operation.logprobs, [*echoed, *completion], 0)
    if echoed and logprobs and logprobs.token_logprobs:
        # The first token has no context, so the API returns no probability for it.
        logprobs.token_logprobs[0] = None
        if logprobs.top_logprobs:
            logprobs.top_logprobs[0] = None
    return logprobs


def _logprobs(top: int | None, tokens: Sequence[ScoredToken], offset: int) -> Logprobs | None:
    if top is None:
        return None
    offsets = accumulate((len(token.text) for token in tokens), initial=offset)
    return Logprobs(
        tokens=[token.token.token for token in tokens],
        token_logprobs=[token.token.logprob for token in tokens],
        # The sampled token is always among the alternatives.
        top_logprobs=[
            {option.token: option.logprob for option in (*token.top, token.token)}
            for token in tokens
        ]
        if top
        else None,
        text_offset=list(offsets)[:-1],
    )
