"""`tunesmith complete`: let a model go on from a prompt."""

from typing import TYPE_CHECKING, Any

import click

from tunesmith.cli.command import client_command
from tunesmith.cli.output import Output
from tunesmith.cli.sampling_options import prompt_argument, sampling_options

if TYPE_CHECKING:
    from tunesmith import AsyncClient
    from tunesmith.types import Completion

__all__ = ["command"]


@click.command("complete", short_help="Let a model go on from a prompt.")
@click.argument("prompt", callback=prompt_argument)
@click.option("-m", "--model", required=True, help="The model.")
@click.option("-M", "--max-tokens", type=click.IntRange(min=0), help="At most so many tokens.")
@click.option("-n", type=click.IntRange(1, 128), help="How many completions to make.")
@click.option(
    "--logprobs", type=click.IntRange(0, 5), help="With --json: likeliest tokens to tell."
)
@click.option("--echo", is_flag=True, default=None, help="Begin with the prompt.")
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
    """Print how a model goes on from PROMPT; - reads it from standard input.

    End the prompt as the prompts in the training data end.
    """
    if not stream:
        answer = await client.completions.create(model=model, prompt=prompt, **sampling)
        _show(output, answer)
        return
    if (sampling.get("n") or 1) > 1:
        raise click.UsageError("--stream shows one completion: leave -n out.")
    async with client.completions.stream(model=model, prompt=prompt, **sampling) as events:
        async for event in events:
            if output.as_json:
                output.json(event)
            else:
                output.text("".join(c.text for c in event.choices), newline=False)
    if not output.as_json:
        output.text("")


def _show(output: Output, answer: "Completion") -> None:
    if output.as_json:
        output.json(answer)
        return
    several = len(answer.choices) > 1
    for number, choice in enumerate(answer.choices, 1):
        if several:
            output.text(f"===== Completion {number} =====")
        output.text(choice.text)
