"""Faults declared in a file."""

import json

import pytest

from tunesmith import AsyncClient, MemoryBackend
from tunesmith.errors import ConfigurationError, InternalServerError, RateLimitError
from tunesmith.testing import load_faults
from tunesmith.testing.faults.faults import FaultRule
from tunesmith.testing.faults.file import _NAMES

pytestmark = pytest.mark.anyio


@pytest.fixture
def load(tmp_path):
    def load(rules):
        path = tmp_path / "faults.json"
        path.write_text(rules if isinstance(rules, str) else json.dumps(rules))
        return load_faults(path, MemoryBackend())

    return load


async def test_a_rule_names_the_operation_the_calls_and_the_fault(load):
    faults = load([{"on": "models.list", "nth": [1, 3], "rate_limited": {"retry_after": 20}}])
    async with AsyncClient(backend=faults, max_retries=0) as client:
        for call in (1, 2, 3):
            if call == 2:
                await client.models.list()
                continue
            with pytest.raises(RateLimitError) as caught:
                await client.models.list()
            assert caught.value.retry_after == 20
    assert faults.unfired == []


async def test_null_means_every_call(load):
    faults = load([{"on": "models.*", "nth": None, "status": 502}])
    async with AsyncClient(backend=faults, max_retries=0) as client:
        for _ in range(3):
            with pytest.raises(InternalServerError):
                await client.models.list()


async def test_faults_of_one_rule_compose(load):
    faults = load([{"on": "models.list", "delay": 5, "overloaded": True}])
    async with AsyncClient(backend=faults, max_retries=0) as client:
        begin = faults.inner.clock.monotonic()
        with pytest.raises(InternalServerError):
            await client.models.list()
        assert faults.inner.clock.monotonic() - begin >= 5


def test_every_fault_but_edit_can_be_named():
    methods = {name for name in vars(FaultRule) if not name.startswith("_")}
    assert methods - _NAMES == {"begin_call", "edit", "unfired"}


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ("{", "faults.json: Expecting property name"),
        ({}, "must hold a list of rules"),
        ([1], 'rule 1: a rule must be an object with "on"'),
        ([{"status": 500}], 'rule 1: a rule must be an object with "on"'),
        ([{"on": "models.list"}], "rule 1: it names no fault"),
        ([{"on": "models.lst", "delay": 1}], "rule 1: .*models.list"),
        ([{"on": "models.list", "nth": "1", "delay": 1}], '"nth" must be a number'),
        ([{"on": "models.list", "nth": 0, "delay": 1}], "nth must count calls from 1"),
        ([{"on": "models.list", "dely": 1}], "unknown fault 'dely'; use one of content_type"),
        ([{"on": "models.list", "edit": 1}], "unknown fault 'edit'"),
        (
            [{"on": "models.list", "delay": 1}, {"on": "*", "delay": {"seconds": "soon"}}],
            "rule 2: delay: seconds: Input should be a valid number",
        ),
        ([{"on": "*", "stall": {"after": 1}}], "rule 1: stall: after: Unexpected keyword"),
        ([{"on": "*", "status": {}}], "rule 1: status: status: Missing required argument"),
    ],
)
def test_a_wrong_file_is_an_error_that_names_the_rule(load, rules, message):
    with pytest.raises(ConfigurationError, match=message):
        load(rules)


def test_a_file_that_does_not_exist_is_an_error(tmp_path):
    with pytest.raises(ConfigurationError, match=r"cannot read .*none\.json"):
        load_faults(tmp_path / "none.json", MemoryBackend())
