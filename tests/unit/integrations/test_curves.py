"""The figures of training: what is drawn, and what is said where nothing can be."""

from itertools import pairwise

import pytest

from tunesmith import ConfigurationError
from tunesmith.types.results import JobResults, StepMetrics

pytest.importorskip("matplotlib")


def run(name, *losses, valid=()):
    valid = [*valid, *[None] * len(losses)]
    steps = [
        StepMetrics(step, loss, 0.5, valid[step - 1], None, {})
        for step, loss in enumerate(losses, 1)
    ]
    return JobResults(name, tuple(steps))


def lines(axes):
    return {line.get_label(): list(map(list, line.get_data())) for line in axes.lines}


def test_losses_are_plotted_at_their_steps():
    losses, accuracies = run("kant", 3.0, 2.0, 1.0, valid=[None, 2.5]).plot().axes
    assert lines(losses) == {
        "kant, training": [[1, 2, 3], [3.0, 2.0, 1.0]],
        "kant, validation": [[2], [2.5]],
    }
    assert lines(accuracies) == {"kant, training": [[1, 2, 3], [0.5, 0.5, 0.5]]}


def test_several_jobs_share_a_figure_in_different_colors():
    losses, _ = run("a", 1.0, valid=[2.0]).plot(run("b", 2.0), labels=["first", "second"]).axes
    colours = {line.get_label(): line.get_color() for line in losses.lines}
    assert colours["first, training"] == colours["first, validation"]
    assert colours["first, training"] != colours["second, training"]


def test_metrics_of_many_steps_are_smoothed_over_their_raw_values():
    noisy = [4.0 - step / 100 + (-1) ** step for step in range(300)]
    losses, _ = run("kant", *noisy, valid=noisy).plot().axes
    mean, values, _, _ = losses.lines
    steps, drawn = map(list, mean.get_data())
    assert (steps[0], steps[-1]) == (1, 300)
    assert list(values.get_data()[1]) == noisy
    assert values.get_alpha() < 0.5
    roughness = [abs(after - before) for before, after in pairwise(drawn)]
    assert max(roughness) < 0.2
    assert abs(drawn[150] - 2.5) < 0.2
    shown = [text.get_text() for text in losses.figure.legends[0].get_texts()]
    assert shown == ["kant, training", "kant, validation"]


@pytest.mark.parametrize("count", [3, 300])
def test_a_missing_loss_leaves_a_gap(count):
    diverged = [float("inf"), float("nan"), *[1.0] * count]
    losses, _ = run("kant", *diverged).plot().axes
    for line in losses.lines:
        steps, drawn = map(list, line.get_data())
        assert steps == list(range(3, count + 3))
        assert drawn == pytest.approx([1.0] * count)


def test_too_few_labels_are_an_error():
    with pytest.raises(ValueError, match="pass one label per job: 1 labels for 2 jobs"):
        run("a", 1.0).plot(run("b", 2.0), labels=["first"])


def test_training_and_validation_have_different_colors():
    losses, _ = run("kant", 1.0, 2.0, valid=[2.0, 2.5]).plot().axes
    training, validation = (line.get_color() for line in losses.lines)
    assert training != validation


def test_missing_metrics_are_labeled_in_the_figure():
    losses, _ = JobResults("empty", ()).plot().axes
    assert [text.get_text() for text in losses.texts] == ["not measured"]


@pytest.mark.slow
def test_a_notebook_displays_the_figure():
    assert run("kant", 1.0, 0.5).plot()._repr_png_().startswith(b"\x89PNG")


@pytest.mark.slow
def test_a_figure_can_be_saved(tmp_path):
    run("kant", 1.0, 0.5).plot().savefig(tmp_path / "losses.png")
    assert (tmp_path / "losses.png").read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'tunesmith\[plot\]'"):
        run("kant", 1.0).plot()
