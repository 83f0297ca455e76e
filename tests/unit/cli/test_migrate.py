"""`tunesmith migrate`: a diff, the places that are left, and the files with `--write`."""

import json
import sys

APP = """from openai import AsyncOpenAI

client = AsyncOpenAI()


async def draw(prompt: str) -> object:
    return await client.images.generate(prompt=prompt)
"""
IMAGES = "tunesmith does not cover this part of the API; use the official SDK beside it"


def test_a_diff_and_the_places_that_are_left_are_printed(run, folder):
    (folder / "app.py").write_text(APP)
    result = run("migrate app.py")
    assert result.exit_code == 1
    assert result.stdout.splitlines()[:7] == [
        "--- app.py",
        "+++ app.py",
        "@@ -1,6 +1,6 @@",
        "-from openai import AsyncOpenAI",
        "+from tunesmith import AsyncClient",
        " ",
        "-client = AsyncOpenAI()",
    ]
    assert result.stderr == (
        f"app.py:7: ….images.generate(…): {IMAGES}\n"
        "1 file to change, 1 place left to translate by hand.\n"
        "Next: tunesmith migrate --write app.py\n"
    )
    assert (folder / "app.py").read_text() == APP


def test_files_are_changed_with_write_and_keep_their_mode_and_encoding(run, folder):
    path = folder / "src" / "app.py"
    path.parent.mkdir()
    path.write_bytes(
        "# coding: latin-1\nfrom openai import APIError\n# Königsberg\n".encode("latin-1")
    )
    path.chmod(0o755)
    result = run("migrate src --write")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "1 file changed, 0 places left to translate by hand.\n"
    text = path.read_text(encoding="latin-1")
    assert text == "# coding: latin-1\nfrom tunesmith import APIError\n# Königsberg\n"
    assert path.stat().st_mode & 0o777 == 0o755
    again = run("migrate src --write")
    assert (again.exit_code, again.stderr) == (0, "Nothing uses the official SDK.\n")


def test_folders_with_code_of_others_are_left_out(run, folder):
    for name in (".venv", "site-packages", "node_modules"):
        (folder / name).mkdir()
        (folder / name / "app.py").write_text(APP)
    (folder / "notes.txt").write_text("openai")
    (folder / "other.py").write_text("# openai\nbackend = 'openai'\n")
    assert run("migrate .").stderr == "Nothing uses the official SDK.\n"
    assert run("migrate .venv/app.py").exit_code == 1


def test_files_that_are_not_python_are_listed(run, folder):
    (folder / "a.py").write_text("import openai\ndef f(:\n")
    (folder / "b.py").write_bytes(b"# coding: nothing\nimport openai\n")
    result = run("migrate a.py b.py")
    assert result.exit_code == 1
    assert result.stderr.startswith("a.py:2: ")
    assert "b.py:1: " in result.stderr
    assert run("migrate missing.py").exit_code == 2


def test_without_the_library_the_extra_is_named(run, folder, monkeypatch):
    (folder / "app.py").write_text(APP)
    monkeypatch.setitem(sys.modules, "libcst", None)
    result = run("migrate app.py")
    assert result.exit_code != 0
    assert "pip install 'tunesmith[cli]'" in result.stderr


def test_json_has_the_diff_and_the_findings_of_each_file(as_json, run, folder):
    (folder / "app.py").write_text("from openai import APIError\n")
    (result,) = as_json("migrate app.py")
    assert result["file"] == "app.py"
    assert "+from tunesmith import APIError" in result["diff"]
    (folder / "app.py").write_text(APP)
    shown = run("migrate app.py --json --write")
    assert (shown.exit_code, shown.stderr) == (1, "")
    (result,) = json.loads(shown.stdout)
    assert result["findings"] == [{"line": 7, "code": "….images.generate(…)", "hint": IMAGES}]
    assert "from tunesmith import AsyncClient" in (folder / "app.py").read_text()
