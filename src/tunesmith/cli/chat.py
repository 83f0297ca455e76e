"""`tunesmith chat`: a question, or a conversation."""

from typing import TYPE_CHECKING, Any

import click

from tunesmith.cli.command import client_command
from tunesmith.cli.interrupting import default_sigint
from tunesmith.cli.output import Output
from tunesmith.cli.sampling_options import prompt_argument, sampling_options

if TYPE_CHECKING:
    from tunesmith import AsyncClient
    from tunesmith.operations.chat_messages import MessageInput

__all__ = ["command"]


@click.command("chat", short_help="Talk to a chat model.")
@click.argument("message", required=False, callback=prompt_argument)
@click.option("-m", "--model", required=True, help="The model.")
@click.option("--system", help="What the model is told before the conversation.")
@click.option(
    "-M",
    "--max-tokens",
    "max_completion_tokens",
    type=click.IntRange(min=1),
    help="At most so many tokens an answer.",
)
@sampling_options
@client_command
async def command(
    client: "AsyncClient",
    output: Output,
    message: str | None,
    system: str | None,
    **asked: Any,
) -> None:
    """Print the answer to MESSAGE, or talk until an empty line if there is none.

    - as MESSAGE reads it from standard input.
    """
    messages: list[MessageInput] = [{"role": "system", "content": system}] if system else []
    if message is not None:
        messages.append({"role": "user", "content": message})
        await _answer(client, output, messages, **asked)
        return
    if output.as_json:
        raise click.UsageError("With --json, give one MESSAGE.")
    output.info("An empty line ends the conversation.")
    while said := _ask():
        messages.append({"role": "user", "content": said})
        answer = await _answer(client, output, messages, **asked)
        messages.append({"role": "assistant", "content": answer})


def _ask() -> str:
    try:
        with default_sigint():
            return str(
                click.prompt("", prompt_suffix="> ", default="", show_default=False, err=True)
            )
    except click.Abort as abort:
        if isinstance(abort.__context__, KeyboardInterrupt):
            raise
        return ""  # the end of what is typed


async def _answer(
    client: "AsyncClient",
    output: Output,
    messages: "list[MessageInput]",
    *,
    stream: bool,
    **asked: Any,
) -> str:
    if not stream:
        answer = await client.chat.completions.create(messages=messages, **asked)
        text = answer.choices[0].message.content or answer.choices[0].message.refusal or ""
        if output.as_json:
            output.json(answer)
        else:
            output.text(text)
        return text
    parts: list[str] = []
    async with client.chat.completions.stream(messages=messages, **asked) as events:
        async for event in events:
            parts += [c.delta.content for c in event.choices if c.delta.content]
            if output.as_json:
                output.json(event)
            elif event.choices:
                output.text(event.choices[0].delta.content or "", newline=False)
    if not output.as_json:
        output.text("")
    return "".join(parts)
