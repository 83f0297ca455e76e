"""What `tunesmith.types` and `tunesmith.operations` export, and that they load it lazily."""

import ast
import importlib
import inspect
import pkgutil
import subprocess
import sys

import pytest

import tunesmith.operations
import tunesmith.types
from tunesmith.operations.base import Operation
from tunesmith.types.base import APIModel

PACKAGES = [tunesmith.types, tunesmith.operations]


def for_checkers(package):
    """The imports under `if TYPE_CHECKING:`, from names to modules."""
    tree = ast.parse(inspect.getsource(package))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    return {
        alias.name: "." + node.module.rpartition(".")[2]
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


@pytest.mark.parametrize("package", PACKAGES)
def test_checkers_and_the_interpreter_see_the_same_names(package):
    assert for_checkers(package) == package._MODULES
    assert set(package._MODULES) == set(package.__all__) - {"all_operations"}
    assert dir(package) == sorted(package.__all__)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_name_is_defined_where_the_table_says(package):
    for name, module in package._MODULES.items():
        defined_in = importlib.import_module(module, package.__name__)
        assert name in defined_in.__all__
        assert getattr(package, name) is getattr(defined_in, name)


@pytest.mark.parametrize(
    ("package", "kind"), [(tunesmith.types, APIModel), (tunesmith.operations, Operation)]
)
def test_no_answer_and_no_operation_is_forgotten(package, kind):
    modules = [
        importlib.import_module(f"{package.__name__}.{module.name}")
        for module in pkgutil.iter_modules(package.__path__)
        if module.name not in {"base", "fields"}
    ]
    defined = {
        name
        for module in modules
        for name in module.__all__
        if isinstance(found := getattr(module, name), type) and issubclass(found, kind)
    }
    assert defined <= set(package.__all__)


@pytest.mark.parametrize("package", PACKAGES)
def test_an_unknown_name_is_an_attribute_error(package):
    with pytest.raises(AttributeError, match=r"has no attribute 'Fiel'"):
        _ = package.Fiel


@pytest.mark.parametrize("package", PACKAGES)
def test_importing_the_package_loads_no_noun(package):
    # The root package is put aside: what it loads is told by its own tests.
    code = f"""if True:
        import sys, types
        root = sys.modules["tunesmith"] = types.ModuleType("tunesmith")
        root.__path__ = {list(tunesmith.__path__)}
        import {package.__name__}
        print([name for name in sys.modules if "pydantic" in name or "{package.__name__}." in name])
    """
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_the_types_have_the_official_names():
    official = {
        "Batch",
        "ErrorObject",
        "FileDeleted",
        "FileObject",
        "FineTune",
        "FineTuneEvent",
        "FineTuningJob",
        "FineTuningJobCheckpoint",
        "FineTuningJobEvent",
        "Model",
        "ModelDeleted",
        "Upload",
        "UploadPart",
    }
    assert official <= set(tunesmith.types.__all__)
