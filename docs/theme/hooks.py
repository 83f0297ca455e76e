"""Build hooks of the documentation: the version in the footer, and llms.txt."""

import re
import tomllib
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
    """Store the first paragraph of a page for llms.txt."""
    paragraphs = (" ".join(text.split()) for text in markdown.split("\n\n"))
    prose = (
        text
        for text in paragraphs
        if re.match(r"[\w`\[]", text) and not text.startswith("```")
    )
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
    return f"- [{page.title}]({site_url}{page.file.url})" + (
        f": {summary}" if summary else ""
    )
