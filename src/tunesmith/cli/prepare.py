"""`tunesmith prepare`: find and mend what is wrong with training data."""

import json
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import click

from tunesmith._atomic import atomic_write
from tunesmith.cli.connection import ServiceOptions
from tunesmith.cli.messages import click_errors
from tunesmith.cli.next_steps import next_steps
from tunesmith.cli.prompts import Prompter, show_findings
from tunesmith.datasets import KINDS, Dataset, Diagnosis, Format, diagnose, write
from tunesmith.datasets.cost import Prices
from tunesmith.datasets.report import DatasetReport, make_report
from tunesmith.datasets.token_limit import TokenLimit, token_limit
from tunesmith.datasets.tokens import TokenCounter, default_counter
from tunesmith.errors import DatasetError

__all__ = ["command"]


def _renamed(_: click.Context, __: click.Parameter, pairs: tuple[str, ...]) -> dict[str, str]:
    for pair in pairs:
        if "=" not in pair:
            raise click.BadParameter(f"{pair!r} is not OLD=NEW, such as question=prompt.")
    return dict(pair.rsplit("=", 1) for pair in pairs)


def _jsonl(_: click.Context, __: click.Parameter, path: Path | None) -> Path | None:
    if path is not None and path.suffix.lower() != ".jsonl":
        raise click.BadParameter("JSON lines are written: name a file that ends in .jsonl.")
    return path


def _html(_: click.Context, __: click.Parameter, path: Path | None) -> Path | None:
    if path is not None and path.suffix.lower() not in {".html", ".htm"}:
        raise click.BadParameter("The report is a page: name a file that ends in .html.")
    return path


_PATH = click.Path(path_type=Path, readable=False)
"""A path that click does not look at: what is wrong with a file is told with the way out of it."""


@click.command(
    "prepare",
    short_help="Find and mend what is wrong with training data.",
    epilog="Exit codes: 0 done, or nothing to do; 1 the data cannot be used, or you declined; "
    "2 the command was given wrongly. Nothing is written unless the code is 0.",
)
@click.argument("file", required=False, type=_PATH)
@click.option("-f", "--file", "named", type=_PATH, help="The same as FILE.")
@click.option("-q", "--quiet", is_flag=True, help="Accept all remedies without asking.")
@click.option(
    "--to",
    type=click.Choice(["chat", "completions", "dpo"]),
    help="The format to convert to, if the data have another.",
)
@click.option("--system", help="The system message that conversations begin with after --to chat.")
@click.option(
    "--split",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="The share of rows for a validation file. Without it, one is offered for classifications.",
)
@click.option("--seed", default=42, show_default=True, help="The same seed splits in the same way.")
@click.option("--model", help="The model to be trained: for exact tokens, its limit and its price.")
@click.option("--epochs", type=click.IntRange(1, 50), help="How often to train on each example.")
@click.option(
    "--prices",
    type=_PATH,
    help="Your prices: a JSON file with as_of and usd_per_million_training_tokens.",
)
@click.option("-o", "--output", type=_PATH, callback=_jsonl, help="The file to write.")
@click.option(
    "--report",
    type=_PATH,
    callback=_html,
    help="Write a page with distributions, findings and examples; replaces an older one.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON; implies -q.")
