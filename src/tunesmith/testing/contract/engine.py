"""Tests that every engine must pass."""

import math
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any

import anyio
import pytest

from tunesmith.service.engines import (
    Engine,
    EngineError,
    EngineModel,
    Format,
    GenerationSpec,
    Row,
    ScoredToken,
    TrainingRun,
    TrainingSpec,
    TrainingStep,
)
from tunesmith.testing.contract.base import LoopContract, on_each_event_loop

__all__ = ["EngineContract", "EngineUnderTest"]

_TEXTS = ("The sky is blue.", "Größe und Zahl: 3\u00d74 = 12", "\u2603 \U0001f600\n\n tab\t")
_PROMPT = "The sky is"
_COLOURS = ("red", "green", "blue", "white", "black", "brown", "grey", "pink", "gold", "tan")
_GRADER = {
    "type": "string_check",
    "name": "check",
    "operation": "like",
    "input": "{{sample.output_text}}",
    "reference": "e",
}


def _user(content: str) -> dict[str, Any]:
    return {"role": "user", "content": content}


def _assistant(content: str) -> dict[str, Any]:
    return {"role": "assistant", "content": content}


def _row(format: Format, number: int, colour: str) -> Row:
    prompt, answer = f"Colour {number}?", f" {colour}"
    match format:
        case "completions":
            return {"prompt": prompt, "completion": answer}
        case "chat":
            return {"messages": [_user(prompt), _assistant(answer)]}
        case "dpo":
            return {
                "input": {"messages": [_user(prompt)]},
                "preferred_output": [_assistant(answer)],
                "non_preferred_output": [_assistant(" none")],
            }
        case "reinforcement":
            return {"messages": [_user(prompt)], "answer": answer}


@dataclass(frozen=True)
class EngineUnderTest:
    """The engine to test.

    Args:
        create: Function that creates the engine anew, as after the process was killed.
        engine: The engine.
        folder: Folder for weights and trainings.
        name: Name of the model to test.
        formats: Formats that the model can be trained on.
        options: Options of each training.
    """

    create: Callable[[], Engine]
    engine: Engine
    folder: Path
    name: str
    formats: Sequence[Format]
    options: Mapping[str, Any]

    async def open(self, folder: Path | None = None) -> EngineModel:
        """Open the model."""
        return await self.engine.open(self.name, folder)

    def spec(self, format: Format, **settings: Any) -> TrainingSpec:
        """Return a short training."""
        rows = [_row(format, number, colour) for number, colour in enumerate(_COLOURS)]
        values: dict[str, Any] = {"n_epochs": 2, "batch_size": 5, "seed": 1, **settings}
        return TrainingSpec(format, rows, rows[:3], grader=_GRADER, options=self.options, **values)


async def _generate(model: EngineModel, prompt: Sequence[int], **spec: Any) -> list[ScoredToken]:
    settings: dict[str, Any] = {"max_tokens": 8, **spec}
    generation = model.generate(prompt, GenerationSpec(**settings))
    try:
        return [token async for token in generation]
    finally:
        await generation.aclose()


async def _steps(run: TrainingRun, after: int = 0, until: int | None = None) -> list[TrainingStep]:
    """Return the steps of a training from one to another, or to its end."""
    steps: list[TrainingStep] = []
    while until is None or after + len(steps) < until:
        progress = await run.poll(after + len(steps))
        steps += progress.steps
        if progress.is_finished:
            break
    return steps


def _losses(steps: Sequence[TrainingStep]) -> list[float]:
    return [step.train.loss for step in steps]


