"""Ids have the forms of the real service and follow from the seed."""

import re

import pytest

from tunesmith.service.core.ids import IdGenerator


@pytest.mark.parametrize(
    ("kind", "form"),
    [
        ("file", r"file-\w{24}"),
        ("job", r"ftjob-\w{24}"),
        ("event", r"ftevent-\w{24}"),
        ("checkpoint", r"ftckpt_\w{24}"),
        ("fine_tune", r"ft-\w{24}"),
        ("permission", r"cp_\w{24}"),
        ("batch", r"batch_[0-9a-f]{32}"),
        ("upload", r"upload_[0-9a-f]{32}"),
        ("request", r"req_[0-9a-f]{32}"),
        ("model", r"\w{8}"),
    ],
)
def test_each_kind_has_its_form(kind, form):
    assert re.fullmatch(form, IdGenerator().new(kind))


def test_the_same_seed_gives_the_same_ids_and_another_seed_others():
    assert [IdGenerator(1).new("file") for _ in range(2)] == [IdGenerator(1).new("file")] * 2
    assert IdGenerator(1).new("file") != IdGenerator(2).new("file")


def test_one_kind_does_not_disturb_another():
    ids = IdGenerator(1)
    ids.new("event")
    assert ids.new("file") == IdGenerator(1).new("file")


def test_ids_do_not_repeat():
    ids = IdGenerator()
    assert len({ids.new("event") for _ in range(10_000)}) == 10_000
