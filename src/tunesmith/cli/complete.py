"""`tunesmith complete`: complete a prompt."""

from typing import TYPE_CHECKING, Any

import click

from tunesmith.cli.command import client_command
from tunesmith.cli.legacy_commands import LegacyCommand
from tunesmith.cli.output import Output
from tunesmith.cli.sampling_options import prompt_argument, sampling_options

if TYPE_CHECKING:
    from tunesmith import AsyncClient
    from tunesmith.types import Completion

__all__ = ["command"]


@click.command("complete", cls=LegacyCommand, legacy={"-p": "", "--prompt": ""})
@click.argument("prompt", callback=prompt_argument)
@click.option("-m", "--model", required=True, help="The model.")
@click.option(
    "-M", "--max-tokens", type=click.IntRange(min=0), help="Maximum number of tokens to generate."
)
@click.option("-n", type=click.IntRange(1, 128), help="Number of completions.")
@click.option(
    "--logprobs", type=click.IntRange(0, 5), help="With --json: number of most likely tokens."
)
@click.option("--echo", is_flag=True, default=None, help="Print the prompt before the completion.")
@sampling_options
@client_command
async def command(
    client: "AsyncClient",
    output: Output,
    prompt: str,
    model: str,
    stream: bool,
    **sampling: Any,
) -> None:
    """Complete PROMPT; - reads it from standard input.

    Prompts should end like the prompts in the training data.
    """
    if not stream:
        completion = await client.completions.create(model=model, prompt=prompt, **sampling)
        _show(output, completion)
        return
    if (sampling.get("n") or 1) > 1:
        raise click.UsageError("--stream prints one completion. Remove -n.")
    async with client.completions.stream(model=model, prompt=prompt, **sampling) as events:
        async for event in events:
            if output.as_json:
                output.json(event)
            else:
                output.text("".join(c.text for c in event.choices), newline=False)
    if not output.as_json:
        output.text("")


def _show(output: Output, completion: "Completion") -> None:
    if output.as_json:
        output.json(completion)
        return
    several = len(completion.choices) > 1
    for number, choice in enumerate(completion.choices, 1):
        if several:
            output.text(f"===== Completion {number} =====")
        output.text(choice.text)
