"""What the tests of the wire share."""

from itertools import pairwise

import pytest


@pytest.fixture(scope="session")
def cut():
    """Cut bytes at places, whatever numbers those are."""

    def cut(body, places):
        edges = [0, *sorted(place % (len(body) + 1) for place in places), len(body)]
        return [body[start:end] for start, end in pairwise(edges)]

    return cut
