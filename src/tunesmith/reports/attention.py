"""HTML page of attention: what each token attends to, per layer and head."""

from collections.abc import Sequence
from dataclasses import dataclass

from tunesmith._html import Html, render_facts, render_page, render_table, tag

__all__ = ["Attention", "attention_report"]

Matrix = Sequence[Sequence[float]]
"""Weights by token and earlier token; those of a token sum to 1."""

_LEVELS = (0.05, 0.15, 0.3, 0.5, 0.8)
"""Weights from which a cell is drawn, each darker than the one before."""

_CELL = 16
_LABEL = 110
_LABEL_STYLE = "font-size:12px"
_MAX_LABEL = 14


@dataclass(frozen=True, slots=True)
class Attention:
    """Attention of one model to the tokens of a prompt.

    Args:
        name: Name of the model on the page.
        layers: Matrices of each head of each layer.
        next_tokens: Likely next tokens with their probabilities.
    """

    name: str
    layers: Sequence[Sequence[Matrix]]
    next_tokens: Sequence[tuple[str, float]] = ()


def attention_report(
    title: str, prompt: str, tokens: Sequence[str], models: Sequence[Attention]
) -> str:
    """Write a page that shows, per layer and head, what each token attends to.

    Args:
        title: Title of the page.
        prompt: The prompt.
        tokens: Its tokens.
        models: One model; or the base and the tuned one, which are shown side by side.

    Returns:
        The page, as HTML.

    Example:
        ```python
        from tunesmith.reports.attention import Attention, attention_report

        uniform = [[1.0, 0.0], [0.5, 0.5]]
        model = Attention("tiny", [[uniform]])
        page = attention_report("Attention", "ab", ["a", "b"], [model])
        assert "Layer 1" in page
        ```
    """
    first = models[0].layers
    sections = [
        render_facts(
            {
                "Prompt": prompt,
                "Tokens": len(tokens),
                "Layers": len(first),
                "Heads per layer": len(first[0]),
            }
        ),
        tag(
            "p",
            "Rows are tokens, columns the tokens that they attend to: the darker, the more. "
            "Attention to the first token often means that a head has found nothing.",
            class_="note",
        ),
        *_next_tokens(models),
    ]
    if len(models) > 1:
        sections.append(_differences(*(model.layers for model in models[:2])))
    sections.append(tag("h2", "Layers"))
    sections += [_layer(number, tokens, models) for number in range(len(first))]
    return render_page(title, *sections)


def _next_tokens(models: Sequence[Attention]) -> list[Html]:
    if not all(model.next_tokens for model in models):
        return []
    texts = [
        [f"{_visible(text)}  {share:.1%}" for text, share in model.next_tokens] for model in models
    ]
    rows = [[rank, *texts] for rank, texts in enumerate(zip(*texts, strict=True), 1)]
    columns = ["Rank", *(model.name for model in models)]
    return [tag("h2", "Most likely next tokens"), render_table(columns, rows)]


def _differences(base: Sequence[Sequence[Matrix]], tuned: Sequence[Sequence[Matrix]]) -> Html:
    """Show for each head which share of its attention training has moved."""
    moved = [
        [_moved(a, b) for a, b in zip(*heads, strict=True)]
        for heads in zip(base, tuned, strict=True)
    ]
    largest = max(max(row) for row in moved) or 1.0
    rows = [
        [
            tag("td", tag("a", number, href=f"#layer-{number}")),
            *(_shaded(share, share / largest) for share in row),
        ]
        for number, row in enumerate(moved, 1)
    ]
    heads = [f"Head {number}" for number in range(1, len(moved[0]) + 1)]
    return tag(
        "section",
        tag("h2", "Attention that training has moved"),
        tag(
            "p", "Share of a head's attention that goes to other tokens than before.", class_="note"
        ),
        tag("div", render_table(["Layer", *heads], rows), style="overflow-x:auto"),
    )


def _moved(base: Matrix, tuned: Matrix) -> float:
    rows = [
        sum(abs(a - b) for a, b in zip(*row, strict=True)) / 2
        for row in zip(base, tuned, strict=True)
    ]
    return sum(rows) / len(rows)


