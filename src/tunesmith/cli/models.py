"""`tunesmith models`: base models and fine-tuned ones."""

from typing import TYPE_CHECKING

import click

from tunesmith.cli.command import client_command
from tunesmith.cli.legacy_commands import LegacyCommand
from tunesmith.cli.model_download import download
from tunesmith.cli.output import Output, format_time

if TYPE_CHECKING:
    from tunesmith import AsyncClient
    from tunesmith.types import Model

__all__ = ["command"]


@click.group("models")
def command() -> None:
    """List, show, download and delete models."""


command.add_command(download)


@command.command("list", short_help="List the models.")
@click.option("--tuned", is_flag=True, help="Only fine-tuned models.")
@client_command
async def list_models(client: "AsyncClient", output: Output, tuned: bool) -> None:
    """List the models."""
    page = await client.models.list()
    models = [model for model in page.data if not tuned or is_tuned(model)]
    output.show_table(
        models,
        ("id", "created", "owner"),
        ((m.id, format_time(m.created_datetime), m.owned_by) for m in models),
    )


@command.command("get", cls=LegacyCommand, legacy={"-i": ""}, short_help="Show a model.")
@click.argument("model")
@client_command
async def get(client: "AsyncClient", output: Output, model: str) -> None:
    """Show a model."""
    retrieved = await client.models.retrieve(model)
    output.show_object(
        retrieved,
        [
            ("id", retrieved.id),
            ("created", format_time(retrieved.created_datetime)),
            ("owner", retrieved.owned_by),
        ],
    )


@command.command(
    "delete", cls=LegacyCommand, legacy={"-i": ""}, short_help="Delete fine-tuned models."
)
@click.argument("models", nargs=-1, required=True)
@client_command
async def delete(client: "AsyncClient", output: Output, models: tuple[str, ...]) -> None:
    """Delete fine-tuned models."""
    for model in models:
        deleted = await client.models.delete(model)
        output.show_object(deleted, [("deleted", deleted.id)])


def is_tuned(model: "Model") -> bool:
    """Return whether a model is fine-tuned, by its name: `ft:…` or the legacy `curie:ft-…`."""
    return model.id.startswith("ft:") or ":ft-" in model.id
