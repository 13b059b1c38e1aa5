"""How pictures are shown, kept and given back: in a notebook that is executed, in a terminal, and in a file."""

from __future__ import annotations

import inspect
import sys

import matplotlib as mpl
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pl.tables import links_table
from pp.tenx_file import SIMULATED, write_10x

import scanlink as sl
from scanlink.errors import InputError, OptionError

PREPARE = """
import sys
import pandas as pd
import scanlink as sl
links = pd.DataFrame({"gene": ["A", "B"], "beta": [1.0, -0.2], "p_value": [0.001, 0.4], "fdr": [0.002, 0.4]})
"""
# Cells, and how many pictures are below each.
CELLS = (
    ("sl.pl.volcano(links)", 1),
    ("for fdr in (0.1, 0.5):\n    ax = sl.pl.volcano(links, fdr=fdr)", 2),
    ("ax = sl.pl.volcano(links, show=False)", 0),
    ("figure = sl.pl.volcano(links, return_fig=True)", 0),
    ("figure", 1),
    ("sl.pl.volcano(links.iloc[:0])", 1),
    ("ax = sl.pl.volcano(links, save='volcano.pdf', show=False)\nopen('volcano.pdf', 'rb').read(4)", 0),
    ("assert 'matplotlib.pyplot' not in sys.modules", 0),
    # As people do who draw several side by side; the inline backend shows what is pyplot's.
    (
        "import matplotlib.pyplot as plt\nfigure, (left, right) = plt.subplots(1, 2)\n"
        "sl.pl.volcano(links, ax=left)\nax = sl.pl.volcano(links, ax=right)",
        1,
    ),
    ("ax = sl.pl.volcano(links)", 1),
)


def execute(*cells: str, folder) -> list[list[dict]]:
    """Execute cells in a kernel of this Python; give what is displayed below each."""
    for needed in ("ipykernel", "nbformat"):
        pytest.importorskip(needed)
    import nbformat

    NotebookClient = pytest.importorskip("nbclient").NotebookClient
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    ).execute()
    return [[output.get("data", {}) for output in cell.outputs] for cell in notebook.cells]


def test_pictures__are_in_the_outputs_of_a_notebook(tmp_path):
    _, *outputs = execute(PREPARE, *(cell for cell, _ in CELLS), folder=tmp_path)
    counts = [sum("image/png" in data for data in output) for output in outputs]
    assert counts == [expected for _, expected in CELLS]
    # The axes are there still, for who goes on with them.
    assert "Axes" in outputs[0][-1]["text/plain"]
    assert outputs[6][0]["text/plain"] == "b'%PDF'"


WHOLE = """
import warnings, muon
warnings.simplefilter("ignore")
mdata = muon.read_10x_h5({path!r})
mdata.obs["celltype"] = pd.read_csv({cells!r}, index_col=0)["celltype"].reindex(mdata.obs_names)
sl.pp.qc(mdata)
sl.pp.filter_cells(mdata, "nUMI > 0")
sl.pp.filter_features(mdata, min_fraction=0.1)
pairs = sl.pp.cis_pairs(mdata, sl.io.read_genes({genes!r}))
links = sl.tl.scan(mdata, pairs, groupby="celltype", formula="log(nUMI)", p_value="robust", ladder="none")
len(links)
"""


def test_notebook__from_muon_to_pictures(tmp_path):
    genes = SIMULATED.genes
    bed = genes[["chrom", "start", "end", "gene"]].assign(score=0, strand=genes["strand"])
    bed.to_csv(tmp_path / "genes.bed", sep="\t", header=False, index=False)
    SIMULATED.mdata.obs[["celltype"]].to_csv(tmp_path / "cells.csv")
    names = {"path": write_10x(tmp_path / "matrix.h5"), "cells": "cells.csv", "genes": "genes.bed"}
    whole = WHOLE.format(**{name: str(tmp_path / path) for name, path in names.items()})
    states = "sl.pl.states(mdata, links['gene'][0], *links['peak'][:2], formula='offset(log(nUMI))')"
    _, scanned, *pictures = execute(PREPARE, whole, "sl.pl.qq(links)", "sl.pl.volcano(links)", states, folder=tmp_path)
    assert int(scanned[-1]["text/plain"]) > 100
    assert [sum("image/png" in data for data in output) for output in pictures] == [1, 1, 1]


