"""Conversion where nothing is lost; work beside the event loop; fingerprints in flat memory."""

import random

import anyio
import anyio.lowlevel
import pytest

from tunesmith.datasets import Dataset, diagnose, fingerprints
from tunesmith.datasets.fingerprints import Fingerprints, RepeatFilter
from tunesmith.errors import DatasetError

PAIRS = [{"prompt": f"q{i}", "completion": f"a{i}"} for i in range(20)]


def values(dataset):
    return [row.data for chunk in dataset.chunks() for row in chunk]


def test_completions_become_conversations_and_come_back():
    conversations = values(Dataset.open(PAIRS, target_format="chat", system="Be brief."))

    assert [m["role"] for m in conversations[0]["messages"]] == ["system", "user", "assistant"]
    assert (
        values(Dataset.open(conversations, target_format="completions", system="Be brief."))
        == PAIRS
    )


@pytest.mark.parametrize(
    ("row", "lost"),
    [
        ({"role": "assistant", "content": "x", "weight": 1}, "`weight` would be lost"),
        ({"role": "system", "content": "x"}, "system message would be lost"),
        (
            {"role": "assistant", "content": [{"type": "text", "text": "x"}]},
            "every message must be text",
        ),
    ],
)
def test_what_would_lose_something_is_not_converted(row, lost):
    rows = [{"messages": [row, {"role": "assistant", "content": "y"}]}]

    with pytest.raises(DatasetError, match=lost) as caught:
        values(Dataset.open(rows, target_format="completions"))
    assert caught.value.line == 1


def test_a_conversion_that_cannot_be_says_what_is_needed():
    with pytest.raises(DatasetError, match="`chosen` and `rejected`"):
        values(Dataset.open(PAIRS, target_format="dpo"))


@pytest.mark.anyio
async def test_a_dataset_is_diagnosed_and_written_beside_the_event_loop(tmp_path):
    turns = 0

    async def count_turns():
        nonlocal turns
        while True:
            turns += 1
            await anyio.lowlevel.checkpoint()

    rows = [{"prompt": f"q{i}", "completion": f"{i} a"} for i in range(5000)]
    async with anyio.create_task_group() as group:
        group.start_soon(count_turns)
        diagnosis = await Dataset.open(rows).diagnose()
        written = await diagnosis.plan().write(tmp_path / "out.jsonl")
        group.cancel_scope.cancel()

    assert written.rows == (5000,)
    assert turns > 10


@pytest.mark.anyio
async def test_rows_can_be_iterated():
    assert [row.data async for row in Dataset.open(PAIRS).rows()] == PAIRS


@pytest.mark.anyio
async def test_cancelling_leaves_no_file_behind(tmp_path):
    rows = [{"prompt": f"q{i}", "completion": f"{i} a"} for i in range(20_000)]
    plan = diagnose(Dataset.open(rows)).plan()

    with anyio.move_on_after(0) as scope:
        await plan.write(tmp_path / "out.jsonl")

    assert scope.cancelled_caught
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("spilled", [True, False])
def test_fingerprints_are_counted_in_memory_and_on_disk_alike(monkeypatch, spilled):
    if spilled:
        monkeypatch.setattr(fingerprints, "MAX_IN_MEMORY", 64)
    chance = random.Random(0)
    numbers = [chance.randrange(-(1 << 63), 1 << 63) for _ in range(500)]
    numbers += numbers[:40] + numbers[:3]
    counted, other = Fingerprints(), Fingerprints()
    counted.add(numbers)
    for start in range(0, len(numbers), 10):
        other.add(numbers[start : start + 10])

    for one in (counted, other):
        assert (one.count, one.distinct()) == (543, 500)
        assert list(one.repeated()) == sorted(numbers[:40])
        assert one.most_and_least_common()[0][1] == 3
    few = Fingerprints()
    few.add([*numbers[5:9], 1])
    assert list(other.shared_with(few)) == sorted(numbers[5:9])
    seen = RepeatFilter(other.repeated())
    assert [seen.is_repeat(numbers[0]) for _ in range(2)] == [False, True]
    assert not seen.is_repeat(numbers[100])
