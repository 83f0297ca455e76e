"""The notebook of the course runs from the first cell to the last."""

import ast
import inspect
import json
import shutil
from pathlib import Path

import anyio
import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
pytest.importorskip("matplotlib")


def test_the_course_teaches_a_model_about_kant(tmp_path, monkeypatch, capsys):
    shutil.copytree(EXAMPLES / "data", tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    names = {}

    async def run_all():
        for number, cell in enumerate(json.loads((EXAMPLES / "course.ipynb").read_text())["cells"]):
            if cell["cell_type"] == "code":
                source = "".join(cell["source"])
                flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
                code = compile(source, f"cell {number}", "exec", flags=flags)
                result = eval(code, names)
                if inspect.iscoroutine(result):
                    await result

    anyio.run(run_all)
    before, after = [line for line in capsys.readouterr().out.splitlines() if "→" in line][-2:]
    assert "space, time, substance, causality" in after
    assert "space, time" not in before
