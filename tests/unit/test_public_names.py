"""Public names are listed once, in the stub of their package, and loaded on first use."""

import importlib
import pkgutil
import pydoc
import subprocess
import sys

import pytest

import tunesmith
import tunesmith.batch
import tunesmith.datasets
import tunesmith.testing
import tunesmith.types
from tunesmith.types.base import APIModel

PACKAGES = pytest.mark.parametrize(
    "package",
    [tunesmith, tunesmith.batch, tunesmith.datasets, tunesmith.testing, tunesmith.types],
)


@PACKAGES
def test_every_name_can_be_used(package):
    assert package.__all__ == sorted(package.__all__)
    assert len(package.__all__) > 20
    for name in package.__all__:
        assert hasattr(package, name)
    assert set(package.__all__) <= set(dir(package))


@PACKAGES
def test_a_name_is_that_of_the_module_that_defines_it(package):
    for name in package.__all__:
        value = getattr(package, name)
        if isinstance(value, type):
            assert value is getattr(sys.modules[value.__module__], name)


@PACKAGES
def test_a_wildcard_import_and_help_show_the_names(package):
    names = {}
    exec(f"from {package.__name__} import *", names)
    assert set(package.__all__) <= set(names)
    assert package.__all__[0] in pydoc.render_doc(package)


@PACKAGES
def test_an_unknown_name_is_an_attribute_error(package):
    with pytest.raises(AttributeError, match=r"has no attribute 'Fiel'"):
        _ = package.Fiel


def test_no_type_is_missing():
    modules = [
        importlib.import_module(f"tunesmith.types.{module.name}")
        for module in pkgutil.iter_modules(tunesmith.types.__path__)
        if module.name not in {"base", "fields"}
    ]
    defined = {
        name
        for module in modules
        for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, APIModel)
        if value.__module__ == module.__name__ and not name.startswith("_")
    }
    assert defined <= set(tunesmith.types.__all__)


@PACKAGES
def test_importing_a_package_loads_none_of_its_modules(package):
    code = f"""if True:
        import sys
        import {package.__name__}
        print([name for name in sys.modules if "pydantic" in name or "{package.__name__}." in name])
    """
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {"['tunesmith._lazy', 'tunesmith.errors']"} if package is tunesmith else {"[]"}
    assert run.stdout.strip() in loaded
