"""The counts give probabilities, forks are independent."""

import pytest
from hypothesis import given, settings, strategies as st

from tunesmith.service.engines.ngram.context_tree import ContextTree

N_TOKENS = 7
tokens = st.lists(st.integers(0, N_TOKENS - 1), min_size=1, max_size=12)
amounts = st.floats(-2, 2, allow_nan=False)
lessons = st.lists(st.tuples(tokens, amounts, st.booleans()), max_size=8)


def tree_of(taught):
    tree = ContextTree(N_TOKENS)
    for text, amount, grow in taught:
        for position in range(len(text)):
            tree.learn(text, position, amount, grow=grow)
    return tree


def probabilities(tree, before):
    return [tree.probability([*before, token], len(before)) for token in range(N_TOKENS)]


@pytest.mark.slow
@given(lessons, tokens)
def test_probabilities_are_above_zero_and_add_up_to_one(taught, before):
    found = probabilities(tree_of(taught), before)

    assert abs(sum(found) - 1) < 1e-9
    assert min(found) > 0


@pytest.mark.slow
@given(lessons, tokens)
def test_candidates_have_the_same_probabilities_as_single_tokens(taught, before):
    tree = tree_of(taught)
    likely = tree.candidates(before, extra_tokens=range(N_TOKENS))

    for token, probability in enumerate(probabilities(tree, before)):
        assert abs(likely[token] - probability) < 1e-9


@given(tokens, st.integers(0, N_TOKENS - 1))
def test_a_learnt_token_is_more_likely_and_an_unlearnt_one_less(before, token):
    tree = tree_of([([*before, other], 1.0, True) for other in range(N_TOKENS)])
    text = [*before, token]
    at_first = tree.probability(text, len(before))
    tree.learn(text, len(before), 0.5, grow=True)
    after_learning = tree.probability(text, len(before))
    tree.learn(text, len(before), -0.5, grow=False)

    assert at_first < after_learning
    assert tree.probability(text, len(before)) < after_learning


@pytest.mark.slow
@given(lessons, lessons, lessons, tokens)
@settings(max_examples=50)
def test_a_fork_is_independent_of_its_origin(first, second, third, before):
    origin = tree_of(first)
    fork = origin.fork()
    twin, other_twin = tree_of([*first, *second]), tree_of([*first, *third])
    for tree, taught in ((origin, second), (fork, third)):
        for text, amount, grow in taught:
            for position in range(len(text)):
                tree.learn(text, position, amount, grow=grow)

    assert probabilities(origin, before) == probabilities(twin, before)
    assert probabilities(fork, before) == probabilities(other_twin, before)


def test_longer_contexts_resolve_ambiguous_ones():
    tree = ContextTree(N_TOKENS)
    texts = [[1, 0, 0, 2], [3, 0, 0, 4]]
    for _ in range(3):
        for text in texts:
            for position in range(1, 4):
                tree.learn(text, position, 1.0, grow=True)

    for text in texts:
        probability, is_likeliest = tree.predict(text, 3)
        assert probability > 0.7
        assert is_likeliest


def test_a_less_frequent_token_is_not_the_most_likely():
    tree = tree_of([([0, 1], 1.0, True), ([0, 1], 1.0, True), ([0, 2], 1.0, True)])

    assert tree.predict([0, 1], 1)[1]
    assert not tree.predict([0, 2], 1)[1]


@pytest.mark.slow
@given(lessons)
def test_counts_are_restored_from_rows(taught):
    packed = tree_of(taught).to_rows()

    assert ContextTree.from_rows(N_TOKENS, packed).to_rows() == packed
