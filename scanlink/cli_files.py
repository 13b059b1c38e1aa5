"""Commands about a run.yaml before it is run: ``scanlink init``, ``check`` and ``schema``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from scanlink.errors import OptionError

__all__ = ["add_file_commands"]


def add_file_commands(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command()(init)
    app.command()(check)
    app.command()(schema)


def init(
    files: Annotated[
        list[Path],
        typer.Argument(help="Counts, and if there are any a GTF or BED file, tables of cells and of guides."),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The file that is written.")] = Path("run.yaml"),
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Write a commented run.yaml for these files: every key with its default and what it is."""
    from scanlink.files import replace_file
    from scanlink.pipeline.begin import begin

    if out.exists() and not force:
        raise OptionError(f"{out} is there already, and perhaps yours: name another with --out, or add --force")
    text, found = begin(files, out.resolve().parent)
    replace_file(out, lambda temporary: temporary.write_text(text, encoding="utf-8"))
    print("\n".join(found))
    print(f"{out} is written: look at it, then scanlink check {out}")


def check(
    file: Annotated[Path, typer.Argument(help="Options, as run.yaml.", metavar="RUN.YAML")],
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Replace an option, such as scan.seed=1.")
    ] = None,
    cluster: Annotated[str | None, typer.Option(help="Profile to estimate for, as of scanlink run.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of lines.")] = False,
) -> None:
    """Look at a run.yaml and its files without computing: would it work, what would it test, what would it take?

    Groups and formulas are checked before counts are read. Whether a cluster works, scanlink doctor finds out. Exit
    code 1: a run would end with the error that is printed.
    """
    from scanlink.pipeline.check import check as examine
    from scanlink.pipeline.config import load_for_command

    estimate = examine(load_for_command(file, set_, cluster))
    print(json.dumps(vars(estimate), indent=1) if as_json else "\n".join(estimate.lines()))


def schema() -> None:
    """Print the JSON schema of run.yaml, with which editors complete and check it."""
    from scanlink.pipeline.experiments import json_schema

    print(json.dumps(json_schema(), indent=1))