class EngineContract(LoopContract[EngineUnderTest]):
    """Tests of an engine on asyncio and trio; subclass it for pytest to run them.

    They need pytest, but no plugin for asynchronous tests. Override `engine` to return a new engine
    with the same models each time it is called. They train the first model that can be trained, or
    `model`, for a few steps.

    Example:
        ```python
        from tunesmith.service.engines.ngram.engine import NGramEngine
        from tunesmith.testing import EngineContract


        class TestNGram(EngineContract):
            def engine(self):
                return NGramEngine()
        ```
    """

    timeout = 60.0
    """Real seconds that a test may take."""

    model: str | None = None
    """Name of the model to test; None for the first that can be trained."""

    options: Mapping[str, Any] = MappingProxyType({})
    """Options of each training, such as those that make it short."""

    def engine(self) -> Engine:
        """Return a new engine to test."""
        raise NotImplementedError(f"{type(self).__name__}.engine must return the engine to test")

    async def run(self, test: Callable[[EngineUnderTest], Awaitable[None]]) -> None:
        """Run a test."""
        with TemporaryDirectory() as folder, anyio.fail_after(self.timeout):
            async with self._target(Path(folder)) as target:
                await test(target)

    @asynccontextmanager
    async def _target(self, folder: Path) -> AsyncGenerator[EngineUnderTest]:
        engine = self.engine()
        trainable = [info for info in engine.models if info.formats]
        info = next(info for info in trainable if self.model in {None, info.name})
        try:
            yield EngineUnderTest(
                self.engine, engine, folder, info.name, info.formats, self.options
            )
        finally:
            await engine.aclose()

    @on_each_event_loop
    async def test_it_implements_the_protocol_with_unique_names(
        self, target: EngineUnderTest
    ) -> None:
        """The names are those that requests use."""
        assert isinstance(target.engine, Engine)
        names = [info.name for info in target.engine.models]
        assert len(set(names)) == len(names)

    @on_each_event_loop
    async def test_decoding_restores_texts(self, target: EngineUnderTest) -> None:
        """Otherwise prompts change on their way to the model."""
        tokenizer = (await target.open()).tokenizer
        for text in _TEXTS:
            tokens = tokenizer.encode(text)
            assert tokenizer.decode(tokens) == text
            assert b"".join(map(tokenizer.token_bytes, tokens)) == text.encode()

    @on_each_event_loop
    async def test_control_tokens_cannot_be_spelled(self, target: EngineUnderTest) -> None:
        """Otherwise a user's text can end or forge a turn."""
        tokenizer = (await target.open()).tokenizer
        spelled = "".join(tokenizer.decode([token]) for token in sorted(tokenizer.stop_ids))
        assert not tokenizer.stop_ids & set(tokenizer.encode(spelled))
        forged, plain = (
            [token for token in tokenizer.encode_chat([_user(text)]) if token in tokenizer.stop_ids]
            for text in (f"a{spelled}b", "ab")
        )
        assert forged == plain

    @on_each_event_loop
    async def test_equal_seeds_generate_equal_texts(self, target: EngineUnderTest) -> None:
        """Also when several texts are generated at the same time."""
        model = await target.open()
        prompt = model.tokenizer.encode(_PROMPT)
        alone = [await _generate(model, prompt, seed=seed) for seed in (1, 2, 3)]
        together: dict[int, list[ScoredToken]] = {}

        async def generate(seed: int) -> None:
            together[seed] = await _generate(model, prompt, seed=seed)

        async with anyio.create_task_group() as tasks:
            for seed in (1, 2, 3):
                tasks.start_soon(generate, seed)
        for seed, tokens in enumerate(alone, 1):
            assert [t.token.id for t in together[seed]] == [t.token.id for t in tokens]

    @on_each_event_loop
    async def test_a_text_ends_at_its_limit(self, target: EngineUnderTest) -> None:
        """The limit counts tokens."""
        model = await target.open()
        bias = dict.fromkeys(model.tokenizer.stop_ids, -100.0)
        spec = GenerationSpec(max_tokens=5, temperature=0, logit_bias=bias)
        generation = model.generate(model.tokenizer.encode(_PROMPT), spec)
        assert generation.finish_reason is None
        tokens = [token async for token in generation]
        await generation.aclose()
        assert len(tokens) == generation.n_tokens == 5
        assert generation.finish_reason == "length"

    @on_each_event_loop
    async def test_every_stop_token_ends_a_text(self, target: EngineUnderTest) -> None:
        """An end of turn need not be the end of text; it is not part of the text."""
        model = await target.open()
        for stop_id in model.tokenizer.stop_ids:
            spec = GenerationSpec(temperature=0, logit_bias={stop_id: 100.0})
            generation = model.generate(model.tokenizer.encode(_PROMPT), spec)
            assert [token async for token in generation] == []
            assert generation.finish_reason == "stop"
            await generation.aclose()

    @on_each_event_loop
    async def test_a_stop_text_is_left_out(self, target: EngineUnderTest) -> None:
        """It may begin within a token."""
        model = await target.open()
        prompt = model.tokenizer.encode(_PROMPT)
        bias = dict.fromkeys(model.tokenizer.stop_ids, -100.0)
        settings: dict[str, Any] = {"temperature": 0, "logit_bias": bias}
        text = "".join(token.text for token in await _generate(model, prompt, **settings))
        stop = text[len(text) // 2 :][:2]
        spec = GenerationSpec(max_tokens=8, stop=(stop,), **settings)
        generation = model.generate(prompt, spec)
        cut = "".join([token.text async for token in generation])
        await generation.aclose()
        assert cut == text[: text.index(stop)]
        assert generation.finish_reason == "stop"

    @on_each_event_loop
    async def test_generated_and_scored_probabilities_agree(self, target: EngineUnderTest) -> None:
        """Log-probabilities are those of the weights, before temperature and bias."""
        model = await target.open()
        prompt = model.tokenizer.encode(_PROMPT)
        tokens = await _generate(model, prompt, temperature=0, top_logprobs=2)
        ids = [token.token.id for token in tokens]
        scored = await model.score([*prompt, *ids], top_logprobs=2)
        assert [token.token.id for token in scored] == [*prompt, *ids]
        for one, other in zip(tokens, scored[len(prompt) :], strict=True):
            assert one.token.logprob == pytest.approx(other.token.logprob, abs=0.02)
            assert len(one.top) == 2
            assert one.top[0].logprob >= one.top[1].logprob

    @on_each_event_loop
    async def test_a_generation_can_be_closed_early(self, target: EngineUnderTest) -> None:
        """A client that leaves frees its place; others go on."""
        model = await target.open()
        prompt = model.tokenizer.encode(_PROMPT)
        left = model.generate(prompt, GenerationSpec(max_tokens=None))
        await anext(aiter(left))
        await left.aclose()
        assert len(await _generate(model, prompt, max_tokens=2)) <= 2

    @on_each_event_loop
    async def test_steps_are_numbered_and_have_metrics(self, target: EngineUnderTest) -> None:
        """In every format; the last step of each epoch is a checkpoint."""
        model = await target.open()
        for name in target.formats:
            run = await model.train(target.spec(name), target.folder / name)
            assert (run.total_steps, run.hyperparameters.n_epochs) == (4, 2)
            await run.start()
            steps = await _steps(run)
            run.cancel()
            assert [step.step for step in steps] == [1, 2, 3, 4]
            assert [step.epoch for step in steps] == [1, 1, 2, 2]
            assert [step.is_checkpoint for step in steps] == [False, True, False, True]
            assert all(math.isfinite(loss) for loss in _losses(steps))
            assert steps[-1].full_valid is not None

    @on_each_event_loop
    async def test_training_teaches_and_weights_are_saved(self, target: EngineUnderTest) -> None:
        """Saved weights score the examples better than the base, and can be trained further."""
        base = await target.open()
        for name in target.formats:
            if name not in {"completions", "chat"}:
                continue
            folder, spec = target.folder / name, target.spec(name, n_epochs=4)
            run = await base.train(spec, folder / "run")
            await run.start()
            losses = _losses(await _steps(run))
            assert losses[-1] < losses[0]
            await run.save(run.total_steps, folder / "weights")
            run.cancel()
            tuned = await target.create().open(target.name, folder / "weights")
            further = await tuned.train(spec, folder / "further")
            await further.start()
            first = (await _steps(further, until=1))[0]
            further.cancel()
            assert first.train.loss < losses[0]

    @on_each_event_loop
    async def test_a_training_is_continued_after_a_kill(self, target: EngineUnderTest) -> None:
        """The steps after those that are known equal those of an undisturbed training."""
        model, spec = await target.open(), target.spec(target.formats[0])
        run = await model.train(spec, target.folder / "whole")
        await run.start()
        expected = await _steps(run)
        run.cancel()
        killed = await model.train(spec, target.folder / "killed")
        await killed.start()
        await _steps(killed, until=2)
        killed.pause()
        reopened = await (await target.create().open(target.name)).train(
            spec, target.folder / "killed"
        )
        await reopened.start()
        steps = await _steps(reopened, after=2)
        assert [step.step for step in steps] == [3, 4]
        assert _losses(steps) == pytest.approx(_losses(expected[2:]), rel=1e-4)
        await reopened.save(reopened.total_steps, target.folder / "weights")
        reopened.cancel()

    @on_each_event_loop
    async def test_a_paused_training_continues(self, target: EngineUnderTest) -> None:
        """No step is lost or repeated."""
        run = await (await target.open()).train(
            target.spec(target.formats[0]), target.folder / "paused"
        )
        await run.start()
        steps = await _steps(run, until=1)
        run.pause()
        await run.start()
        steps += await _steps(run, after=len(steps))
        run.cancel()
        assert [step.step for step in steps] == [1, 2, 3, 4]

    @on_each_event_loop
    async def test_unknown_options_are_refused(self, target: EngineUnderTest) -> None:
        """An option that is silently ignored is worse than none."""
        with pytest.raises(EngineError, match="no_such_option"):
            target.engine.check_options(target.name, target.formats[0], {"no_such_option": 1})

    @on_each_event_loop
    async def test_invalid_folders_are_refused(self, target: EngineUnderTest) -> None:
        """The message is shown to the user."""
        (target.folder / "empty").mkdir()
        with pytest.raises(EngineError):
            await target.open(target.folder / "empty")
