"""What the extras require is valid, is bounded from below, and is what the tests run with."""

import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]

# Too large for every developer: its tests have an environment of their own.
SEPARATE = {"train"}


def requirements(extra):
    return [Requirement(line) for line in EXTRAS[extra]]


@pytest.mark.parametrize("extra", sorted(set(EXTRAS) - SEPARATE))
def test_what_an_extra_requires_is_installed_in_a_version_that_satisfies_it(extra):
    for requirement in requirements(extra):
        installed = version(requirement.name)
        assert requirement.specifier.contains(installed, prereleases=True), f"{requirement}"


@pytest.mark.parametrize("extra", EXTRAS)
def test_every_requirement_says_from_which_version_on(extra):
    for requirement in requirements(extra):
        bounds = {specifier.operator for specifier in requirement.specifier}
        assert ">=" in bounds or requirement.name == "tunesmith", f"{requirement}"


def test_extras_that_name_extras_name_those_that_there_are():
    for extra in EXTRAS:
        for requirement in requirements(extra):
            if requirement.name == "tunesmith":
                assert requirement.extras <= set(EXTRAS)


def test_developers_have_every_extra():
    own = next(r for r in requirements("dev") if r.name == "tunesmith")
    assert own.extras == set(EXTRAS) - {"dev"} - SEPARATE
