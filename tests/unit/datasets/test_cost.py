"""Cost: tokens by epochs, and a price only if the user gave one, with its date."""

import json
from datetime import date

import pytest
from hypothesis import given, strategies as st

from tunesmith.datasets.cost import Prices, default_epochs, training_cost
from tunesmith.errors import DatasetError

PRICES = Prices(as_of=date(2026, 11, 1), usd_per_million_training_tokens={"babbage-002": 2.0})


@pytest.mark.parametrize(
    ("examples", "epochs"),
    [(1, 25), (4, 25), (10, 10), (33, 3), (34, 3), (8333, 3), (8334, 2), (12_501, 1), (10**6, 1)],
)
def test_epochs_follow_from_the_number_of_examples(examples, epochs):
    assert default_epochs(examples) == epochs


@given(st.integers(min_value=0))
def test_there_are_always_1_to_25_epochs(examples):
    assert 1 <= default_epochs(examples) <= 25


def test_trained_tokens_are_tokens_by_epochs():
    assert training_cost(1000, 280).trained_tokens == 3000
    assert training_cost(1000, 280, epochs=5).trained_tokens == 5000


def test_there_is_no_price_unless_it_was_given():
    cost = training_cost(1000, 280, model="babbage-002")
    assert (cost.usd, cost.as_of) == (None, None)
    assert "$" not in str(cost)


def test_a_price_comes_with_its_date():
    cost = training_cost(1_000_000, 280, model="babbage-002", prices=PRICES)
    assert cost.usd == 6.0
    assert str(cost).endswith("3,000,000 trained tokens = $6.00 (prices of 2026-11-01)")


def test_an_estimate_says_so():
    cost = training_cost(10, 280, exact=False, model="babbage-002", prices=PRICES)
    assert str(cost).count("about") == 3


@pytest.mark.parametrize(
    ("model", "price"),
    [
        ("m", 1.0),
        ("m-2025-04-14", 1.0),
        ("ft:m-2025-04-14:org:name:id", 1.0),
        ("m-mini", None),
        ("m-2025", None),
    ],
)
def test_a_price_is_for_a_model_its_snapshots_and_what_was_tuned_from_it(model, price):
    prices = Prices(as_of=date(2026, 1, 1), usd_per_million_training_tokens={"m": 1.0})
    assert prices.training_price(model) == price


def test_prices_are_read_from_a_file(tmp_path):
    file = tmp_path / "prices.json"
    file.write_text('{"as_of": "2026-11-01", "usd_per_million_training_tokens": {"m": 2.5}}')
    assert Prices.read(file).training_price("m") == 2.5


@pytest.mark.parametrize(
    "content",
    [
        {"usd_per_million_training_tokens": {"m": 1}},
        {"as_of": "2026-11-01", "usd_per_million_training_tokens": {}},
        {"as_of": "2026-11-01", "usd_per_million_training_tokens": {"m": -1}},
        {"as_of": "2026-11-01", "usd_per_million_training_tokens": {"m": 1}, "currency": "EUR"},
    ],
)
def test_a_file_of_something_else_is_an_error_that_shows_what_is_right(tmp_path, content):
    file = tmp_path / "prices.json"
    file.write_text(json.dumps(content))
    with pytest.raises(DatasetError, match="as_of") as caught:
        Prices.read(file)
    assert caught.value.file == str(file)


def test_no_file_of_prices_is_an_error(tmp_path):
    with pytest.raises(DatasetError, match="cannot be read"):
        Prices.read(tmp_path / "none.json")
