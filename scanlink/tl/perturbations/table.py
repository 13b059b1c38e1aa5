"""Tables of a screen: what the columns of one target and of two have in common, and how parts become a table."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pandas as pd

from scanlink.p_values import column_of
from scanlink.tables import ASKED, DISTANCE, GENE, GROUP, N_CELLS, ROW_KINDS, Column, Table, statuses_with
from scanlink.tl.analysis import Given
from scanlink.tl.collect import add_rates, named_rows, read_parts
from scanlink.tl.perturbations.options import PerturbationOptions
from scanlink.tl.perturbations.rows import PerturbationPlan, target_columns

__all__ = ["finish_perturbations", "first_columns", "statuses"]


def first_columns(n_targets: int) -> list[Column]:
    """List the columns that say what a row is of."""
    distance = "bp from the TSS to the centre of the target, positive downstream"
    if n_targets > 1:
        distance = "bp between the midpoints of the targets"
    return [
        Column("kind", "text", "discovery, positive control, or a kind of negative control", computed=False),
        *(GROUP, GENE),
        *(
            Column(name, "text", "target that was perturbed", name.replace("_", " "), computed=False)
            for name in target_columns(n_targets)
        ),
        *(DISTANCE.said(distance), N_CELLS),
    ]


def statuses(**special: str) -> Mapping[str, str]:
    """Give the words of every status, the special ones of a test after those of too few cells."""
    return statuses_with(
        gene_rare="the gene is non-zero in too few cells of the group",
        **special,
        separated="no count of the gene in cells with or without a perturbation: the effect is without bound",
    )


def finish_perturbations(
    table: Table,
    plans: Sequence[PerturbationPlan],
    given: Given,
    options: PerturbationOptions,
    *,
    end: str = "",
    set_aside: Sequence[Collection[int]] | None = None,
    groups: Collection[int] | None = None,
) -> pd.DataFrame:
    """Put the parts of a finished plan together: a row for every test in every group, controls last.

    ``plans`` is empty where nothing was asked; ``end`` is what the chosen p-value's column ends in, such as
    ``"interaction"``. The rates ``fdr`` are taken over what was asked for, within the group.
    """
    if not plans:
        return table.empty(options)
    (plan,), (failed,) = plans, set_aside or [()]
    parts = read_parts(plan, table.schema(options), set_aside=failed, groups=groups)
    rows = plan.rows
    control = rows.kind[parts["row"].to_numpy()] >= len(ASKED)
    parts = parts.iloc[np.lexsort([parts["row"], parts["group"], control])].reset_index(drop=True)
    row = parts["row"].to_numpy()
    targets = dict(zip(target_columns(rows.targets.shape[1]), rows.targets[row].T, strict=True))
    results = named_rows(plan, parts).assign(
        kind=np.array(ROW_KINDS, dtype=object)[rows.kind[row]],
        **{name: plan.targets.names.astype(object)[places] for name, places in targets.items()},
    )
    results["p_value"] = results[column_of(options.p_value, end)]
    asked = results["kind"].isin(ASKED).to_numpy()
    results["fdr"] = add_rates(results, ["group"], method=options.method, asked=asked)
    return results[table.names(options)]
