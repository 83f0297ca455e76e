"""`tunesmith chat`: one message, or a conversation."""

from typing import TYPE_CHECKING, Any

import click

from tunesmith.cli.command import client_command
from tunesmith.cli.output import Output
from tunesmith.cli.sampling_options import prompt_argument, sampling_options

if TYPE_CHECKING:
    from tunesmith import AsyncClient
    from tunesmith.operations.chat_messages import MessageInput

__all__ = ["command"]


@click.command("chat")
@click.argument("message", required=False, callback=prompt_argument)
@click.option("-m", "--model", required=True, help="The model.")
@click.option("--system", help="System message.")
@click.option(
    "-M",
    "--max-tokens",
    "max_completion_tokens",
    type=click.IntRange(min=1),
    help="Maximum number of tokens per response.",
)
@sampling_options
@client_command
async def command(
    client: "AsyncClient",
    output: Output,
    message: str | None,
    system: str | None,
    **parameters: Any,
) -> None:
    """Print the response to MESSAGE; without MESSAGE, chat until an empty line.

    - as MESSAGE reads it from standard input.
    """
    messages: list[MessageInput] = [{"role": "system", "content": system}] if system else []
    if message is not None:
        messages.append({"role": "user", "content": message})
        await _respond(client, output, messages, **parameters)
        return
    if output.as_json:
        raise click.UsageError("--json needs a MESSAGE.")
    output.info("An empty line ends the conversation.")
    while content := _prompt():
        messages.append({"role": "user", "content": content})
        answer = await _respond(client, output, messages, **parameters)
        messages.append({"role": "assistant", "content": answer})


def _prompt() -> str:
    from tunesmith.cli.prompts import default_sigint

    try:
        with default_sigint():
            return str(
                click.prompt("", prompt_suffix="> ", default="", show_default=False, err=True)
            )
    except click.Abort as abort:
        if isinstance(abort.__context__, KeyboardInterrupt):
            raise
        return ""  # end of input


async def _respond(
    client: "AsyncClient",
    output: Output,
    messages: "list[MessageInput]",
    *,
    stream: bool,
    **parameters: Any,
) -> str:
    if not stream:
        answer = await client.chat.completions.create(messages=messages, **parameters)
        text = answer.choices[0].message.content or answer.choices[0].message.refusal or ""
        if output.as_json:
            output.json(answer)
        else:
            output.text(text)
        return text
    parts: list[str] = []
    async with client.chat.completions.stream(messages=messages, **parameters) as events:
        async for event in events:
            parts += [c.delta.content for c in event.choices if c.delta.content]
            if output.as_json:
                output.json(event)
            elif event.choices:
                output.text(event.choices[0].delta.content or "", newline=False)
    if not output.as_json:
        output.text("")
    return "".join(parts)
