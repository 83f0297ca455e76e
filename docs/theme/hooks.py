"""Build hooks of the documentation: the version in the footer, and llms.txt."""

import re
import tomllib
from html import unescape
from pathlib import Path

ROOT = Path(__file__).parents[2]

_summaries: dict[str, str] = {}


def on_config(config):
    """Show the version in the footer."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "version"
    ]
    config.copyright = f"tunesmith {version} · Apache-2.0"
    return config


def on_page_markdown(markdown, page, **_):
    """Store the first paragraph for llms.txt; rank guides first."""
    is_reference = page.file.src_uri.startswith(("reference/", "explanation/"))
    page.meta.setdefault("search", {"boost": 0.3 if is_reference else 1})
    without_code = re.sub(
        r"^( *)```.*?^\1```$", "", markdown, flags=re.MULTILINE | re.DOTALL
    )
    paragraphs = (" ".join(text.split()) for text in without_code.split("\n\n"))
    prose = (text for text in paragraphs if re.match(r"[\w`\[]", text))
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", next(prose, ""))
    _summaries[page.file.src_uri] = re.split(r"(?<=[.:]) ", plain)[0].rstrip(
        ":"
    )


def on_nav(nav, **_):
    """Keep the navigation for llms.txt."""
    _sections[:] = nav.items


_sections: list = []


def on_post_build(config):
    """Write llms.txt: every page by section, with its first sentence."""
    lines = [f"# {config.site_name}", "", f"> {config.site_description}", ""]
    for section in _sections:
        lines += [f"## {section.title}", ""]
        lines += [
            _entry(page, config.site_url or "") for page in _pages(section)
        ]
        lines.append("")
    (Path(config.site_dir) / "llms.txt").write_text(
        "\n".join(lines), encoding="utf-8"
    )


def _pages(item):
    if item.is_page:
        yield item
    for child in item.children or ():
        yield from _pages(child)


def _entry(page, site_url):
    summary = _summaries.get(page.file.src_uri)
    return f"- [{unescape(page.title)}]({site_url}{page.file.url})" + (
        f": {summary}" if summary else ""
    )
