"""The packages as they are published, and an environment that holds nothing but the wheel."""

import shutil
import subprocess
import sys
import venv
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def packages(tmp_path_factory):
    """A folder with the sdist, and the wheel that is built from it; no network is needed."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT],
        check=True,
        capture_output=True,
    )
    return folder


@pytest.fixture(scope="session")
def wheel(packages):
    """The wheel."""
    return next(packages.glob("*.whl"))


@pytest.fixture(scope="session")
def bare_python(wheel, tmp_path_factory):
    """Python with the wheel, its base dependencies, and nothing else.

    pip installs the wheel. The dependencies are copied from this environment, which is quick and
    needs no network.
    """
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    site_packages = next(folder.glob("lib/python*/site-packages"))
    for name in closure("tunesmith") - {"tunesmith"}:
        copy_distribution(name, site_packages)
    subprocess.run(
        [python, "-m", "pip", "install", "-q", "--no-index", wheel], check=True, capture_output=True
    )
    return python


def closure(name, known=frozenset()):
    """A distribution and all that it requires, without extras."""
    needed = {name}
    for line in distribution(name).requires or ():
        requirement = Requirement(line)
        marker = requirement.marker
        wanted = marker is None or marker.evaluate({"extra": ""})
        if wanted and requirement.name not in known | needed:
            needed |= closure(requirement.name, known | needed)
    return needed


def copy_distribution(name, site_packages):
    """Copy what a distribution installed, but for its scripts."""
    for file in distribution(name).files or ():
        if ".." not in file.parts and "__pycache__" not in file.parts:
            target = site_packages / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file.locate(), target)
