"""`tunesmith attention`: a page of what each token attends to."""

from pathlib import Path

import click

from tunesmith._atomic import write_atomic
from tunesmith.cli.command import CommandError
from tunesmith.cli.connection import ServiceOptions
from tunesmith.cli.model_download import find_weights, import_training
from tunesmith.cli.output import Output

__all__ = ["command"]

_MAX_TOKENS = 96


@click.command("attention", short_help="Show what each token of a prompt attends to.")
@click.argument("model")
@click.argument("prompt")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("attention.html"),
    show_default=True,
    help="Page to write.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
@click.pass_obj
def command(
    connection: ServiceOptions, *, model: str, prompt: str, output: Path, as_json: bool
) -> None:
    """Show what each token of a prompt attends to, per layer and head.

    MODEL is a folder with a Hugging Face model or an adapter, or the name of a tuned model of
    `tunesmith --state DIR`. A tuned model is shown beside its base. PROMPT has up to 96 tokens; if
    the model has a chat template, it is a message of the user. Needs the extra `train`.
    """
    if any("\ud800" <= char <= "\udfff" for char in prompt):  # bytes of the shell
        raise CommandError("The prompt is not valid UTF-8.")
    folder = Path(model)
    if not folder.is_dir():
        if connection.state is None:
            raise CommandError(
                f"The folder {model} does not exist. Check the path, or name the state of a tuned "
                "model: tunesmith --state DIR attention …"
            )
        folder = find_weights(connection.state, model)
    import_training("Pages of attention")
    from tunesmith.reports.attention import Attention, attention_report
    from tunesmith.train.attention import compute_attention

    try:
        result = compute_attention(folder, prompt, max_tokens=_MAX_TOKENS)
    except (ValueError, OSError) as error:
        raise CommandError(str(error)) from error
    models = [
        Attention(name, values["attention"], values["next"])
        for name, values in result["models"].items()
    ]
    write_atomic(
        output, attention_report(f"Attention of {model}", prompt, result["tokens"], models)
    )
    Output(connection, as_json=as_json).saved(output)
