"""The demo: a simulated experiment through the whole pipeline, and how much of the planted truth came out."""

from __future__ import annotations

import logging
from pathlib import Path

import pandas as pd

from scanlink.files import replace_file
from scanlink.pipeline import config
from scanlink.pipeline import run as pipeline
from scanlink.pl.recovery import label, recovery

__all__ = ["compare", "compare_interactions", "run"]

log = logging.getLogger("scanlink")

_OPTIONS = """\
# What the demo ran: `scanlink run {name}` does it again.
input: data/multiome.h5mu
genes: data/genes.gtf.gz
groups: {{by: celltype, only: all}}
pairs: {{window: 500000, anchor: body, min_fraction: 0.05}}
scan: {{formula: "log(nUMI) + percent.mito", p_value: robust, ladder: capstone, seed: {seed}}}
links: {{method: bh, alpha: 0.1, scope: group}}
epistasis: {{formula: "percent.mito + offset(log(nUMI))", model: joint, p_value: robust, seed: {seed}}}
cluster: local
"""


def run(out: Path, *, seed: int = 0, workers: int | None = None) -> tuple[pipeline.Outcome, list[str]]:
    """Simulate, run, compare; gives the run, and lines that tell what was found of the truth.

    The simulated files go to ``data/`` in the run folder, the options to ``run.yaml``.
    """
    from scanlink import ds

    out = Path(out)
    pipeline.claim(out)
    log.info("simulating cells with known links")
    ds.simulate(seed=seed).write(out / "data")
    options = out / "run.yaml"
    options.write_text(_OPTIONS.format(name=options.name, seed=seed))
    outcome = pipeline.run(config.load_run(options), out, workers=workers)
    links, truth = outcome.tables["links"], pd.read_csv(out / "data" / "true_links.csv")
    alpha = outcome.sections["links"].alpha
    picture, figure = out / "plots" / "recovery.png", recovery(links, truth, alpha=alpha)
    replace_file(picture, lambda temporary: figure.savefig(temporary, dpi=110, format="png"))
    lines = compare(links, truth, alpha=alpha)
    planted = pd.read_csv(out / "data" / "true_interactions.csv")
    lines += compare_interactions(outcome.tables["epistasis"], planted, alpha=outcome.sections["epistasis"].alpha)
    return outcome, [*lines, f"picture: {picture}"]


def compare(links: pd.DataFrame, truth: pd.DataFrame, *, alpha: float) -> list[str]:
    """Tabulate recall and false discovery proportion of the links that were called, by group and in all, to be printed.

    Planted links have ``group`` (empty: acts in every group), ``gene``, ``peak`` and ``beta``.

    Examples
    --------
    >>> links = pd.DataFrame({"group": "T", "gene": "g", "peak": ["a", "b"], "beta": 1.0, "fdr": [0.01, 0.02],
    ...                       "status": "ok"})
    >>> compare(links, links.head(1), alpha=0.1)[-3].split()
    ['all', '1', '1', '2', '1', '1', '0', '1.00', '0.50']
    """
    table = label(links, truth)
    called_all = table["fdr"] < alpha
    titles = ("planted", "testable", "called", "right", "beside", "wrong", "recall", "FDP")
    lines = ["", "against the planted truth:", f"{'group':<14}" + "".join(f"{title:>10}" for title in titles)]
    for name, part in [*table.groupby("group", sort=False), ("all", table)]:
        planted = part["kind"] == "planted"
        testable = int((planted & (part["status"] == "ok")).sum())
        called = part[called_all[part.index]]
        right, beside = (int((called["kind"] == kind).sum()) for kind in ("planted", "beside a planted link"))
        numbers = [int(planted.sum()), testable, len(called), right, beside, len(called) - right - beside]
        recall = f"{right / testable:.2f}" if testable else "-"
        false = f"{1 - right / len(called):.2f}" if len(called) else "-"
        lines.append(f"{name:<14}" + "".join(f"{value:>10}" for value in [*numbers, recall, false]))
    return [
        *lines,
        "recall: right / testable; FDP, the false discovery proportion: (beside + wrong) / called;",
        "beside: another peak of a gene that has a planted link in the group; peaks nearby open together",
    ]


def compare_interactions(epi: pd.DataFrame, truth: pd.DataFrame, *, alpha: float) -> list[str]:
    """Say how the interactions that were called compare with those that were planted, in lines to be printed.

    Planted ones have ``group`` (empty: in every group), ``gene``, ``enhancer_1``, ``enhancer_2`` and ``interaction``.

    Examples
    --------
    >>> epi = pd.DataFrame({"group": "T", "gene": "g", "enhancer_1": "a", "enhancer_2": ["b", "c"], "status": "ok",
    ...                     "beta_interaction": [0.6, 0.1], "min_interaction": 0.5, "fdr": [0.01, 0.6]})
    >>> truth = pd.DataFrame({"group": [""], "gene": "g", "enhancer_1": "b", "enhancer_2": "a", "interaction": 0.7})
    >>> print(compare_interactions(epi, truth, alpha=0.1)[1])
    planted 1, testable 1 (large enough for a power of 80 %: 1), called 1; not planted 1, called 0
    """
    names = ["group", "gene", "enhancer_1", "enhancer_2"]
    planted: dict[tuple[str, str, frozenset[str]], float] = {}
    for group, gene, one, other, size in truth.fillna({"group": ""})[[*names, "interaction"]].to_numpy(dtype=object):
        planted[group, gene, frozenset((one, other))] = size
    effect = []
    for group, gene, one, other in epi[names].to_numpy(dtype=object):
        pair = gene, frozenset((one, other))
        effect.append(planted.get((group, *pair), planted.get(("", *pair), 0.0)))
    found = epi.assign(effect=effect)
    tested, called = found["status"] == "ok", found["fdr"] < alpha
    true = tested & (found["effect"] != 0)
    large = true & (found["effect"].abs() > found["min_interaction"])
    return [
        "against the planted interactions, in groups where both enhancers were called as links:",
        f"planted {int((found['effect'] != 0).sum())}, testable {int(true.sum())} (large enough for a power of 80 %: "
        f"{int(large.sum())}), called {int((true & called).sum())}; not planted {int((tested & ~true).sum())}, called "
        f"{int((tested & ~true & called).sum())}",
    ]
