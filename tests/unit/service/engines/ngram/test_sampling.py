"""The next token is chosen as the sampling parameters ask."""

from collections import Counter
from random import Random

import pytest

from tunesmith.service.engines import GenerationSpec
from tunesmith.service.engines.ngram.sampling import sample_token

PROBABILITIES = {1: 0.5, 2: 0.3, 3: 0.15, 4: 0.05}


def drawn(spec, generated=(), times=2_000):
    rng = Random(7)
    return Counter(sample_token(PROBABILITIES, spec, Counter(generated), rng) for _ in range(times))


def test_a_temperature_of_1_samples_by_probability():
    shares = drawn(GenerationSpec())

    for token, probability in PROBABILITIES.items():
        assert shares[token] / 2_000 == pytest.approx(probability, abs=0.03)


def test_a_temperature_of_0_takes_the_most_likely_token():
    assert set(drawn(GenerationSpec(temperature=0))) == {1}


def test_equally_likely_tokens_are_ordered_by_id():
    spec = GenerationSpec(temperature=0)

    assert sample_token({9: 0.4, 5: 0.4}, spec, Counter(), Random(0)) == 5


def test_a_high_temperature_flattens_the_distribution():
    assert drawn(GenerationSpec(temperature=2))[4] > drawn(GenerationSpec())[4] * 1.5


def test_top_p_samples_from_the_nucleus():
    assert set(drawn(GenerationSpec(top_p=0.5))) == {1}
    assert set(drawn(GenerationSpec(top_p=0.75))) == {1, 2}
    assert set(drawn(GenerationSpec(top_p=0))) == {1}


def test_a_bias_bans_or_forces_a_token():
    assert 1 not in drawn(GenerationSpec(logit_bias={1: -100}))
    assert set(drawn(GenerationSpec(logit_bias={4: 100}))) == {4}


def test_the_presence_penalty_applies_once_and_the_frequency_penalty_each_time():
    greedy = {"temperature": 0}

    assert set(drawn(GenerationSpec(presence_penalty=1, **greedy), [1])) == {2}
    assert set(drawn(GenerationSpec(frequency_penalty=0.3, **greedy), [1])) == {1}
    assert set(drawn(GenerationSpec(frequency_penalty=0.3, **greedy), [1, 1])) == {2}
    assert set(drawn(GenerationSpec(presence_penalty=0.3, **greedy), [1, 1])) == {1}
