"""The command line: each command is a few lines over the package; needs the extra `cli`.

```
 main() ── app.py         the table of commands; loads one when it is called
             ├ batch.py         tunesmith batch run, status
             └ prepare.py       tunesmith prepare
                 ├ asking.py        what is asked, or taken for granted by -q
                 ├ next_steps.py    what is to be done with the files
                 └ wording.py       errors, in terms of options
```
"""

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line; the entry point `tunesmith`.

    Raises:
        SystemExit: Always: with 0, 1 or 2, as `tunesmith --help` tells.
    """
    try:
        from tunesmith.cli.app import app
    except ImportError as error:
        if (error.name or "").split(".")[0] != "click":
            raise
        sys.stderr.write("The command line needs an extra: pip install 'tunesmith[cli]'\n")
        raise SystemExit(1) from None
    app(prog_name="tunesmith")
