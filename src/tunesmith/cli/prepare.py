"""`tunesmith prepare`: find and fix problems of training data."""

import json
import os
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any, Literal

import click

from tunesmith._atomic import atomic_write
from tunesmith.cli.connection import ServiceOptions
from tunesmith.cli.messages import click_errors
from tunesmith.cli.next_steps import next_steps
from tunesmith.cli.output import echo
from tunesmith.cli.prompts import Prompter, show_findings
from tunesmith.datasets import (
    KINDS,
    SOURCE_FORMATS,
    Check,
    Dataset,
    Diagnosis,
    Format,
    WriteResult,
    diagnose,
    write,
)
from tunesmith.datasets.checks.model import checks_for_model
from tunesmith.datasets.cost import Prices
from tunesmith.datasets.read import OnBroken
from tunesmith.datasets.report import DatasetReport, make_report
from tunesmith.datasets.tokens import TokenCounter, default_counter
from tunesmith.errors import DatasetError

__all__ = ["command"]


def _parse_renames(_: click.Context, __: click.Parameter, pairs: tuple[str, ...]) -> dict[str, str]:
    for pair in pairs:
        if "=" not in pair:
            raise click.BadParameter(f"{pair!r} must be OLD=NEW, such as question=prompt.")
    return dict(pair.rsplit("=", 1) for pair in pairs)


def _require_jsonl(_: click.Context, __: click.Parameter, path: Path | None) -> Path | None:
    if path is not None and path.suffix.lower() != ".jsonl":
        raise click.BadParameter("The output must end in .jsonl.")
    return path


def _require_html(_: click.Context, __: click.Parameter, path: Path | None) -> Path | None:
    if path is not None and path.suffix.lower() not in {".html", ".htm"}:
        raise click.BadParameter("The report must end in .html.")
    return path


_PATH = click.Path(path_type=Path, readable=False)
"""Path without click's own checks, because errors of data preparation come with a hint."""


@click.command(
    "prepare",
    short_help="Find and fix problems of training data.",
    epilog="Exit codes: 0 the file can be trained on; 1 the data cannot be used, you declined, or "
    "the service would refuse the file written; 2 wrong options.",
)
@click.argument("file", required=False, type=_PATH)
@click.option("-f", "--file", "named", type=_PATH, help="The same as FILE.")
@click.option(
    "-q", "-y", "--quiet", "--yes", "quiet", is_flag=True, help="Accept all fixes without asking."
)
@click.option(
    "--to",
    "target_format",
    type=click.Choice(["chat", "completions", "dpo"]),
    help="Convert to this format.",
)
@click.option("--system", help="System message of conversations after --to chat.")
@click.option(
    "--split",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Share of rows for a validation file. Without it, one is offered for classifications.",
)
@click.option("--seed", default=42, show_default=True, help="Seed of the split.")
@click.option("--model", help="Model to train: for exact tokens, its limit and its price.")
@click.option(
    "--epochs", "--n-epochs", "epochs", type=click.IntRange(1, 50), help="Number of epochs."
)
@click.option(
    "--prices",
    type=_PATH,
    help="Your prices: a JSON file with as_of and usd_per_million_training_tokens.",
)
@click.option("-o", "--output", type=_PATH, callback=_require_jsonl, help="File to write.")
@click.option(
    "--report",
    type=_PATH,
    callback=_require_html,
    help="Write an HTML page with distributions, findings and examples; an older one is replaced.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON; implies -q.")
