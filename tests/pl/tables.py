"""Tables of results that the tests of the pictures draw."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from scipy.special import ndtr

from scanlink.stats import adjust

CONTRASTS = ("10", "01", "11", "interaction")


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
    found = {}
    for kind in ("png", "svg"):
        file = io.BytesIO()
        ax.figure.savefig(file, format=kind, dpi=100)
        found[kind] = len(file.getvalue())
    return found


def boxes(ax: Axes) -> list[Bbox]:
    """Where the visible texts inside the axes are, in pixels, without lines from names to points."""
    figure = ax.figure.figure
    figure.savefig(io.BytesIO(), format="png", dpi=100)
    renderer = figure._get_renderer()
    return [Text.get_window_extent(text, renderer) for text in ax.texts if text.get_visible() and text.get_text()]


def overlaps(found: list[Bbox]) -> list[tuple[int, int]]:
    """Pairs of boxes that overlap by more than half a pixel."""
    small = [box.padded(-0.5) for box in found]
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
    asked = np.array(kinds) == "discovery"
    se = rng.gamma(6, 0.02, total) + 0.02
    beta = np.where(asked & (rng.random(total) < 0.1), -rng.gamma(3, 0.3, total), 0.0) + rng.normal(0, se)
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
    table["fdr"] = np.where(asked, adjust(np.where(asked, table["p_value"], np.nan)), np.nan)
    return table


def interactions_table(n: int, *, seed: int = 0, n_controls: int = 0) -> pd.DataFrame:
    """Pairs of targets, one in ten of which interact, and controls."""
    single = screen_table(n, seed=seed, n_controls=n_controls)
    rng = np.random.default_rng(seed + 1)
    se = 3 * single["se"].to_numpy()
    asked = (single["kind"] == "discovery").to_numpy()
    more = np.where(asked & (rng.random(len(single)) < 0.1), rng.choice([-2.0, 2.0], len(single)), 0.0)
    more = more + rng.normal(0, se)
    table = single[["kind", "group", "gene", "status"]].assign(
        target_1=single["target"],
        target_2="other",
        beta_1=single["beta"],
        p_1=single["p"],
        beta_2=rng.normal(-0.3, 0.2, len(single)),
        p_2=0.5,
        beta_interaction=more,
        min_interaction=2.8 * se,
        aic_multiplicative=100.0,
        aic_additive=100 + rng.normal(0.5, 2, len(single)),
    )
    table["p_interaction"] = table["p_robust_interaction"] = table["p_value"] = 2 * ndtr(-np.abs(more / se))
    table["fdr"] = np.where(asked, adjust(np.where(asked, table["p_value"], np.nan)), np.nan)
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
