"""The command line: ``scanlink run``, ``demo``, ``scan``, ``merge``, ``submit``, ``doctor``, ``fetch``, and others."""

from __future__ import annotations

import logging
import os
import re
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
import typer.core

from scanlink import __version__
from scanlink.cli_files import add_file_commands
from scanlink.cli_output import add_commands, print_arrival, tell
from scanlink.errors import OptionError, ScanlinkError
from scanlink.run.stop import Stopped, stop_on_signals

__all__ = ["main"]

# Finished, but for some blocks that failed again and again.
_EXIT_SET_ASIDE = 3


class _AsUsed(typer.core.TyperGroup):
    """Lists the commands in the order in which a user comes by them."""

    def list_commands(self, ctx: Any) -> list[str]:
        order = ["init", "check", "run", "demo", "status", "report", "export", "submit", "doctor", "fetch"]
        order += ["scan", "merge", "schema"]
        return sorted(super().list_commands(ctx), key=order.index)


app = typer.Typer(
    name="scanlink",
    cls=_AsUsed,
    help="Which enhancers drive which genes, and which act together, from single-cell multiome data.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
add_commands(app)
add_file_commands(app)

Out = Annotated[Path, typer.Option("--out", "-o", help="Run folder; the same folder goes on from what is finished.")]
Changes = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Replace an option, such as scan.seed=1.")
]
Cluster = Annotated[
    str | None,
    typer.Option(help="local, none, an address such as tls://host:8786, a scheduler file or a profile (.yaml)."),
]
Workers = Annotated[int | None, typer.Option(min=1, help="Local worker processes; left out, one a core.")]