@click.option("--rename", multiple=True, callback=_parse_renames, help="Rename a column: OLD=NEW.")
@click.option(
    "--format",
    type=click.Choice([*SOURCE_FORMATS]),
    help="Format of FILE, if it is not recognised.",
)
@click.option("--kind", type=click.Choice(KINDS), help="Type of FILE, if it is not recognised.")
@click.option("--encoding", help="Encoding of FILE, if it is not UTF-8.")
@click.option("--skip-broken", is_flag=True, help="Leave out lines that cannot be read.")
@click.pass_obj
def command(
    connection: ServiceOptions,
    /,
    file: Path | None,
    named: Path | None,
    quiet: bool,
    target_format: Format | None,
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
    """Find problems of the training data in FILE, fix those that you agree to, and write it.

    FILE is csv, tsv, xlsx, txt, json, jsonl or parquet (csv to jsonl also as .gz or .zst), with
    prompts and completions, conversations, preference pairs or reinforcement items; open formats
    such as ShareGPT, Alpaca and TRL are converted. The output is FILE_prepared.jsonl, or
    _prepared_train.jsonl and _prepared_valid.jsonl; existing files are kept.
    """
    source = _resolve_path(file, named)
    _require_conversion(system, target_format)
    prompter = Prompter(quiet=quiet or as_json)
    with click_errors():
        costs = Prices.read(prices) if prices else None
        counter = default_counter(model)
        options = {"target_format": target_format, "system": system, **reading}
        diagnosis = _diagnose(source, options, model, counter, skip_broken=skip_broken)
        show_findings(diagnosis)
        prompter.confirm_skipping(diagnosis, skip=skip_broken)
        diagnosis.plan().raise_if_fatal()
        plan = diagnosis.plan(prompter.confirm_fix)
        share: float | Literal["auto"] | None = split
        if share is None and prompter.confirm_split(plan):
            share = "auto"
        echo(str(plan), err=True, wrap=True)
        if (plan.has_changes or share or output) and not prompter.confirm("Write the result"):
            raise click.ClickException("Nothing was written.")
        with _report_file(report) as write_page:
            written = write(plan, output, split=share, seed=seed)
            result = make_report(
                diagnosis,
                plan,
                written,
                model=model,
                counter=counter,
                epochs=epochs,
                prices=costs,
            )
            write_page(result.to_html)
    if as_json:
        echo(json.dumps(result.to_dict(), ensure_ascii=False, indent=2))
    else:
        _print_summary(result, costs)
        for name, rows in zip(written.files, written.rows, strict=False):
            echo(f"Written: {name} ({rows:,} rows)")
        if report:
            echo(f"Report: {report}")
    if written.errors:
        raise click.ClickException(_refusal(written, source))
    if not as_json:
        if not written.files:
            echo(f"No changes are needed: use {source} as it is.")
        steps = next_steps(written, source, diagnosis.format, model, connection, epochs=epochs)
        for line in steps:
            echo(line, wrap=line.endswith("."))  # commands stay whole, to be copied


def _diagnose(
    source: Path,
    options: dict[str, Any],
    model: str | None,
    counter: TokenCounter,
    *,
    skip_broken: bool,
) -> Diagnosis:
    # Other memory pools reserve a gigabyte of addresses, which limits of memory count.
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")

    def diagnose_with(on_broken: OnBroken) -> Diagnosis:
        dataset = Dataset.open(source, on_broken=on_broken, **options)
        checks: list[Check] = []
        if model:
            checks = checks_for_model(model, dataset.format(), counter, dataset.file)
        return diagnose(dataset, checks=checks)

    try:
        return diagnose_with("skip")
    except DatasetError:
        # If all lines are broken, the error of the first one is the useful one.
        return diagnose_with("skip" if skip_broken else "raise")


def _refusal(written: WriteResult, source: Path) -> str:
    file = written.files[0] if written.files else source
    reasons = "\n".join(f"- {error.message} ({error.code})" for error in written.errors)
    return f"The service would refuse {file}:\n{reasons}"


def _resolve_path(file: Path | None, named: Path | None) -> Path:
    if (file is None) == (named is None):
        raise click.UsageError("Name one file: tunesmith prepare FILE.")
    return file or named or Path()


def _require_conversion(system: str | None, target_format: Format | None) -> None:
    if system and target_format not in {"chat", "completions"}:
        raise click.UsageError("--system needs --to chat.")


def _print_summary(report: DatasetReport, prices: Prices | None) -> None:
    from rich.console import Console

    from tunesmith.datasets.report.terminal import print_report

    text = StringIO()
    print_report(report, Console(file=text, soft_wrap=not sys.stdout.isatty(), highlight=False))
    echo(text.getvalue().rstrip("\n"))
    if report.cost and report.cost.usd is None:
        if prices and report.cost.model:
            echo(f"Your prices do not list {report.cost.model}.")
        else:
            needed = [] if report.cost.model else ["--model"]
            needed += [] if prices else ["your --prices"]
            echo(f"For the cost in dollars, give {' and '.join(needed)}.", wrap=True)


@contextmanager
def _report_file(path: Path | None) -> Generator[Callable[[Callable[[], str]], object], None, None]:
    """Open the report file first, so that nothing else is written if that fails."""
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
            remedy="Choose another path.",
        ) from error
