"""The engines pass the public contract tests."""

import anyio
from pydantic import TypeAdapter

from tunesmith.service.engines import EngineError, Progress, TrainingStep
from tunesmith.service.engines.ngram.engine import NGramEngine, NGramModel
from tunesmith.testing import EngineContract

_STEP = TypeAdapter(TrainingStep)


class TestNGramEngine(EngineContract):
    def engine(self):
        return NGramEngine()


class TestSlowEngine(EngineContract):
    """An engine whose work takes time, with its progress in files as a process has it."""

    model = "gpt-4o-mini"

    def engine(self):
        return SlowEngine()


class SlowEngine(NGramEngine):
    is_simulated = False
    max_trainings = 1

    def check_options(self, model, format, options):
        for name in options.keys() - {"pace"}:
            raise EngineError(f"Unknown option '{name}'. Use 'pace'.", f"tunesmith.{name}")

    async def open(self, model, folder=None):
        return SlowModel((await super().open(model, folder)).weights)


class SlowModel(NGramModel):
    def generate(self, prompt, spec):
        return SlowGeneration(super().generate(prompt, spec))

    async def train(self, spec, folder):
        return SlowRun(await super().train(spec, folder), folder)


class SlowGeneration:
    def __init__(self, inner):
        self._inner = inner

    def __getattr__(self, name):
        return getattr(self._inner, name)

    def __aiter__(self):
        return self

    async def __anext__(self):
        await anyio.sleep(0.001)
        return await anext(self._inner)


class SlowRun:
    def __init__(self, inner, folder):
        self._inner = inner
        self._folder = folder
        self._path = folder / "steps.jsonl"

    def __getattr__(self, name):
        return getattr(self._inner, name)

    async def start(self):
        self._folder.mkdir(parents=True, exist_ok=True)
        self._path.touch()
        await self._inner.start()

    async def poll(self, after):
        known = [_STEP.validate_json(line) for line in self._path.read_text().splitlines()]
        if len(known) == after < self.total_steps:
            await anyio.sleep(0.001)
            step = (await self._inner.poll(after)).steps[0]
            known.append(step)
            with self._path.open("ab") as file:
                file.write(_STEP.dump_json(step) + b"\n")
        return Progress(known[after:], len(known) == self.total_steps)
