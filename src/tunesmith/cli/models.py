"""`tunesmith models`: base models and your own."""

from typing import TYPE_CHECKING

import click

from tunesmith.cli.command import client_command
from tunesmith.cli.output import Output, format_time

if TYPE_CHECKING:
    from tunesmith import AsyncClient
    from tunesmith.types import Model

__all__ = ["command"]


@click.group("models", short_help="List, show and delete models.")
def command() -> None:
    """List, show and delete models."""


@command.command("list", short_help="List the models.")
@click.option("--tuned", is_flag=True, help="Only models that were fine-tuned.")
@client_command
async def list_models(client: "AsyncClient", output: Output, tuned: bool) -> None:
    """List the models, base ones and your own."""
    page = await client.models.list()
    models = [model for model in page.data if not tuned or is_tuned(model)]
    output.show_table(
        models,
        ("id", "created", "owner"),
        ((m.id, format_time(m.created_datetime), m.owned_by) for m in models),
    )


@command.command("get", short_help="Show a model.")
@click.argument("model")
@client_command
async def get(client: "AsyncClient", output: Output, model: str) -> None:
    """Show what the service knows of a model."""
    found = await client.models.retrieve(model)
    output.show_object(
        found,
        [
            ("id", found.id),
            ("created", format_time(found.created_datetime)),
            ("owner", found.owned_by),
        ],
    )


@command.command("delete", short_help="Delete fine-tuned models.")
@click.argument("models", nargs=-1, required=True)
@client_command
async def delete(client: "AsyncClient", output: Output, models: tuple[str, ...]) -> None:
    """Delete models that you tuned."""
    for model in models:
        deleted = await client.models.delete(model)
        output.show_object(deleted, [("deleted", deleted.id)])


def is_tuned(model: "Model") -> bool:
    """Tell whether a model is a fine-tuned one, by its name: `ft:…`, or `curie:ft-…` of old."""
    return model.id.startswith("ft:") or ":ft-" in model.id
