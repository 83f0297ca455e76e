"""Recorder of a terminal session: runs the main commands of the course and draws a picture.

python tests/docs/session.py     writes docs/assets/session.svg
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).parents[2]
PICTURE = ROOT / "docs" / "assets" / "session.svg"
COLUMNS = 88
MODEL = "ft:babbage-002:personal:kant:RwQP8yw4"
"""The first model of a new service on this data; the same on every machine."""

COMMANDS = {
    "tunesmith prepare kant.csv -q --split 0.1": r"- \[|Written|End prompts|Let it stop",
    "tunesmith fine-tunes create -t kant_prepared_train.jsonl -v kant_prepared_valid.jsonl "
    "-m babbage-002 --n-epochs 3 --suffix kant --follow": r"",
    f'tunesmith complete -m {MODEL} "Several concepts are a priori such as ->" -t 0 '
    r'--stop "\n"': r"",
}
"""Commands, and a pattern of the output lines to show."""

# The picture uses fonts of the reader's machine and fetches none.
SVG = """\
<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.s-matrix {{ font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; \
font-size: {char_height}px; white-space: pre }}
.s-title {{ font: bold 18px sans-serif }}
{styles}
</style>
{chrome}
<g class="s-matrix" transform="translate({terminal_x}, {terminal_y})">
{backgrounds}
{matrix}
</g>
</svg>
"""
_NOT_SEEN = re.compile(r' clip-path="[^"]*"|<text [^>]*>\n</text>')
_CONTROL = re.compile(r"(\r?\n|\r|\x1b\[1A|\x1b\[2K|\x1b\[\?25[lh])")


def recorded():
    """Run the commands in a temporary folder and record the terminal."""
    with tempfile.TemporaryDirectory() as folder, Path(os.devnull).open("w") as nowhere:
        shutil.copy(ROOT / "examples" / "data" / "kant.csv", folder)
        console = Console(
            record=True, width=COLUMNS, file=nowhere, force_terminal=True, highlight=False
        )
        for command, shown in COMMANDS.items():
            console.print(Text.assemble(("$ ", "bold green"), (command, "bold")))
            omitted = False
            for line in on_the_screen(printed(command, folder)):
                text = Text.from_ansi(line)
                if not re.search(shown, text.plain):
                    omitted = True
                    continue
                if omitted:
                    console.print("…", style="dim")
                omitted = False
                console.print(text)
            console.print()
    return console


def printed(command, folder):
    """Return the output of a command in a terminal."""
    ours, theirs = os.openpty()
    environment = {
        "PATH": os.environ["PATH"],
        "TERM": "xterm-256color",
        "COLUMNS": str(COLUMNS),
        "LINES": "50",
        "PYTHONUTF8": "1",
        "TUNESMITH_STATE": "course.state",
    }
    arguments = [sys.executable, "-m", *shlex.split(command)]
    with subprocess.Popen(
        arguments, cwd=folder, env=environment, stdin=theirs, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        pieces = []
        while piece := _read(ours):
            pieces.append(piece)
    os.close(ours)
    text = b"".join(pieces).decode()
    if process.returncode:
        raise RuntimeError(f"{command}\n{text}")
    return text


def _read(terminal):
    try:
        return os.read(terminal, 65536)
    except OSError:  # Linux raises when the other side is closed
        return b""


def on_the_screen(text):
    """Return the final lines; the curve is drawn over itself repeatedly."""
    lines = [""]
    for part in _CONTROL.split(text):
        if part.endswith("\n"):
            lines.append("")
        elif part == "\x1b[1A":
            lines.pop()
        elif part == "\x1b[2K":
            lines[-1] = ""
        elif not _CONTROL.fullmatch(part):
            lines[-1] += part
    return lines[:-1] if lines[-1] == "" else lines


def picture(console):
    """Return the recorded session as SVG."""
    svg = console.export_svg(title="tunesmith", code_format=SVG, unique_id="s", clear=False)
    return _NOT_SEEN.sub("", svg).replace("><text", ">\n<text")


if __name__ == "__main__":
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_text(picture(recorded()))