@click.option("--rename", multiple=True, callback=_renamed, help="Rename a column: OLD=NEW.")
@click.option(
    "--kind", type=click.Choice(KINDS), help="The kind of file, if its name does not say."
)
@click.option("--encoding", help="The text's encoding, if it is not UTF-8.")
@click.option("--skip-broken", is_flag=True, help="Leave out lines that cannot be read.")
@click.pass_obj
def command(
    connection: ServiceOptions,
    /,
    file: Path | None,
    named: Path | None,
    quiet: bool,
    to: Format | None,
    system: str | None,
    split: float | None,
    seed: int,
    model: str | None,
    epochs: int | None,
    prices: Path | None,
    output: Path | None,
    report: Path | None,
    as_json: bool,
    skip_broken: bool,
    **reading: Any,
) -> None:
    """Find what is wrong with the training data in FILE, mend what you agree to, and write it.

    FILE is csv, tsv, xlsx, txt, json, jsonl or parquet (csv to jsonl also as .gz or .zst), with
    prompts and completions, conversations, preference pairs or reinforcement items. What is
    written is FILE_prepared.jsonl, or _prepared_train.jsonl and _prepared_valid.jsonl; files that
    are there already are kept.
    """
    source = _resolve_path(file, named)
    _require_conversion(system, to)
    asking = Prompter(quiet=quiet or as_json)
    with click_errors():
        costs = Prices.read(prices) if prices else None
        counter = default_counter(model)

        def diagnosed(on_broken: Any) -> Diagnosis:
            dataset = Dataset.open(source, to=to, system=system, on_broken=on_broken, **reading)
            return diagnose(dataset, checks=_checks(model, counter, dataset.file))

        try:
            diagnosis = diagnosed("skip")
        except DatasetError:
            # If it was the last of broken lines, then the first one is to be told of.
            diagnosis = diagnosed("skip" if skip_broken else "raise")
        show_findings(diagnosis)
        asking.confirm_skipping(diagnosis, skip=skip_broken)
        diagnosis.plan().raise_if_fatal()
        plan = diagnosis.plan(asking.confirm_fix)
        share: float | Literal["auto"] | None = split
        if share is None and asking.confirm_split(plan):
            share = "auto"
        click.echo(plan, err=True)
        if (plan.has_changes or share or output) and not asking.confirm("Write the result"):
            raise click.ClickException("Nothing was written, as you wished.")
        with _report_file(report) as write_page:
            written = write(plan, output, split=share, seed=seed)
            made = make_report(
                diagnosis,
                plan,
                written,
                model=model,
                counter=counter,
                epochs=epochs,
                prices=costs,
            )
            write_page(made.to_html)
    if as_json:
        click.echo(json.dumps(made.to_dict(), ensure_ascii=False, indent=2))
        return
    _print_summary(made, costs)
    for name, rows in zip(written.files, written.rows, strict=False):
        click.echo(f"Written: {name} ({rows:,} rows)")
    if not written.files:
        click.echo(f"Nothing had to be changed: use {source} as it is.")
    if report:
        click.echo(f"Report: {report}")
    for line in next_steps(written, source, diagnosis.format, model, connection):
        click.echo(line)


def _resolve_path(file: Path | None, named: Path | None) -> Path:
    if (file is None) == (named is None):
        raise click.UsageError("Name one file: tunesmith prepare FILE.")
    return file or named or Path()


def _require_conversion(system: str | None, to: Format | None) -> None:
    if system and to not in {"chat", "completions"}:
        raise click.UsageError("--system is for conversions: give --to chat, too.")


def _checks(model: str | None, counter: TokenCounter, file: str | None) -> list[TokenLimit]:
    limit = token_limit(model) if model else None
    return [TokenLimit(counter, limit, file)] if limit else []


def _print_summary(report: DatasetReport, prices: Prices | None) -> None:
    from rich.console import Console

    from tunesmith.datasets.report.terminal import print_report

    print_report(report, Console(soft_wrap=True, highlight=False))
    if report.cost and report.cost.usd is None:
        if prices and report.cost.model:
            click.echo(f"Your prices do not list {report.cost.model}.")
        else:
            needed = [] if report.cost.model else ["--model"]
            needed += [] if prices else ["your --prices"]
            click.echo(f"For the cost in dollars, give {' and '.join(needed)}.")


@contextmanager
def _report_file(path: Path | None) -> Generator[Callable[[Callable[[], str]], object], None, None]:
    """Open a file beside `path` first, so that nothing else is written if that fails."""
    if path is None:
        yield lambda _: None
        return
    try:
        with atomic_write(path) as part, part.open("w", encoding="utf-8") as stream:
            yield lambda text: stream.write(text())
    except OSError as error:
        raise DatasetError(
            f"The report cannot be written: {error.strerror or error}.",
            file=str(path),
            remedy="Name another place for it.",
        ) from error
