"""Every Python snippet of the documentation, the README and the docstrings runs."""

import ast
import importlib
import inspect
import logging
import re
import shutil
from pathlib import Path
from textwrap import dedent

import anyio
import pytest

import tunesmith.datasets
import tunesmith.types

ROOT = Path(__file__).parents[2]
DATA = ROOT / "examples" / "data"
FENCE = re.compile(r"^( *)```python\n(.*?)^\1```", re.DOTALL | re.MULTILINE)


def pages():
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def snippets(text):
    return [dedent(code) for _, code in FENCE.findall(text)]


def documented():
    """Yield every object of the package whose docstring has a snippet."""
    package = Path(tunesmith.__file__).parent
    for path in sorted(package.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
            if isinstance(node, kinds) and "```python" in (ast.get_docstring(node) or ""):
                name = path.relative_to(package.parent).with_suffix("").as_posix()
                yield pytest.param(
                    name.replace("/", ".").removesuffix(".__init__"),
                    ast.get_docstring(node),
                    id=f"{name}:{getattr(node, 'name', 'module')}",
                )


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with the data that the snippets use."""
    shutil.copy(DATA / "kant.csv", tmp_path)
    shutil.copy(DATA / "kant.jsonl", tmp_path / "train.jsonl")
    shutil.copytree(DATA, tmp_path / "examples" / "data")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-nobody")
    ours = logging.getLogger("tunesmith")
    level = ours.level  # a snippet changes it
    yield tmp_path
    ours.setLevel(level)


def run(code, names, where):
    """Run a snippet with `await` allowed at the top level."""
    compiled = compile(code, where, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    if compiled.co_flags & inspect.CO_COROUTINE:

        async def awaited():
            await eval(compiled, names)

        anyio.run(awaited)
    else:
        exec(compiled, names)


@pytest.mark.parametrize("page", pages(), ids=lambda path: str(path.relative_to(ROOT)))
def test_the_snippets_of_a_page_run_in_order(page, folder):
    names = {"client": tunesmith.AsyncClient(backend=tunesmith.MemoryBackend())}
    for code in snippets(page.read_text()):
        run(code, names, str(page))


def test_the_first_page_shows_what_its_code_prints(folder, capsys):
    page = (ROOT / "docs" / "index.md").read_text()
    run(snippets(page)[0], {}, "index.md")
    assert f'```text title="Output"\n{capsys.readouterr().out}```' in page


def test_an_archive_of_jobs_can_be_trained_on_again(folder, capsys):
    names = {}
    run(snippets((ROOT / "docs/how-to/leave-hosted-fine-tuning.md").read_text())[0], names, "")
    client = tunesmith.AsyncClient(backend=tunesmith.MemoryBackend())

    async def archive():
        file = await client.files.upload("train.jsonl")
        deleted = await client.files.create(file=("old.jsonl", b"{}"), purpose="fine-tune")
        jobs = client.fine_tuning.jobs
        job = await jobs.create(
            model="babbage-002", training_file=file.id, hyperparameters={"n_epochs": 2}
        )
        job = await jobs.wait(job)
        failed = await jobs.create(model="babbage-002", training_file=deleted.id)
        await client.files.delete(deleted.id)
        await names["save_all"](client, Path("archive"))
        again = await client.files.upload(Path("archive") / job.id / f"{file.id}-train.jsonl")
        return job, failed, await client.files.content(again.id).read()

    job, failed, content = anyio.run(archive)
    assert content == Path("train.jsonl").read_bytes()
    saved = {path.name: path for path in (Path("archive") / job.id).iterdir()}
    assert len(saved) == 5
    assert len(saved["checkpoints.jsonl"].read_text().splitlines()) == 2
    assert f"{failed.id}: cannot download" in capsys.readouterr().out


@pytest.fixture(scope="module")
def docstring_names(tmp_path_factory):
    """Names that docstrings use: a client, a file, a succeeded job."""
    client = tunesmith.AsyncClient(backend=tunesmith.MemoryBackend())
    data = tmp_path_factory.mktemp("data") / "few.jsonl"
    data.write_text("".join((DATA / "kant.jsonl").read_text().splitlines(keepends=True)[:20]))

    async def tuned():
        file = await client.files.upload(data)
        job = await client.fine_tuning.jobs.create(model="babbage-002", training_file=file.id)
        diagnosis = await tunesmith.datasets.Dataset.open("kant.csv").diagnose()
        return {
            "client": client,
            "file": file,
            "job": await client.fine_tuning.jobs.wait(job),
            "diagnosis": diagnosis,
            "plan": diagnosis.plan(),
        }

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(DATA)  # where kant.csv is
        return anyio.run(tuned)


@pytest.mark.parametrize(("module", "docstring"), list(documented()))
def test_the_snippets_of_a_docstring_run(module, docstring, folder, docstring_names):
    names = {
        name: getattr(package, name)
        for package in (tunesmith, tunesmith.types, tunesmith.datasets)
        for name in package.__all__
    }
    names |= {"Path": Path} | docstring_names | vars(importlib.import_module(module))
    for code in snippets(docstring):
        run(code, names, module)