def main() -> None:
    """Run the command line; what is wrong with input or options ends it with one message and exit code 1."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", datefmt="%H:%M:%S"))
    logger = logging.getLogger("scanlink")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    # A library that logs on the root logger would set one up there, and every line would come twice.
    logger.propagate = False
    # What Dask says about its workers coming and going helps nobody here; set before it is imported.
    os.environ.setdefault("DASK_LOGGING__DISTRIBUTED", "critical")
    try:
        with stop_on_signals():
            app()
    except ScanlinkError as error:
        print(f"scanlink: error: {error}", file=sys.stderr)
        sys.exit(1)
    except Stopped as stopped:
        print(
            f"scanlink: stopped by {stopped.signal_name}; the same command goes on from what is finished",
            file=sys.stderr,
        )
        raise


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        print(f"scanlink {__version__}")
        raise typer.Exit


@app.command()
def run(
    file: Annotated[Path, typer.Argument(help="Options, as run.yaml.", metavar="RUN.YAML")],
    out: Out = Path("scanlink_run"),
    set_: Changes = None,
    cluster: Cluster = None,
    workers: Workers = None,
    until: Annotated[str, typer.Option(help="links, or pairs: stop when store and pairs are written.")] = "links",
    performance: Annotated[
        bool, typer.Option("--performance", help="Leave Dask's report of the workers as logs/performance.html.")
    ] = False,
    follow: Annotated[
        bool, typer.Option("--follow", help="Print a line for the table of each group as soon as it is there.")
    ] = False,
) -> None:
    """Files to links, and to enhancer pairs that act together, and a report. Resumes by itself.

    Where the file has a section ``screen``, it is a CRISPR screen: files to effects of perturbations and interactions.

    Exit code 0: finished; 1: an error; 3: finished, but blocks were set aside; 75: stopped by a signal, the same
    command goes on; 130: stopped by Ctrl-C.
    """
    from scanlink.pipeline import run as pipeline
    from scanlink.pipeline.config import load_for_command

    if until not in ("pairs", "links"):
        raise OptionError(f"--until {until}: expected 'pairs' or 'links'")
    options = load_for_command(file, set_, cluster)
    listener = print_arrival if follow else None
    outcome = pipeline.run(
        options,
        out,
        until=until,  # type: ignore[arg-type]
        workers=workers,
        performance=performance,
        listener=listener,
    )
    tell(outcome)
    if outcome.failures:
        raise typer.Exit(_EXIT_SET_ASIDE)


@app.command()
def demo(
    out: Out = Path("demo_run"),
    seed: Annotated[int, typer.Option(help="Of the simulation and of the bootstrap.")] = 0,
    workers: Workers = None,
) -> None:
    """Simulate a multiome experiment, run the whole pipeline on its files, and compare with the planted truth."""
    from scanlink import demo as demonstration

    outcome, lines = demonstration.run(out, seed=seed, workers=workers)
    tell(outcome)
    print("\n".join(lines))


@app.command()
def scan(
    store: Annotated[Path, typer.Argument(help="Scan store (folder) or a .h5mu of raw counts.", metavar="STORE")],
    pairs: Annotated[Path, typer.Argument(help="Table of pairs: gene, peak, distance.", metavar="PAIRS")],
    out: Out = Path("scanlink_run"),
    chunk: Annotated[str, typer.Option(metavar="I/N", help="Slice I of N, counted from 1, for job arrays.")] = "1/1",
    options_file: Annotated[
        Path | None,
        typer.Option("--config", help="run.yaml or config.yaml: groups and the sections of analyses are used."),
    ] = None,
    set_: Changes = None,
) -> None:
    """Compute one slice of the analyses, without Dask; scanlink merge joins the slices."""
    from scanlink.pipeline import slices

    stats = slices.compute_slice(store, pairs, out, chunk=_chunk(chunk), options_file=options_file, changes=set_ or [])
    print(
        f"slice {chunk}: {stats.n_blocks} blocks, {stats.n_found} found finished, {stats.n_computed} computed "
        f"in {stats.seconds:.1f} s, peak memory {stats.peak_mib:.0f} MiB"
    )


@app.command()
def merge(
    folder: Annotated[Path, typer.Argument(help="The folder that all slices wrote to.", metavar="DIR")],
    options_file: Annotated[
        Path | None,
        typer.Option("--config", help="Left out, the options of the slices; how these tested, it does not change."),
    ] = None,
    set_: Changes = None,
) -> None:
    """Join the slices of a run into its tables; what follows from them and is not there yet is computed."""
    from scanlink.pipeline import slices

    tell(slices.merge(folder, options_file=options_file, changes=set_ or []))


@app.command()
def submit(
    file: Annotated[Path, typer.Argument(help="Options, as run.yaml.", metavar="RUN.YAML")],
    out: Out = Path("scanlink_run"),
    set_: Changes = None,
    cluster: Cluster = None,
    chain: Annotated[
        bool, typer.Option("--chain", help="Jobs one after another until it is done, each within the wall time.")
    ] = False,
    jobs: Annotated[int, typer.Option(min=2, help="Jobs that a chain may have.")] = 20,
    links: Annotated[int | None, typer.Option(min=2, hidden=True)] = None,
    walltime: Annotated[str, typer.Option(help="Of the driver's job.")] = "04:00:00",
    memory: Annotated[str | None, typer.Option(help="Of the driver's job, such as 4GiB.")] = None,
    cores: Annotated[
        int | None, typer.Option(min=1, help="Of the driver's job; for --cluster local its workers.")
    ] = None,
    queue: Annotated[str | None, typer.Option("--queue", "--partition", help="Left out, that of the profile.")] = None,
    account: Annotated[str | None, typer.Option(help="Left out, that of the profile.")] = None,
    extra: Annotated[
        list[str] | None, typer.Option(metavar="OPTION", help="More for sbatch: --extra=--qos=long")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the job's script; write and submit nothing.")
    ] = False,
) -> None:
    """Run the driver as a Slurm job, or as a chain of jobs until the run is done."""
    from scanlink.cluster.submit import driver_job
    from scanlink.cluster.submit import submit as submit_job
    from scanlink.pipeline.config import load_for_command, save

    options = load_for_command(file, set_, cluster)
    if links is not None:
        jobs = links
        print("scanlink: --links is called --jobs now, and will not be understood for ever", file=sys.stderr)
    job = driver_job(
        out,
        cluster=options.cluster,
        walltime=walltime,
        memory=memory,
        cores=cores,
        queue=queue,
        account=account,
        links=jobs if chain else None,
        extra=extra or (),
    )
    if dry_run:
        print(job.script(), end="")
        return
    # The links of a chain do not see what is changed in run.yaml meanwhile: they would begin anew.
    number = submit_job(job, lambda path: save(options, path))
    print(f"job {number} is the driver of {job.folder}" + (f", in a chain of up to {jobs} jobs" if chain else ""))
    print(f"script and logs: {job.logs}\nhow far it is:   scanlink status {shlex.quote(str(job.folder))}")
    print(f"to stop it:      scancel --name={job.name}")


@app.command()
def doctor(
    file: Annotated[
        Path | None, typer.Argument(help="run.yaml, whose profile and input files are looked at.", metavar="[RUN.YAML]")
    ] = None,
    cluster: Cluster = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Run folder: is it seen on both sides?")] = None,
    wait: Annotated[float, typer.Option(help="Seconds until the first worker has to be there.")] = 120.0,
    workers: Annotated[int, typer.Option(min=1, max=2, help="Workers that are started.")] = 1,
) -> None:
    """Look for everything that would keep a run from working with a profile. Exit code 1: there is a fault."""
    from scanlink.cluster.doctor.examine import doctor as examine
    from scanlink.cluster.doctor.report import line
    from scanlink.pipeline import config

    profile, files = config.profile_path(cluster or "local", Path.cwd()), []
    if file is not None:
        options = config.load_for_command(file, None, cluster)
        profile = options.cluster
        genes = None if options.genes is None else options.genes.path
        files = [name for name in (*options.input.files, genes, options.pairs.path) if name is not None]
    report = examine(
        profile, out, files=files, wait=wait, workers=workers, listener=lambda check: print(line(check), flush=True)
    )
    print(report.summary())
    if not report.ok:
        raise typer.Exit(1)


@app.command()
def fetch(
    what: Annotated[str, typer.Argument(help="gencode")],
    release: Annotated[str, typer.Option(help="GENCODE release: 44, or M32 for mouse.")] = "44",
) -> None:
    """Download an annotation into the cache folder."""
    if what != "gencode":
        raise OptionError(f"fetch {what!r}: expected 'gencode'")
    from scanlink.io import fetch_gencode

    print(fetch_gencode(release))


def _chunk(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d+)/(\d+)", text)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise OptionError(f"--chunk {text}: expected I/N with I from 1 to N, such as 17/200")
    return int(found[1]), int(found[2])
