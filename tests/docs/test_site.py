"""The documentation builds without a warning and is complete."""

import pkgutil
import re
import subprocess
import sys
import tomllib
import zlib
from functools import cached_property
from importlib import import_module
from pathlib import Path

import pytest

import tunesmith.resources
from tunesmith.resources.base import Resource

ROOT = Path(__file__).parents[2]


PUBLIC = (
    "tunesmith",
    "tunesmith.batch",
    "tunesmith.datasets",
    "tunesmith.integrations.otel",
    "tunesmith.integrations.ray",
    "tunesmith.integrations.tracking",
    "tunesmith.integrations.wandb",
    "tunesmith.reports.fine_tuning_job",
    "tunesmith.testing",
    "tunesmith.types",
    "tunesmith.webhooks",
)
"""Modules with public names."""

MAX_CODE_COLUMNS = 80


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The built site, and the result of the build."""
    site = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        # Not --quiet, which leaves out the warnings before --strict counts them.
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", site],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return site, done


def test_the_site_builds_without_warnings(built):
    _, done = built
    assert done.returncode == 0, done.stderr


def documented_paths(site):
    # Four lines of comments, then one object per line, its path first.
    compressed = (site / "objects.inv").read_bytes().split(b"\n", 4)[4]
    return {line.split()[0] for line in zlib.decompress(compressed).decode().splitlines()}


def test_the_reference_has_every_public_name(built):
    site, _ = built
    there = {path.rpartition(".")[2] for path in documented_paths(site)}
    missing = {
        f"{module}.{name}"
        for module in PUBLIC
        for name in import_module(module).__all__
        if name not in there
    }
    assert not missing


def test_the_reference_has_every_method_of_a_client(built):
    site, _ = built
    for module in pkgutil.iter_modules(tunesmith.resources.__path__, "tunesmith.resources."):
        import_module(module.name)
    methods = {
        f"{resource.__module__}.{resource.__name__}.{name}"
        for resource in Resource.__subclasses__()
        for name, value in vars(resource).items()
        if not name.startswith("_") and not isinstance(value, cached_property)
    }
    assert "tunesmith.resources.files.Files.create" in methods
    assert methods - documented_paths(site) == set()


def pages():
    files = (ROOT / "docs").rglob("*.md")
    return {path.relative_to(ROOT / "docs").as_posix() for path in files}


def test_the_navigation_has_every_page():
    # Without the tags of mkdocs, which are not plain YAML.
    text = (ROOT / "mkdocs.yml").read_text().partition("\nnav:")[2]
    listed = re.findall(r"- ([\w/-]+\.md)$", text, re.MULTILINE)
    assert sorted(listed) == sorted(pages())


def test_llms_txt_lists_every_page_with_its_first_sentence(built):
    site, _ = built
    lines = (site / "llms.txt").read_text().splitlines()
    linked = {target for line in lines for target in re.findall(r"\]\(([^)]*)\)", line)}
    urls = {page.removesuffix("index.md").removesuffix(".md") for page in pages()}
    assert {url.rstrip("/") for url in linked} >= {url.rstrip("/") for url in urls - {""}}
    without = [line for line in lines if line.startswith("- ") and "): " not in line]
    assert not [line for line in without if "reference/" not in line]


def test_pages_load_nothing_from_other_sites(built):
    site, _ = built
    for page in ("index.html", "how-to/batch/index.html", "reference/resources/files/index.html"):
        html = (site / page).read_text()
        loaded = re.findall(r'<(?:script|img|link|iframe)[^>]* (?:src|href)="(https?:[^"]+)"', html)
        assert not loaded


@pytest.mark.parametrize(
    "page",
    ["index.html", "how-to/prepare/formats/index.html", "reference/resources/files/index.html"],
)
def test_pages_are_accessible(built, accessibility_violations, page):
    site, _ = built
    assert accessibility_violations((site / page).as_uri()) == []


def test_no_page_is_scrolled_sideways_on_a_phone(built, browser):
    """Long code and wide tables are scrolled on their own."""
    site, _ = built
    phone = browser.new_page(viewport={"width": 400, "height": 800})
    too_wide = []
    for page in sorted(site.rglob("index.html")):
        phone.goto(page.as_uri())
        if phone.evaluate("document.documentElement.scrollWidth > innerWidth"):
            too_wide.append(page.parent.name)
    phone.close()
    assert too_wide == []


def test_code_in_pages_fits_the_page():
    """Longer lines are scrolled on a wide screen too."""
    for page in sorted(pages() - {"reference/command-line.md"}):
        text = (ROOT / "docs" / page).read_text()
        for block in re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
            assert [line for line in block.splitlines() if len(line) > MAX_CODE_COLUMNS] == [], page


def test_the_readme_lists_every_extra():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    shown = re.findall(r"pip install 'tunesmith\[(.+?)\]'", (ROOT / "README.md").read_text())
    named = [extra for extras in shown for extra in extras.split(",")]
    assert sorted(named) == sorted(set(project["optional-dependencies"]) - {"dev", "docs"})


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"])
def test_the_links_of_top_level_pages_exist(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", (ROOT / page).read_text()):
        path = link.partition("#")[0]
        assert link.startswith("https://") or not path or (ROOT / path).exists(), link
