# pyright: basic, reportMissingImports=false
"""Reinforcement by graders: group relative policy optimization (GRPO), on policy."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from tunesmith.service.core.errors import ServiceError
from tunesmith.service.engines.transformers.job import InvalidJobError
from tunesmith.service.engines.transformers.rows import TokenSequence
from tunesmith.service.engines.transformers.tokenizer import ModelTokenizer
from tunesmith.service.grading import score
from tunesmith.train.batches import Item, TokenBatch, compute_logprobs
from tunesmith.train.objectives import Example, Split, Totals

__all__ = ["Reinforcement"]

_MAX_ROWS = 64
_MIN_DEVIATION = 1e-4
_MAX_SHOWN = 80
_FULL_REWARD = 1.0


class Reinforcement:
    """Sampling and grading of answers, of which those better than the others are learnt.

    Args:
        grader: Grader of the API.
        tokenizer: Tokenizer of the model.
        n_samples: Number of answers to each prompt.
        max_tokens: Maximum length of an answer.
        context_window: Maximum length of a prompt and its answer.
    """

    def __init__(
        self,
        grader: Mapping[str, Any],
        tokenizer: ModelTokenizer,
        *,
        n_samples: int,
        max_tokens: int,
        context_window: int,
    ) -> None:
        self._grader = grader
        self._tokenizer = tokenizer
        self._n_samples = n_samples
        self._max_tokens = max_tokens
        self._context_window = context_window

    def begin(self, model: Any, examples: Sequence[Example], split: Split, /) -> None:
        """Do nothing."""

    def prepare(self, model: Any, examples: Sequence[Example], totals: Totals, /) -> list[Item]:
        """Sample and grade answers; return an item for each with its advantage."""
        model.eval()
        answers: list[list[int]] = []
        per_batch = max(_MAX_ROWS // self._n_samples, 1)
        for start in range(0, len(examples), per_batch):
            answers += self._sample(model, examples[start : start + per_batch])
        n = self._n_samples
        return [
            item
            for index, example in enumerate(examples)
            for item in self._grade(example, answers[index * n : (index + 1) * n], totals)
        ]

    def weight(self, items: Sequence[Item], /) -> float:
        """Return the number of sampled tokens."""
        return sum(sum(item.sequences[0].weights) for item in items)

    def loss(self, model: Any, batch: TokenBatch, totals: Totals, /) -> torch.Tensor:
        """Return the sum of the losses of the sampled tokens."""
        del totals
        logprobs, _ = compute_logprobs(model, batch)
        # The samples are those of the present weights, so the ratio is 1; its gradient counts.
        ratios = torch.exp(logprobs - logprobs.detach())
        return -(batch.values[batch.sequence] * ratios).sum()

    @torch.no_grad()
    def _sample(self, model: Any, examples: Sequence[Example]) -> list[list[int]]:
        """Return the answers to each prompt, one prompt after the other."""
        prompts = [example.sequences[0].ids for example in examples]
        width = max(map(len, prompts))
        padded = [[0] * (width - len(ids)) + ids for ids in prompts]
        mask = [[0] * (width - len(ids)) + [1] * len(ids) for ids in prompts]
        output = model.generate(
            input_ids=torch.tensor(padded, device=model.device),
            attention_mask=torch.tensor(mask, device=model.device),
            num_return_sequences=self._n_samples,
            max_new_tokens=min(self._max_tokens, self._context_window - width),
            do_sample=True,
            temperature=1.0,
            top_k=0,
            top_p=1.0,
            pad_token_id=self._tokenizer.end_of_text,
            eos_token_id=sorted(self._tokenizer.stop_ids),
        )
        return [self._until_stop(tokens) for tokens in output[:, width:].tolist()]

    def _until_stop(self, tokens: list[int]) -> list[int]:
        stop = self._tokenizer.stop_ids
        end = next((index for index, token in enumerate(tokens) if token in stop), len(tokens))
        return tokens[: end + 1]

    def _score(self, example: Example, text: str) -> float:
        """Return the reward of an answer.

        Raises:
            InvalidJobError: The grader has none.
        """
        try:
            reward = score(self._grader, text, example.row)
        except ServiceError as error:
            raise InvalidJobError(
                f"the grader cannot score the answer {text[:_MAX_SHOWN]!r}: {error.message}",
                "grader",
            ) from error
        if not math.isfinite(reward):
            raise InvalidJobError(
                f"the grader's score of the answer {text[:_MAX_SHOWN]!r} is {reward}, not a number",
                "grader",
            )
        return reward

    def _grade(self, example: Example, answers: Sequence[list[int]], totals: Totals) -> list[Item]:
        stop, prompt = self._tokenizer.stop_ids, example.sequences[0].ids
        texts = [
            self._tokenizer.decode([token for token in answer if token not in stop])
            for answer in answers
        ]
        rewards = torch.tensor([self._score(example, text) for text in texts])
        totals.reward += float(rewards.sum())
        totals.n_rewards += len(rewards)
        totals.n_full_rewards += int((rewards >= _FULL_REWARD).sum())
        deviation = rewards.std(correction=0) + _MIN_DEVIATION
        advantages = ((rewards - rewards.mean()) / deviation).tolist()
        return [
            Item(
                (TokenSequence(prompt + answer, [0.0] * len(prompt) + [1.0] * len(answer)),),
                advantage,
            )
            for answer, advantage in zip(answers, advantages, strict=True)
        ]
