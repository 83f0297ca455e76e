"""Elements shared by all HTML reports: page head, style, tables, escaping.

A page is one file that loads nothing and runs no script; a fragment is what a notebook shows.
"""

from collections.abc import Iterable, Mapping, Sequence
from html import escape

__all__ = [
    "Html",
    "inline_code",
    "render_facts",
    "render_fragment",
    "render_page",
    "render_table",
    "tag",
]

_SHORT = 12
"""Length of text up to which a cell is not broken."""

_VOID = {"br", "circle", "line", "meta", "path", "polyline", "rect"}

# Blocks what slips through the escaping, should anything do so.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"

# `%s` stands for the element that holds the variables: a whole page, or a part of a notebook.
_COLOURS = """
%s{color-scheme:light dark;--bg:#fff;--text:#1c2024;--muted:#59636e;--line:#d5dae1;
--panel:#f5f7f9;--c1:#1f6feb;--c2:#b54708;--c3:#1a7f37;--c4:#8250df;--bad:#b42318;--warn:#855a00;
--good:#1a7f37;--mark:#ffefb0}
@media(prefers-color-scheme:dark){%s{--bg:#10151b;--text:#e5e9ee;--muted:#9ba6b2;--line:#2e3742;
--panel:#181f27;--c1:#6cb0ff;--c2:#ffa657;--c3:#56d364;--c4:#d2a8ff;--bad:#ff8f85;--warn:#f0c04f;
--good:#56d364;--mark:#5a4300}}
"""

_PAGE_STYLE = """
*{box-sizing:border-box}
body{font:16px/1.5 system-ui,sans-serif;background:var(--bg);color:var(--text);margin:0}
main{max-width:62rem;margin:0 auto;padding:1.5rem 1rem 4rem}
h1{font-size:1.5rem;line-height:1.25;margin:0 0 1rem;overflow-wrap:anywhere}
"""

_STYLE = """
h2{font-size:1.15rem;margin:2.2rem 0 .6rem}h3{font-size:1rem;margin:0 0 .3rem}
table{border-collapse:collapse;width:100%;color:inherit}caption{text-align:left;color:var(--muted)}
th,td{text-align:left;vertical-align:top;padding:.4rem .6rem;border-bottom:1px solid var(--line);
overflow-wrap:anywhere}
th{font-weight:600;overflow-wrap:normal}.short{white-space:nowrap}
.facts th{width:11rem;color:var(--muted);font-weight:400}
code,pre{font:.85em/1.45 ui-monospace,monospace;white-space:pre-wrap;overflow-wrap:anywhere}
code{background:var(--panel);border-radius:.25em;padding:.1em .25em}
pre{background:var(--panel);border:1px solid var(--line);border-radius:.4rem;padding:.7rem}
pre{margin:.3rem 0}
figure{margin:1.2rem 0}figcaption,.note{color:var(--muted);font-size:.9em}
.grid{display:grid;gap:0 2rem;grid-template-columns:repeat(auto-fill,minmax(min(100%,26rem),1fr))}
svg{display:block;width:100%;height:auto}svg text{font-size:13px;fill:var(--muted)}
.grid svg text{font-size:18px}svg .raw{opacity:.25;stroke-width:1}
svg .rule{stroke:var(--line)}svg rect{fill:var(--c1)}svg rect:hover{opacity:.7}
svg polyline{fill:none;stroke-width:2;stroke-linejoin:round}
.legend{display:flex;flex-wrap:wrap;gap:.2rem 1.2rem;color:var(--muted);font-size:.9em}
.legend i{display:inline-block;width:1.2em;border-top:3px solid}
.legend i{margin-right:.4em;vertical-align:middle}
.bar{display:flex;align-items:center;gap:.6rem}
.bar span{flex:0 0 30%;overflow:hidden;text-overflow:ellipsis;white-space:pre}
.bar i{background:var(--c1);height:.9em}.bar b{font-weight:400}
.fatal,.error,.bad{color:var(--bad);font-weight:600}.warn,.warning{color:var(--warn);font-weight:600}
mark{background:var(--mark);color:inherit}
.good{color:var(--good);font-weight:600}
time{white-space:nowrap;font-variant-numeric:tabular-nums}
summary{cursor:pointer}
@media(max-width:40rem){svg text,.grid svg text{font-size:23px}.facts th{width:7rem}
time{white-space:normal}th,td{padding:.4rem .3rem}
table:not(.facts) td:has(>time){width:6.5rem;overflow-wrap:normal}}
"""


class Html(str):
    """Markup that needs no further escaping."""

    __slots__ = ()


def tag(name: str, /, *children: object, **attributes: object) -> Html:
    """Write an element; escape its text and its attributes.

    Args:
        name: The element's name.
        children: Markup as `Html`; everything else is text.
        attributes: Attributes; `_` in a name stands for `-` (`class_` is `class`), those that are
            None are left out.

    Example:
        ```python
        from tunesmith._html import tag

        assert tag("td", "a < b", class_="error") == '<td class="error">a &lt; b</td>'
        ```
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID:
        return Html(f"<{name}{written}>" if name in {"br", "meta"} else f"<{name}{written}/>")
    content = "".join(
        child if isinstance(child, Html) else escape(str(child)) for child in children
    )
    return Html(f"<{name}{written}>{content}</{name}>")


def inline_code(text: str) -> Html:
    """Write a text whose parts between backticks are code."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return Html(escape(text))
    return Html(
        "".join(
            tag("code", part) if index % 2 else escape(part) for index, part in enumerate(parts)
        )
    )


def render_page(title: str, *sections: Html, refresh_s: int | None = None) -> str:
    """Write a whole page.

    Args:
        title: The title and first heading.
        sections: The content.
        refresh_s: Seconds after which a browser loads the page again; None if it is final.
    """
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        *([tag("meta", http_equiv="refresh", content=refresh_s)] if refresh_s else []),
        tag("title", title),
        tag("style", Html(_COLOURS % (":root", ":root") + _PAGE_STYLE + _STYLE)),
    )
    body = tag("body", tag("main", tag("h1", title), *sections))
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def render_fragment(*sections: Html) -> str:
    """Write markup for the output of a notebook cell; its style reaches nothing outside of it.

    Args:
        sections: The content.
    """
    scope = ".tunesmith"
    frame = "max-width:62rem;padding:.6rem 1rem;background:var(--bg);color:var(--text);"
    style = _COLOURS % (scope, scope) + f"{scope}{{{frame}{_STYLE}}}"
    return tag("div", tag("style", Html(style)), *sections, class_=scope[1:])


def render_facts(facts: Mapping[str, object]) -> Html:
    """Write names and values as a table; leave out values that are None or empty."""
    return tag(
        "table",
        *(
            tag("tr", tag("th", name, scope="row"), tag("td", value))
            for name, value in facts.items()
            if value is not None and value != ""
        ),
        class_="facts",
    )


def render_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Html:
    """Write a table; a cell that is `td` markup already is taken as it is."""
    return tag(
        "table",
        tag("thead", tag("tr", *(tag("th", column, scope="col") for column in columns))),
        tag("tbody", *(tag("tr", *map(_cell, row)) for row in rows)),
    )


def _cell(value: object) -> Html:
    if isinstance(value, Html) and value.startswith("<td"):
        return value
    text = "" if value is None else str(value)
    is_short = not isinstance(value, Html) and len(text) <= _SHORT
    return tag("td", text if value is None else value, class_="short" if is_short else None)
