"""What is published: a wheel that works where nothing else is installed, and an sdist of all."""

import re
import shutil
import subprocess
import tarfile
import tomllib
import zipfile
from email import message_from_string
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

WITHOUT_ITS_EXTRA = {
    "fast": "tunesmith.AsyncClient(api_key='any', transport='fast')",
    "http2": "HttpxBackend('https://api.test/v1', api_key='any', http2=True)",
    "notebook": "JobResults('ftjob-1', ()).to_pandas()",
    "otel": "instrument(tunesmith.AsyncClient(backend=tunesmith.MemoryBackend()))",
    "parquet": "list(Dataset.open('rows.parquet').chunks())",
    "plot": "JobResults('ftjob-1', ()).plot()",
    "ray": "map_completions(None, 'answers', client=tunesmith.AsyncClient, model='babbage-002')",
    "server": "import_module('tunesmith.service.http.uvicorn_server')",
    "tokens": "exact_counter('babbage-002')",
    "train": "ModelTokenizer(Path('.'))",
    "wandb": "WandbTracker()",
    "xlsx": "list(Dataset.open('rows.xlsx').chunks())",
    "zstd": "list(Dataset.open('rows.jsonl.zst').chunks())",
}
"""By extra: what needs it. The extra `cli` has a test of its own."""


@pytest.fixture(scope="session")
def members(wheel):
    return zipfile.ZipFile(wheel).namelist()


@pytest.fixture(scope="session")
def metadata(wheel, members):
    name = next(name for name in members if name.endswith(".dist-info/METADATA"))
    return message_from_string(zipfile.ZipFile(wheel).read(name).decode())


@pytest.fixture
def run(bare_python, tmp_path):
    """Run Python in the bare environment."""

    def run(*arguments):
        return subprocess.run(
            [bare_python, *arguments],
            cwd=tmp_path,
            env={"PATH": "/usr/bin:/bin", "PYTHONUTF8": "1"},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_the_wheel_holds_the_package_and_nothing_beside_it(members):
    tops = {name.split("/")[0] for name in members}
    assert tops == {"tunesmith", f"tunesmith-{PROJECT['version']}.dist-info"}
    modules = {name for name in members if name.startswith("tunesmith/")}
    source = ROOT / "src"
    assert modules == {
        str(path.relative_to(source))
        for path in source.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert "tunesmith/py.typed" in modules


def test_the_wheel_says_what_it_is(metadata):
    assert metadata["Name"] == "tunesmith"
    assert metadata["Version"] == PROJECT["version"]
    assert metadata["License-Expression"] == "Apache-2.0 AND MIT"
    assert metadata["Requires-Python"] == ">=3.11"
    assert "Typing :: Typed" in metadata.get_all("Classifier")
    assert metadata.get_all("Classifier") == PROJECT["classifiers"]
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata.get_payload().strip() == (ROOT / "README.md").read_text().strip()


def test_the_sdist_holds_all_that_developing_needs(packages):
    with tarfile.open(next(packages.glob("*.tar.gz"))) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.splitlines()
    if not tracked:
        pytest.skip("what is part of the project is told by git, and this is no clone")
    missing = {
        name for name in tracked if not name.startswith(".") and (ROOT / name).exists()
    } - held
    assert missing == set()


def test_the_bare_environment_has_the_base_dependencies_only(run):
    listed = run("-m", "pip", "list", "--format=freeze").stdout.splitlines()
    names = {line.partition("==")[0].lower() for line in listed}
    assert {"tunesmith", "httpx", "pydantic", "anyio"} <= names
    assert not names & {"click", "rich", "h2", "matplotlib", "pytest", "wandb", "uvicorn"}
    assert run("-m", "pip", "check").returncode == 0


def test_in_a_bare_environment_the_quickstart_tunes_a_model(run, tmp_path):
    shutil.copytree(ROOT / "examples" / "data", tmp_path / "data")
    shutil.copy(ROOT / "examples" / "quickstart.py", tmp_path)
    done = run("quickstart.py")
    assert done.returncode == 0, done.stderr
    assert "The job has successfully completed" in done.stdout
    assert "space, time, substance, causality" in done.stdout.splitlines()[-1]


def test_in_a_bare_environment_type_checkers_find_the_types(run, bare_python):
    code = (
        "from importlib.resources import files; import tunesmith;"
        "print(tunesmith.__file__, files('tunesmith').joinpath('py.typed').is_file())"
    )
    path, typed = run("-c", code).stdout.split()
    assert Path(path).is_relative_to(bare_python.parents[1])
    assert typed == "True"


def test_in_a_bare_environment_the_command_line_names_its_extra(run, bare_python):
    done = run("-c", "from tunesmith.cli import main; main()")
    assert done.returncode == 1
    assert done.stderr == "The command line needs an extra: pip install 'tunesmith[cli]'\n"
    script = subprocess.run(
        [bare_python.with_name("tunesmith"), "--help"], capture_output=True, text=True, check=False
    )
    assert (script.returncode, script.stderr) == (done.returncode, done.stderr)


def test_in_a_bare_environment_all_that_needs_an_extra_names_it(run, tmp_path):
    for name in ("rows.parquet", "rows.xlsx"):
        (tmp_path / name).write_bytes(b"PK")
    (tmp_path / "rows.jsonl.zst").write_bytes(b"\x28\xb5\x2f\xfd")
    lines = [
        "import tunesmith",
        "from importlib import import_module",
        "from tunesmith.backends.httpx import HttpxBackend",
        "from tunesmith.datasets import Dataset",
        "from pathlib import Path",
        "from tunesmith.datasets.tokens import exact_counter",
        "from tunesmith.integrations.otel import instrument",
        "from tunesmith.integrations.ray import map_completions",
        "from tunesmith.integrations.wandb import WandbTracker",
        "from tunesmith.service.engines.transformers.tokenizer import ModelTokenizer",
        "from tunesmith.types import JobResults",
    ]
    for extra, needing in WITHOUT_ITS_EXTRA.items():
        lines += [
            "try:",
            f"    {needing}",
            "except tunesmith.ConfigurationError as error:",
            f"    print({extra!r}, error)",
        ]
    (tmp_path / "tokenizer.json").write_text("{}")
    (tmp_path / "needing.py").write_text("\n".join(lines))
    done = run("needing.py")
    assert done.returncode == 0, done.stderr
    named = dict(
        re.findall(r"^(\w+) .*pip install 'tunesmith\[(\w+)\]'", done.stdout, re.MULTILINE)
    )
    assert named == {extra: extra for extra in WITHOUT_ITS_EXTRA}


def test_every_extra_is_tried_without():
    extras = set(PROJECT["optional-dependencies"]) - {"cli", "dev", "docs"}
    assert set(WITHOUT_ITS_EXTRA) == extras
