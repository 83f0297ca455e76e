"""The documentation builds, without a warning."""

import re
import subprocess
import sys
import tomllib
import zlib
from importlib import import_module
from pathlib import Path

import pytest

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
    "tunesmith.operations",
    "tunesmith.testing",
    "tunesmith.types",
    "tunesmith.webhooks",
)
"""Where names are imported from."""


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The built site, and how building it went."""
    site = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", site],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return site, done


def test_the_site_builds_strictly(built):
    _, done = built
    assert done.returncode == 0, done.stderr


def test_the_reference_has_every_public_name(built):
    site, _ = built
    # After four lines for people: an object a line, its path first.
    compressed = (site / "objects.inv").read_bytes().split(b"\n", 4)[4]
    paths = [line.split()[0] for line in zlib.decompress(compressed).decode().splitlines()]
    there = {path.rpartition(".")[2] for path in paths}
    missing = {
        f"{module}.{name}"
        for module in PUBLIC
        for name in import_module(module).__all__
        if name not in there
    }
    assert not missing


def test_the_landing_page_leads_to_every_page():
    linked = re.findall(r"\]\(([\w/-]+\.md)\)", (ROOT / "docs" / "index.md").read_text())
    pages = {str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")}
    assert set(linked) == pages - {"index.md"}


def test_the_readme_says_how_to_install_every_extra():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    shown = re.findall(r"pip install 'tunesmith\[(.+?)\]'", (ROOT / "README.md").read_text())
    named = [extra for extras in shown for extra in extras.split(",")]
    assert sorted(named) == sorted(set(project["optional-dependencies"]) - {"dev", "docs"})


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"])
def test_links_of_the_pages_beside_the_documentation_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", (ROOT / page).read_text()):
        path = link.partition("#")[0]
        assert link.startswith("https://") or not path or (ROOT / path).exists(), link