SCREEN = """
import anndata, warnings
warnings.simplefilter("ignore")
simulated = sl.tl.simulate_screen(n_cells=400, n_genes=4, n_targets=4, guides_per_cell=4.0, seed=3)
rna, guide = simulated.mdata["rna"], simulated.mdata["guide"]
rna.var["feature_types"], guide.var["feature_types"] = "Gene Expression", "CRISPR Guide Capture"
adata = anndata.concat([rna, guide], axis=1, join="outer")
adata.obs["batch"] = simulated.mdata.obs["prep_batch"]
sl.pp.assign_guides(adata)
sl.pp.screen_qc(adata)
pairs = sl.pp.screen_pairs(adata, simulated.genes)
table = sl.tl.screen(adata, pairs, formula="batch + guide_count + offset(log(nUMI))", n_controls=10)
int((table["status"] == "ok").sum())
"""


def test_notebook__from_one_anndata_of_a_screen_to_pictures(tmp_path):
    drawn = "sl.pl.qq(table)", "sl.pl.volcano(table)", "sl.pl.screen_power(table)"
    _, tested, *pictures = execute(PREPARE, SCREEN, *drawn, folder=tmp_path)
    assert int(tested[-1]["text/plain"]) > 10
    assert [sum("image/png" in data for data in output) for output in pictures] == [1, 1, 1]


def test_page__of_a_run_shows_no_picture_in_a_notebook(tmp_path):
    run = (
        "from scanlink.report.pictures import Picture, draw\nfrom functools import partial\nfrom pathlib import Path\n"
        "assert draw(Picture('v', '', '', '', partial(sl.pl.volcano, links)), Path('.')).data"
    )
    _, output = execute(PREPARE, run, folder=tmp_path)
    assert output == []


def test_pictures__give_back_axes_or_the_figure_and_show_nothing_in_a_script(capfd):
    table = links_table(40)
    ax = sl.pl.volcano(table)
    figure = sl.pl.volcano(table, return_fig=True)
    assert isinstance(ax, Axes)
    assert isinstance(figure, Figure)
    assert figure is not ax.figure
    assert capfd.readouterr() == ("", "")


def test_pictures__open_a_window_where_show_is_true_outside_of_a_notebook(monkeypatch):
    import matplotlib.pyplot as plt

    before, times = mpl.get_backend(), []
    plt.switch_backend("agg")
    try:
        monkeypatch.setattr(plt, "show", lambda: times.append(plt.get_fignums()))
        figure = sl.pl.volcano(links_table(40), show=True, return_fig=True)
        assert times == [[figure.number]]
        sl.pl.volcano(links_table(40))
        assert plt.get_fignums() == [figure.number]
    finally:
        plt.close("all")
        plt.switch_backend(before)


@pytest.mark.parametrize("name", sl.pl.__all__)
def test_pictures__say_how_they_are_shown(name):
    picture = getattr(sl.pl, name)
    parameters = inspect.signature(picture).parameters
    assert [parameters[word].default for word in ("show", "save", "return_fig")] == [None, None, False]
    text = inspect.getdoc(picture)
    assert text.index("\nshow\n") < text.index("\nReturns\n-------\n")


def test_save__writes_the_format_of_the_ending(tmp_path):
    table = links_table(40)
    sl.pl.volcano(table, save=tmp_path / "a.svg")
    assert b"<svg" in (tmp_path / "a.svg").read_bytes()
    sl.pl.recovery(
        table.assign(p_value=0.5, fdr=0.5), table[["group", "gene", "peak", "beta"]], save=str(tmp_path / "b.png")
    )
    assert (tmp_path / "b.png").read_bytes()[1:4] == b"PNG"
    with pytest.raises(OptionError, match=r"a\.txt cannot be written .*endings that are known: .*svg"):
        sl.pl.volcano(table, save=tmp_path / "a.txt")
    with pytest.raises(InputError, match="there is no folder"):
        sl.pl.volcano(table, save=tmp_path / "nowhere" / "a.svg")
    with pytest.raises(OptionError, match=r'such as save="picture\.pdf"; found True'):
        sl.pl.volcano(table, save=True)
    with pytest.raises(OptionError, match="expected True, False or None as show"):
        sl.pl.volcano(table, show="yes")
    assert "IPython" not in sys.modules or sys.modules["IPython"].get_ipython() is None
