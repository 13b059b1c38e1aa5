"""Tables of results that the tests of the pictures draw, and what every picture is drawn from."""

from __future__ import annotations

import inspect
import io
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from scipy.special import ndtr

import scanlink as sl
from scanlink.errors import MissingKeyError
from scanlink.stats import adjust

CONTRASTS = ("10", "01", "11", "interaction")
GENES = pd.DataFrame(
    {
        "chrom": "chr1",
        "start": 45_000 * np.arange(8),
        "end": 45_000 * np.arange(8) + 9_000,
        "strand": "+",
        "gene": [f"G{k}" for k in range(8)],
    }
)


def peak_name(number: int) -> str:
    """Peaks 3 kb apart, 8,000 on a chromosome."""
    start = 3_000 * (number % 8_000)
    return f"chr{1 + number // 8_000}:{start}-{start + 800}"


def links_table(n: int, *, seed: int = 0, n_groups: int = 1, linked: float = 0.05) -> pd.DataFrame:
    """Links of which a share is true, with 15 peaks a gene."""
    rng = np.random.default_rng(seed)
    se = rng.gamma(6, 0.015, n) + 0.02
    beta = np.where(rng.random(n) < linked, rng.choice([1, 1, -1], n) * rng.gamma(3, 0.2, n), 0.0) + rng.normal(0, se)
    per_group = -(-n // n_groups)
    number = np.arange(n) % per_group
    table = pd.DataFrame(
        {
            "group": pd.Categorical.from_codes(np.arange(n) // per_group, [f"type {g}" for g in range(n_groups)]),
            "gene": pd.Categorical.from_codes(number // 15, [f"G{k}" for k in range((per_group - 1) // 15 + 1)]),
            "peak": pd.Categorical.from_codes(number, [peak_name(k) for k in range(per_group)]),
            "distance": rng.integers(-500_000, 500_000, n),
            "beta": beta,
            "p_value": 2 * ndtr(-np.abs(beta / se)),
            "status": "ok",
        }
    )
    table["fdr"] = table.groupby("group", observed=True)["p_value"].transform(adjust)
    return table


def epi_table(n: int, *, seed: int = 0, groups: tuple[str, ...] = ("T",)) -> pd.DataFrame:
    """Enhancer pairs whose effects multiply but for one in ten."""
    rng = np.random.default_rng(seed)
    se = rng.gamma(6, 0.02, n) + 0.02
    start = 10_000 * np.arange(n)
    table = pd.DataFrame(
        {
            "group": rng.choice(groups, n),
            "gene": [f"G{k // 3}" for k in range(n)],
            "enhancer_1": [f"chr1:{a}-{a + 800}" for a in start],
            "enhancer_2": [f"chr1:{a + 4_000}-{a + 4_600}" for a in start],
        }
    )
    effect = {name: rng.normal(0.3, 0.3, n) for name in ("10", "01")}
    effect["interaction"] = np.where(rng.random(n) < 0.1, rng.choice([-1.0, 1.0], n), 0.0) + rng.normal(0, se)
    effect["11"] = effect["10"] + effect["01"] + effect["interaction"]
    for name in CONTRASTS:
        table[f"beta_{name}"] = effect[name]
        table[f"p_{name}"] = 2 * ndtr(-np.abs(effect[name] / se * 1.2))
        table[f"p_robust_{name}"] = 2 * ndtr(-np.abs(effect[name] / se))
    table["p_value"] = table["p_robust_interaction"]
    table["fdr"] = table.groupby("group")["p_value"].transform(adjust)
    return table.assign(status="ok")


def sizes(ax: Axes) -> dict[str, int]:
    """Bytes of the picture as PNG and as SVG."""
    n_bytes = {}
    for kind in ("png", "svg"):
        file = io.BytesIO()
        ax.figure.savefig(file, format=kind, dpi=100)
        n_bytes[kind] = len(file.getvalue())
    return n_bytes


def boxes(ax: Axes) -> list[Bbox]:
    """Where the visible texts inside the axes are, in pixels, without lines from names to points."""
    figure = ax.figure.figure
    figure.savefig(io.BytesIO(), format="png", dpi=100)
    renderer = figure._get_renderer()
    return [Text.get_window_extent(text, renderer) for text in ax.texts if text.get_visible() and text.get_text()]


def overlaps(texts: list[Bbox]) -> list[tuple[int, int]]:
    """Pairs of boxes that overlap by more than half a pixel."""
    small = [box.padded(-0.5) for box in texts]
    return [(i, j) for i in range(len(small)) for j in range(i) if small[i].overlaps(small[j])]


def luminance(color: object) -> float:
    """Of a colour as grey, 0 to 1."""
    from matplotlib.colors import to_rgb

    return float(np.dot([0.2126, 0.7152, 0.0722], to_rgb(color)))


def screen_table(n: int, *, seed: int = 0, n_controls: int = 0) -> pd.DataFrame:
    """A screen in which one target in ten lowers its gene, and controls of each kind in which none does."""
    rng = np.random.default_rng(seed)
    kinds = ["discovery"] * n + [
        kind for kind in ("shuffled", "mismatched", "non_targeting") for _ in range(n_controls)
    ]
    total = len(kinds)
    tested = np.array(kinds) == "discovery"
    se = rng.gamma(6, 0.02, total) + 0.02
    beta = np.where(tested & (rng.random(total) < 0.1), -rng.gamma(3, 0.3, total), 0.0) + rng.normal(0, se)
    table = pd.DataFrame(
        {
            "kind": pd.Categorical(kinds),
            "group": pd.Categorical(["all"] * total),
            "gene": pd.Categorical.from_codes(np.arange(total) // 3, [f"G{k}" for k in range((total - 1) // 3 + 1)]),
            "target": pd.Categorical.from_codes(np.arange(total), [f"e{k}" for k in range(total)]),
            "beta": beta,
            "se": se,
            "se_robust": se,
            "min_effect": 2.8 * se,
            "status": "ok",
        }
    )
    table["p"] = table["p_robust"] = table["p_value"] = 2 * ndtr(-np.abs(beta / se))
    table["fdr"] = np.where(tested, adjust(np.where(tested, table["p_value"], np.nan)), np.nan)
    return table


def interactions_table(n: int, *, seed: int = 0, n_controls: int = 0) -> pd.DataFrame:
    """Pairs of targets, one in ten of which interact, and controls."""
    single = screen_table(n, seed=seed, n_controls=n_controls)
    rng = np.random.default_rng(seed + 1)
    se = 3 * single["se"].to_numpy()
    tested = (single["kind"] == "discovery").to_numpy()
    effect = np.where(tested & (rng.random(len(single)) < 0.1), rng.choice([-2.0, 2.0], len(single)), 0.0)
    effect = effect + rng.normal(0, se)
    table = single[["kind", "group", "gene", "status"]].assign(
        target_1=single["target"],
        target_2="other",
        beta_1=single["beta"],
        p_1=single["p"],
        beta_2=rng.normal(-0.3, 0.2, len(single)),
        p_2=0.5,
        beta_interaction=effect,
        min_interaction=2.8 * se,
        aic_multiplicative=100.0,
        aic_additive=100 + rng.normal(0.5, 2, len(single)),
    )
    table["p_interaction"] = table["p_robust_interaction"] = table["p_value"] = 2 * ndtr(-np.abs(effect / se))
    table["fdr"] = np.where(tested, adjust(np.where(tested, table["p_value"], np.nan)), np.nan)
    return table


def joint_table(n: int, *, seed: int = 0) -> pd.DataFrame:
    """A screen beside links; of what has an effect, links have the opposite one."""
    screen = screen_table(n, seed=seed)
    rng = np.random.default_rng(seed + 2)
    link = -0.5 * screen["beta"].to_numpy() + rng.normal(0, 0.1, n)
    p = 2 * ndtr(-np.abs(link / 0.1))
    return pd.DataFrame(
        {
            "group": "K562",
            "gene": screen["gene"].astype(str),
            "target": screen["target"].astype(str),
            "peak": "chr1:1-2",
            "distance": 10,
            "beta_link": link,
            "se_link": 0.1,
            "p_link": p,
            "fdr_link": adjust(p),
            "status_link": "ok",
            "kind": "discovery",
            "group_screen": "all",
            "gene_screen": screen["gene"].astype(str),
            "beta_screen": screen["beta"],
            "se_screen": screen["se"],
            "p_screen": screen["p_value"],
            "fdr_screen": screen["fdr"],
            "status_screen": "ok",
        }
    )


@lru_cache(maxsize=1)
def simulated() -> sl.ds.Simulation:
    """A small multiome with links and interactions."""
    return sl.ds.simulate(n_cells=400, n_genes=10, n_peaks=40, n_links=8, n_interactions=2, seed=1)


def calibration() -> sl.tl.Calibration:
    """Rejections of a permuted scan."""
    table = pd.DataFrame({"group": "T", "kind": "wald", "level": [0.05, 0.01], "n_tests": 1000, "ratio": [1.1, 1.5]})
    return sl.tl.Calibration(table.assign(ratio_low=[0.9, 0.8], ratio_high=[1.4, 2.5]), pd.DataFrame())


def examples(n: int) -> dict[str, Any]:
    """What pictures are drawn from, by the names of their arguments: tables of ``n`` rows.

    Of the first argument of a picture there are several, as functions that make them: the first that has the columns
    is drawn.
    """
    links, epi = (lambda: links_table(n, linked=0.4).assign(p=0.5)), (lambda: epi_table(n))
    of_screens = [lambda: screen_table(n, n_controls=n), lambda: interactions_table(n, n_controls=n)]
    pair = simulated().interactions.iloc[0]
    return {
        "links": [links],
        "epi": [epi],
        "table": [links, epi, *of_screens, lambda: joint_table(n)],
        "mdata": [lambda: simulated().mdata],
        "calibration": [calibration],
        "genes": GENES,
        "region": "chr1:0-400,000",
        "truth": links_table(n).head(1)[["group", "gene", "peak", "beta"]],
        **{name: pair[name] for name in ("gene", "enhancer_1", "enhancer_2")},
    }


def needed(name: str) -> list[str]:
    """Names of the arguments without which a picture cannot be drawn."""
    parameters = inspect.signature(getattr(sl.pl, name)).parameters.values()
    return [parameter.name for parameter in parameters if parameter.default is parameter.empty]


def draw_example(name: str, arguments: Mapping[str, Any], **options: Any) -> tuple[Axes | Figure, Any]:
    """The picture called ``name`` of :func:`examples`, and what it was drawn from."""
    first, *others = needed(name)
    makers: Iterable[Callable[[], Any]] = arguments[first]
    for make in makers:
        data = make()
        try:
            return getattr(sl.pl, name)(data, *(arguments[other] for other in others), **options), data
        except MissingKeyError:
            continue
    raise LookupError(f"none of the examples of the argument {first!r} can be drawn by {name}: add one to examples()")
