"""Engine that works as long as one with real weights: half a second a step, 0.1 s a token."""

import time

from tunesmith.service.engines.ngram.engine import NGramEngine, NGramModel
from tunesmith.service.engines.ngram.training import NGramTraining
from tunesmith.service.engines.threads import ThreadedGeneration, ThreadedTrainingRun

STEP_S = 0.5
TOKEN_S = 0.1


class _SlowTraining(NGramTraining):
    def __iter__(self):
        for step in super().__iter__():
            time.sleep(STEP_S)
            yield step


class _SlowGeneration:
    def __init__(self, generation):
        self._generation = generation

    def __iter__(self):
        for token in self._generation:
            time.sleep(TOKEN_S)
            yield token

    def __getattr__(self, name):
        return getattr(self._generation, name)


class _SlowModel(NGramModel):
    async def train(self, spec, folder):
        del folder
        return ThreadedTrainingRun(_SlowTraining(self.weights, spec))

    def generate(self, prompt, spec):
        return ThreadedGeneration(_SlowGeneration(super().generate(prompt, spec)))


class SlowEngine(NGramEngine):
    """The n-gram engine, slowed down."""

    is_simulated = False

    async def open(self, model, folder=None):
        """Open a model."""
        return _SlowModel((await super().open(model, folder)).weights)
