"""Slices of a run without Dask, for job arrays, and what joins them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scanlink.errors import InputError
from scanlink.files import replace_file
from scanlink.io.opening import existing_file
from scanlink.options import Options
from scanlink.pipeline import config
from scanlink.pipeline.experiment import Experiment, Prepared
from scanlink.pipeline.experiments import experiment_with
from scanlink.pipeline.follow import Follow
from scanlink.pipeline.outcome import Outcome
from scanlink.pipeline.record import write_record
from scanlink.pipeline.run import Stages
from scanlink.pipeline.surroundings import claim, report_on
from scanlink.run import FolderLock, Plan, RunStats, Work, run_work
from scanlink.store.make import write_store
from scanlink.store.store import Store
from scanlink.tl.call import compute, work_of

__all__ = ["compute_slice", "merge"]


def compute_slice(
    data: Path,
    pairs: Path,
    out: Path,
    *,
    chunk: tuple[int, int] = (1, 1),
    options_file: Path | None = None,
    changes: Sequence[str] = (),
) -> RunStats:
    """Compute one slice, ``(i, n)`` counted from 1, of all analyses in this process, for job arrays.

    What follows from a table, such as enhancer pairs, is sliced in the same way once every slice of that table is
    there: the same job array is submitted a second time, or :func:`merge` computes it.

    ``data`` is a scan store, or a .h5mu of raw counts, of which the slice makes its own store in ``out``, the folder of
    all slices. Of the sections of ``options_file``, as run.yaml, those of analyses and ``groups`` are used.
    """
    experiment, options = _slice_options(options_file, changes)
    table = experiment.read_pairs(pairs)
    if not data.is_dir():
        existing_file(data, "a scan store (a folder) or a .h5mu of raw counts")
    folder = Path(out).resolve()
    claim(folder)
    store = _store(data, folder)
    # For merge, which takes the rates of all slices together.
    if not (folder / "config.yaml").exists():
        replace_file(folder / "config.yaml", lambda temporary: config.save(options, temporary))
    if pairs.resolve() != folder / "pairs.parquet":
        replace_file(folder / "pairs.parquet", lambda temporary: table.to_parquet(temporary, index=False))
    given = experiment.given(options, Prepared(store, {"pairs": table, **experiment.store_tables(store)}, []), folder)
    follow = Follow(given, experiment.asked(given.sections))
    works = follow.start()
    plans = [(analysis, plan) for analysis in follow.analyses for plan in follow.plans(analysis).values()]
    done = [compute(analysis, plan, chunk=chunk) for analysis, plan in plans]
    if all(len(work.parts.present()) == len(work.blocks) for work in works):
        done += _compute_followers(follow, works, chunk)
    for stats in done:
        stats.raise_failures()
    return _total(done)


def _total(done: Sequence[RunStats]) -> RunStats:
    """Sum what was done for several plans."""
    total = RunStats(peak_mib=max((stats.peak_mib for stats in done), default=0.0))
    for name in ("n_blocks", "n_found", "n_computed", "seconds", "task_seconds"):
        setattr(total, name, sum(getattr(stats, name) for stats in done))
    return total


def _compute_followers(follow: Follow, works: Sequence[Work], chunk: tuple[int, int]) -> list[RunStats]:
    """Compute a slice of what follows from finished tables."""

    def then(work: Work, group: int) -> list[Work]:
        follow.then(work, group)
        sliced = []
        for analysis in follow.analyses:
            if analysis.follows is not None:
                for label, plan in follow.plans(analysis).items():
                    if (analysis.name, label) not in seen:
                        seen.add((analysis.name, label))
                        sliced.append(work_of(analysis, plan, chunk=chunk))
        return sliced

    seen: set[tuple[str, str]] = set()
    stats = run_work(works, then=then)
    return [done for work, done in stats.items() if work not in works]


def _slice_options(file: Path | None, changes: Sequence[str]) -> tuple[Experiment, Options]:
    named = [change.partition("=")[0].split(".")[0] for change in changes]
    experiment = experiment_with([*([] if file is None else config.sections_of(file)), *named])
    return experiment, config.load(file, experiment.slices, changes=changes, known=False)


def _store(data: Path, folder: Path) -> Store:
    """Open the store of the slices, or make it; leave word of one that stands elsewhere."""
    if data.is_dir():
        store = Store.open(data)
    else:
        from scanlink import io
        from scanlink.io.formats import stays_on_disk

        mdata = io.read(data, backed=stays_on_disk(data))
        # Slices may start at the same time: each writes the same bytes under a name of its own first.
        store = write_store(mdata, folder / "store")
    if store.path.resolve() != (folder / "store").resolve():
        replace_file(folder / "store.txt", lambda temporary: temporary.write_text(str(store.path.resolve())))
    return store


def merge(folder: Path, *, options_file: Path | None = None, changes: Sequence[str] = ()) -> Outcome:
    """Join the parts that slices left, compute what follows from them and is not there yet, and write all tables.

    Without a file of options those of the slices are taken; how the slices tested, it cannot change.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder: give the folder that was named with --out to the slices")
    folder = folder.resolve()
    known = folder / "config.yaml"
    experiment, sliced = _slice_options(known if known.is_file() else None, ())
    _, options = _slice_options(options_file or (known if known.is_file() else None), changes)
    starters = [analysis.name for analysis in experiment.analyses if analysis.follows is None]
    options = options.model_copy(update={name: getattr(sliced, name) for name in ("groups", *starters)})
    _need_one_plan(folder, [name for name in starters if getattr(options, name) is not None])
    elsewhere = folder / "store.txt"
    store = Store.open(Path(elsewhere.read_text()) if elsewhere.is_file() else folder / "store")
    pairs = experiment.read_pairs(existing_file(folder / "pairs.parquet", "the pairs of the slices"))
    tables = {"pairs": pairs, **experiment.store_tables(store)}
    inputs: list[dict[str, Any]] = [{"path": str(store.path), "sha256": store.checksum}]
    given = experiment.given(options, Prepared(store, tables, inputs), folder)
    with FolderLock(folder) as lock:
        outcome = Outcome(folder)
        stages = Stages(outcome, given, experiment.asked(given.sections), lock.problem)
        content = options.model_dump(mode="json") | given.as_json()
        stages.plan(content)
        for analysis in stages.analyses:
            for plan in stages.follow.plans(analysis).values():
                plan.finished()
        stages.compute(None)
        stages.tables()
        write_record(outcome, options=content, inputs=inputs)
        outcome.report = report_on(folder)
    return outcome


def _need_one_plan(folder: Path, names: Sequence[str]) -> None:
    """Check that slices wrote one plan of each analysis; those after the first may have had nothing to ask."""
    for name in names:
        plans = [Plan(path.parent) for path in sorted(folder.glob(f"parts/{name}-*/plan.json"))]
        if len(plans) > 1 or (name == names[0] and not plans):
            found = ", ".join(plan.folder.name for plan in plans) or "none"
            raise InputError(
                f"{folder} holds {len(plans)} scans ({found}), expected one: give the folder that the slices wrote "
                "to, and delete scans of other options below parts/"
            )
        for plan in plans:
            # Damage is said, not made good: that would be a plan whose parts are not there.
            _ = plan.about, plan.blocks
