"""The page of attention shows each head of each layer, for both models."""

import re

from tunesmith.reports.attention import Attention, attention_report

UNIFORM = [[1.0, 0.0], [0.5, 0.5]]
LOOKING_BACK = [[1.0, 0.0], [1.0, 0.0]]
TOKENS = ["<b>", "\n so"]


def report(*models):
    return attention_report("Attention", "<b>\n so", TOKENS, models)


def test_each_head_has_a_map_per_model_beside_the_mean_of_its_layer():
    layers = [[UNIFORM, LOOKING_BACK], [UNIFORM, UNIFORM]]
    page = report(Attention("base", layers), Attention("tuned", layers))
    assert page.count("<svg") == 2 * 2 * (2 + 1)
    assert re.findall(r"<summary>(.*?)<", page) == ["Layer 1", "Layer 2"]
    for caption in ("Head 1, base", "Head 2, tuned", "base, mean of all heads"):
        assert caption in page


def test_cells_are_darker_the_more_a_token_is_attended_to():
    page = report(Attention("model", [[UNIFORM]]))
    strongest, medium = 'd="M0 0h1v1h-1z"', 'd="M0 1h1v1h-1zM1 1h1v1h-1z"'
    assert f'{strongest} fill="var(--c1)" fill-opacity="1.0"' in page
    assert f'{medium} fill="var(--c1)" fill-opacity="0.8"' in page


def test_the_share_of_moved_attention_is_listed_for_two_models():
    base, tuned = Attention("base", [[UNIFORM]]), Attention("tuned", [[LOOKING_BACK]])
    assert ">25%<" in report(base, tuned)  # half of that of one token of two
    assert "moved" not in report(base)


def test_likely_next_tokens_are_side_by_side():
    base = Attention("base", [[UNIFORM]], [("\n", 0.5)])
    tuned = Attention("tuned", [[UNIFORM]], [(" a", 0.251)])
    page = report(base, tuned)
    assert "↵  50.0%" in page
    assert "·a  25.1%" in page


def test_tokens_are_escaped_and_blanks_are_visible():
    page = report(Attention("model", [[UNIFORM]]))
    assert "&lt;b&gt;</text>" in page
    assert "↵·so</text>" in page
    assert "<b>" not in page


def test_the_page_is_accessible(tmp_path, accessibility_violations):
    page = tmp_path / "attention.html"
    base, tuned = (Attention(name, [[UNIFORM, LOOKING_BACK]]) for name in ("base", "tuned"))
    page.write_text(report(base, tuned))
    assert accessibility_violations(page.as_uri()) == []
