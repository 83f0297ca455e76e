"""`tunesmith models download`: weights of tuned models for other programs."""

import shutil
import subprocess
import warnings
from pathlib import Path

import click

from tunesmith._extras import import_extra
from tunesmith.cli.command import CommandError
from tunesmith.cli.connection import ServiceOptions
from tunesmith.cli.output import Output
from tunesmith.errors import ConfigurationError
from tunesmith.service.core.folders import folder_name

__all__ = ["download", "find_weights", "import_training"]

_CONVERTER = "convert_hf_to_gguf.py"


@click.command("download", short_help="Copy the weights of a tuned model to a folder.")
@click.argument("model")
@click.option(
    "--to",
    "target",
    type=click.Path(path_type=Path),
    required=True,
    metavar="DIR",
    help="New folder of the weights.",
)
@click.option("--merged", is_flag=True, help="Merge the adapter into its base model.")
@click.option(
    "--gguf",
    is_flag=True,
    help="Also convert the merged model to model.gguf, for llama.cpp and ollama.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
@click.pass_obj
def download(
    connection: ServiceOptions,
    *,
    model: str,
    target: Path,
    merged: bool,
    gguf: bool,
    as_json: bool,
) -> None:
    """Copy the weights of a tuned model to a folder.

    Reads the folder of `tunesmith --state DIR`, which a running server may use. The copy is an
    adapter as vLLM and peft load it; with --merged, a whole model as transformers loads it.
    """
    source = find_weights(connection.state, model)
    if target.exists():
        raise CommandError(f"{target} already exists; choose another folder.")
    converter = _find_converter() if gguf else None
    part = target.with_name(f".{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        if merged or gguf:
            _merge(source, part)
        else:
            shutil.copytree(source, part)
        if converter:
            command = [converter, str(part), "--outfile", str(part / "model.gguf")]
            if subprocess.run(command, check=False).returncode:  # noqa: S603 - llama.cpp's program
                raise CommandError(f"{converter} failed; see its output above.")
        part.rename(target)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    Output(connection, as_json=as_json).saved(target)


def find_weights(state: Path | None, model: str) -> Path:
    """Return the folder of a tuned model's weights.

    Raises:
        CommandError: The state has no such model.
    """
    if state is None:
        raise CommandError(
            "Tuned models are in the folder of a state; name it: tunesmith --state DIR …"
        )
    folder = state / "models" / folder_name(model)
    if not model or not folder.is_dir():
        raise CommandError(
            f"{state} has no weights of a model {model!r}. "
            f"List the models: tunesmith --state {state} models list --tuned"
        )
    if not any(folder.glob("*.safetensors")):
        raise CommandError(f"{model!r} was tuned by an engine without weights in safetensors.")
    return folder


def import_training(feature: str) -> None:
    """Import the libraries of the extra `train`, without their progress bars.

    Args:
        feature: The feature that needs them, in the plural.

    Raises:
        CommandError: They are not installed.
    """
    try:
        import_extra("peft", "train", feature)
    except ConfigurationError as error:
        raise CommandError(str(error)) from error
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    warnings.simplefilter("ignore", FutureWarning)  # peft calls deprecated parts of transformers


def _find_converter() -> str:
    converter = shutil.which(_CONVERTER)
    if converter is None:
        raise CommandError(
            f"--gguf needs {_CONVERTER} of llama.cpp on the PATH. Get llama.cpp from "
            "https://github.com/ggml-org/llama.cpp, or leave --gguf out."
        )
    return converter


def _merge(source: Path, target: Path) -> None:
    import_training("Merging of weights")
    from tunesmith.service.engines.base import EngineError
    from tunesmith.train.weights import merge

    try:
        merge(source, target)
    except EngineError as error:
        raise CommandError(f"The base model of the adapter cannot be loaded: {error}.") from error
    except (OSError, ValueError) as error:
        raise CommandError(f"The adapter cannot be merged into its base model: {error}") from error
