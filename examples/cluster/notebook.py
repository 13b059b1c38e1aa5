# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # A scan on a cluster, from a notebook
#
# The notebook is the driver: it runs on a login node, or in a job with Jupyter in it, and the workers are jobs.
# As a notebook: `jupytext --to ipynb notebook.py`, or open this file in JupyterLab or VS Code as it is.

# %%
import logging
from pathlib import Path

import scanlink as sl

# Progress goes to the log: a line every few per cent.
log = logging.getLogger("scanlink")
log.setLevel(logging.INFO)
log.handlers = [logging.StreamHandler()]

# %%
# On a cluster "slurm", or the path of your own profile: copy one of cluster_configs/.
profile = "local"
# A folder that the nodes see too.
folder = Path("notebook_run")

# %% [markdown]
# ## Does the profile work?
#
# This takes a minute, and says what to change if it does not.

# %%
report = sl.cluster.doctor(profile, folder)
print(report)
if not report.ok:
    raise SystemExit("mend the profile first")

# %% [markdown]
# ## The data
#
# Simulated here; yours come with `sl.io.read("filtered_feature_bc_matrix.h5")` and `sl.io.read_genes("genes.gtf.gz")`.

# %%
sl.ds.simulate(n_cells=600, n_genes=30, n_peaks=100, n_links=20, n_interactions=0, seed=1).write(folder / "data")
mdata = sl.io.read(folder / "data" / "multiome.h5mu")
genes = sl.io.read_genes(folder / "data" / "genes.gtf.gz")
sl.pp.qc(mdata)
sl.pp.filter_features(mdata, min_fraction=0.05)
pairs = sl.pp.cis_pairs(mdata, genes, window=500_000)
len(pairs)

# %% [markdown]
# ## The scan
#
# Workers join as their jobs start, and leave when the block ends. The stop button interrupts it: the jobs are
# cancelled, and what is finished stays in `folder`. The same cell, run again, goes on from there.


# %%
def scan():
    with sl.cluster.client(profile, n_workers=2) as client:
        return sl.tl.scan(mdata, pairs, groupby="celltype", seed=0, block_genes=2, client=client, out=folder / "scan")


links = scan()
links["status"].value_counts()

# %% [markdown]
# How many blocks are finished can be seen from any shell as well, with `scanlink status notebook_run/scan`.

# %%
columns = ["group", "gene", "peak", "distance", "beta", "p_robust", "p_boot", "fdr"]
links[links["fdr"] < 0.1].sort_values("fdr")[columns].head(10)

# %% [markdown]
# A second time nothing is computed: all blocks are found finished, and the table is the same.

# %%
again = scan()
assert again.equals(links)
