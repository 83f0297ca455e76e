"""Vectors have length 1 and are nearer for more similar texts."""

import math
import subprocess
import sys

import pytest
from hypothesis import given, strategies as st

from tunesmith.service.grading.embedding import embed

DIMENSIONS = 256


def nearness(one, other):
    return sum(a * b for a, b in zip(embed(one, DIMENSIONS), embed(other, DIMENSIONS), strict=True))


@given(st.text(st.characters(exclude_categories=())), st.integers(1, 300))
def test_every_text_has_a_vector_of_length_1(text, dimensions):
    vector = embed(text, dimensions)

    assert len(vector) == dimensions
    assert math.hypot(*vector) == pytest.approx(1)


@pytest.mark.parametrize(
    ("text", "near", "far"),
    [
        ("the cat sat on the mat", "a cat sat on a mat", "shares fell at the stock exchange"),
        ("transcendental idealism", "transcendental idealists", "bread and butter"),
        ("How do I reset my password?", "I forgot my password", "What is the weather like?"),
    ],
)
def test_similar_texts_are_closer(text, near, far):
    assert nearness(text, near) > nearness(text, far) + 0.2


def test_embeddings_are_equal_in_all_processes():
    code = f"from {embed.__module__} import embed; print(embed('Kant', 8))"
    other = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout

    assert other.strip() == str(embed("Kant", 8))


def test_zero_dimensions_are_refused():
    with pytest.raises(ValueError, match="dimensions must be at least 1, not 0"):
        embed("Kant", 0)