def _shaded(value: float, strength: float) -> Html:
    colour = f"color-mix(in srgb,var(--c1) {round(45 * strength)}%,transparent)"
    return tag("td", f"{value:.0%}", style=f"background:{colour}", class_="short")


def _layer(index: int, tokens: Sequence[str], models: Sequence[Attention]) -> Html:
    means = [
        tag(
            "figure",
            _labelled_map(_mean(model.layers[index]), tokens),
            tag("figcaption", f"{model.name}, mean of all heads"),
        )
        for model in models
    ]
    n_heads = len(models[0].layers[index])
    heads = [
        tag("figure", _map(model.layers[index][head]), tag("figcaption", _caption(head, model)))
        for head in range(n_heads)
        for model in models
    ]
    columns = "repeat(auto-fill,minmax(8rem,1fr))"
    if len(models) > 1:
        columns = "repeat(auto-fill,minmax(8rem,1fr) minmax(8rem,1fr))"
    return tag(
        "details",
        tag("summary", f"Layer {index + 1}"),
        tag("div", *means, class_="grid"),
        tag("div", *heads, style=f"display:grid;gap:0 1rem;grid-template-columns:{columns}"),
        id=f"layer-{index + 1}",
        open="" if index == 0 else None,
    )


def _caption(head: int, model: Attention) -> str:
    return f"Head {head + 1}, {model.name}"


def _mean(heads: Sequence[Matrix]) -> Matrix:
    size = range(len(heads[0]))
    return [[sum(head[i][j] for head in heads) / len(heads) for j in size] for i in size]


def _map(matrix: Matrix) -> Html:
    size = len(matrix)
    frame = tag("path", d=f"M0 0V{size}H{size}Z", fill="var(--panel)")
    return tag("svg", frame, *_cells(matrix), viewBox=f"0 0 {size} {size}", role="img",
               aria_label="Attention of a head")  # fmt: skip


def _labelled_map(matrix: Matrix, tokens: Sequence[str]) -> Html:
    size = len(matrix) * _CELL
    inner = tag(
        "g",
        tag("path", d=f"M0 0V{len(matrix)}H{len(matrix)}Z", fill="var(--panel)"),
        *_cells(matrix),
        transform=f"translate({_LABEL} 0) scale({_CELL})",
    )
    labels = [
        tag(
            "text",
            _visible(token),
            x=_LABEL - 6,
            y=(index + 0.75) * _CELL,
            text_anchor="end",
            style=_LABEL_STYLE,
        )
        for index, token in enumerate(tokens)
    ]
    below = [
        tag(
            "text",
            _visible(token),
            text_anchor="end",
            style=_LABEL_STYLE,
            transform=f"translate({_LABEL + (index + 0.75) * _CELL} {size + 6}) rotate(-90)",
        )
        for index, token in enumerate(tokens)
    ]
    return tag(
        "svg",
        inner,
        *labels,
        *below,
        viewBox=f"0 0 {_LABEL + size} {size + _LABEL}",
        style=f"max-width:{_LABEL + size}px",
        role="img",
        aria_label="Mean attention of the layer",
    )


def _cells(matrix: Matrix) -> list[Html]:
    """Draw the cells of each level as one path, which keeps pages of many heads small."""
    paths = [""] * len(_LEVELS)
    for row, weights in enumerate(matrix):
        for column, weight in enumerate(weights[: row + 1]):
            level = sum(weight >= least for least in _LEVELS)
            if level:
                paths[level - 1] += f"M{column} {row}h1v1h-1z"
    return [
        tag("path", d=path, fill="var(--c1)", fill_opacity=(level + 1) / len(_LEVELS))
        for level, path in enumerate(paths)
        if path
    ]


def _visible(token: str) -> str:
    text = token.replace("\n", "↵").replace(" ", "·")
    return text if len(text) <= _MAX_LABEL else f"{text[: _MAX_LABEL - 1]}…"
