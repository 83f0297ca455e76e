"""Nested values in queries and forms."""

import pytest
from hypothesis import given, strategies as st

from tunesmith.errors import InvalidRequestError
from tunesmith.protocol.flatten import flatten_all, unflatten


@pytest.mark.parametrize(
    ("values", "pairs"),
    [
        ({"a": "x", "b": 5, "c": 0.5}, [("a", "x"), ("b", "5"), ("c", "0.5")]),
        ({"a": True, "b": False, "c": None}, [("a", "true"), ("b", "false")]),
        ({"a": {"b": 1, "c": {"d": "x"}}}, [("a[b]", "1"), ("a[c][d]", "x")]),
        ({"a": ["x", 1], "b": ()}, [("a[]", "x"), ("a[]", "1")]),
    ],
)
def test_values_become_pairs(values, pairs):
    assert list(flatten_all(values)) == pairs


words = st.text("abc", min_size=1, max_size=3)


@given(
    st.dictionaries(
        words,
        words
        | st.lists(words, min_size=1, max_size=3)
        | st.dictionaries(words, words, min_size=1, max_size=3),
    )
)
def test_pairs_become_the_values_that_they_came_from(values):
    assert unflatten(flatten_all(values)) == values


@pytest.mark.parametrize("names", [("a[]", "a[b]"), ("a[b]", "a[]"), ("a", "a[]"), ("a", "a[b]")])
def test_a_name_that_is_used_in_two_ways_is_an_error(names):
    with pytest.raises(InvalidRequestError) as caught:
        unflatten((name, "x") for name in names)
    assert str(caught.value) == "'a' appears both with and without keys"
    assert caught.value.param == "a"
