"""Command line; needs the extra `cli`.

```
main() ── app.py               table of commands; each is loaded when it is called
            ├ connection.py    service to call, by options, environment or state file
            ├ command.py       client, errors and exit codes of a command
            ├ output.py        standard output and standard error; cleans what is printed
            ├ prompts.py       questions
            ├ messages.py      errors in terms of options
            └ one module per command: prepare, files, fine_tunes, models, complete, chat, batch,
              doctor, serve, wandb
```
"""

import errno
import os
import sys
from contextlib import suppress

__all__ = ["main"]

_UNWRITABLE = frozenset({errno.EBADF, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ENOSPC})
"""Errors of writing to an open file, which name no file: standard output, or a full disk."""


def main() -> None:
    """Run the command line; the entry point `tunesmith`.

    Raises:
        SystemExit: Always, with one of the exit codes in `tunesmith --help`.
    """
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the caller, as with `>&-` and by some services
            stream = open(os.devnull, "r" if name == "stdin" else "w", encoding="utf-8")  # noqa: PTH123, SIM115
            setattr(sys, name, stream)
    try:
        from tunesmith.cli.app import app
    except ImportError as error:
        if (error.name or "").split(".")[0] != "click":
            raise
        sys.stderr.write("The command line needs an extra: pip install 'tunesmith[cli]'\n")
        raise SystemExit(1) from None
    try:
        app(prog_name="tunesmith")
    except Exception as error:
        if os.environ.get("TUNESMITH_TRACEBACK"):
            raise
        from tunesmith.cli.output import echo

        if isinstance(error, OSError) and not error.filename:
            subject = "The output cannot be written: " if error.errno in _UNWRITABLE else ""
            message = f"{subject}{error.strerror or error}."
        else:
            message = (
                f"{type(error).__name__}: {error}. This is a bug: please report it with the "
                "output of TUNESMITH_TRACEBACK=1."
            )
        with suppress(OSError):  # standard error may be unwritable too
            echo(f"Error: {message}", err=True)
        raise SystemExit(1) from None
