"""The command line: each command is a few lines over the package; needs the extra `cli`.

```
 main() ── app.py             the table of commands; loads one when it is called
             ├ connection.py        where the service is: options, environment, state file
             ├ prepare.py           tunesmith prepare
             │   ├ asking.py            what is asked, or taken for granted by -q
             │   ├ next_steps.py        what is to be done with the files
             │   └ wording.py           errors, in terms of options
             ├ files.py, fine_tunes.py, models.py, complete.py, chat.py
             │   ├ pictures.py          curves and pages of jobs
             │   ├ calling.py           a client for a command; errors and exit codes
             │   ├ way_on.py            what to do after a refusal
             │   ├ output.py            for people, for pipes, as JSON
             │   ├ uploading.py         a file by path, id or URL
             │   ├ writing.py           files that are whole, or as they were
             │   ├ interrupting.py      Ctrl-C at a question
             │   └ following.py         events and curve of a job
             ├ batch.py             tunesmith batch run, status
             └ doctor.py            tunesmith doctor
```
"""

import os
import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line; the entry point `tunesmith`.

    Raises:
        SystemExit: Always, with an exit code that `tunesmith --help` tells.
    """
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
        sys.stderr.write(
            f"Error: {type(error).__name__}: {error}. That should not have happened: please report "
            "it, with what TUNESMITH_TRACEBACK=1 shows.\n"
        )
        raise SystemExit(1) from None
