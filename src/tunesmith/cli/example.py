"""`tunesmith example`: write an example dataset."""

from pathlib import Path

import click

from tunesmith._atomic import write_atomic
from tunesmith.cli.command import CommandError
from tunesmith.cli.connection import ServiceOptions
from tunesmith.cli.messages import click_errors
from tunesmith.cli.output import Output
from tunesmith.datasets.examples import EXAMPLES, read_example

__all__ = ["command"]


@click.command("example")
@click.argument("name", type=click.Choice(list(EXAMPLES)), default="kant")
@click.option("-o", "--output", "target", type=click.Path(path_type=Path), help="File to write.")
@click.option("--force", is_flag=True, help="Replace an existing file.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
@click.pass_obj
def command(
    connection: ServiceOptions, name: str, target: Path | None, force: bool, as_json: bool
) -> None:
    """Write an example dataset to a file.

    kant is a table of 279 prompts and completions on Kant's philosophy.
    """
    path = target or Path(EXAMPLES[name])
    if path.exists() and not force:
        raise CommandError(f"{path} already exists. Replace it with --force, or choose another -o.")
    with click_errors():
        content = read_example(name)
    try:
        write_atomic(path, content)
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from error
    output = Output(connection, as_json=as_json)
    output.saved(path)
    output.suggest_command("prepare", str(path))
