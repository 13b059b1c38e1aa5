"""A scan started from a notebook kernel on Slurm, stopped with the stop button, and gone on with in another kernel."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from scans import make_project, write_profile

pytestmark = pytest.mark.slow

PREPARE = """
import scanlink as sl
mdata = sl.io.read({data!r})
genes = sl.io.read_genes({genes!r})
sl.pp.qc(mdata)
sl.pp.filter_features(mdata, min_fraction=0.05)
pairs = sl.pp.cis_pairs(mdata, genes, window=500_000)
"""
SCAN = """
with sl.cluster.client({profile!r}) as client:
    links = sl.tl.scan(mdata, pairs, groupby="celltype", ladder=[(6000, None)], seed=1, block_genes=1,
                       client=client, out={out!r})
links.to_parquet({table!r})
"""


class Notebook:
    """What a notebook's page does: sends cells to a kernel, and shows what comes back."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.shown: list[str] = []

    def send(self, code: str) -> str:
        return str(self.client.execute(code))

    def wait(self, cell: str, *, seconds: float = 600) -> dict[str, Any]:
        """The reply to a cell; what it displays meanwhile is kept."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                message = self.client.get_shell_msg(timeout=0.2)
            except Exception as error:
                if type(error).__name__ != "Empty":
                    raise
            else:
                if message["parent_header"].get("msg_id") == cell:
                    self.read()
                    return dict(message["content"])
            self.read()
        pytest.fail(f"the cell has not ended after {seconds:g} s")

    def read(self) -> None:
        from queue import Empty

        while True:
            try:
                message = self.client.get_iopub_msg(timeout=0)
            except Empty:
                return
            data = message["content"].get("data", {})
            self.shown.append(str(data.get("text/html", message["content"].get("text", ""))))


@contextmanager
def kernel(folder: Path) -> Iterator[tuple[Any, Notebook]]:
    manager = pytest.importorskip("jupyter_client").manager.KernelManager(kernel_name="python3")
    manager.start_kernel(cwd=str(folder))
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=300)
        yield manager, Notebook(client)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        manager.cleanup_resources()


def test_notebook__interrupted_and_resumed_in_a_new_kernel(quiet_slurm, tmp_path):
    project = make_project(tmp_path / "project")
    out, table = tmp_path / "scan", tmp_path / "links.parquet"
    prepare = PREPARE.format(data=str(project / "data" / "multiome.h5mu"), genes=str(project / "data" / "genes.gtf.gz"))
    scan = SCAN.format(profile=str(write_profile(tmp_path / "profile")), out=str(out), table=str(table))
    with kernel(tmp_path) as (manager, notebook):
        assert notebook.wait(notebook.send(prepare))["status"] == "ok"
        cell = notebook.send(scan)
        quiet_slurm.wait_until(lambda: len(list(out.glob("parts/*/block-*.parquet"))) >= 10, "ten blocks")
        # So that it does not end before it is interrupted.
        (tmp_path / "profile" / "hold").touch()
        manager.interrupt_kernel()
        reply = notebook.wait(cell)
        (tmp_path / "profile" / "hold").unlink()
        assert (reply["status"], reply["ename"]) == ("error", "KeyboardInterrupt")
        assert any("<progress" in text for text in notebook.shown), "no bar was shown"
        quiet_slurm.wait_until(lambda: not quiet_slurm.jobs(), "the jobs are cancelled")
        # The kernel is still of use.
        assert notebook.wait(notebook.send("assert len(pairs) > 100"))["status"] == "ok"
    before = {path.name: path.stat().st_mtime_ns for path in out.glob("parts/*/block-*.parquet")}
    assert not (out / ".lock").exists()
    assert not table.exists()
    with kernel(tmp_path) as (_, notebook):
        reply = notebook.wait(notebook.send(prepare + scan))
        assert reply["status"] == "ok", reply
    after = {path.name: path.stat().st_mtime_ns for path in out.glob("parts/*/block-*.parquet")}
    assert 10 <= len(before) < len(after)
    assert {name: after[name] for name in before} == before
    print(f"stopped after {len(before)} of {len(after)} blocks; none of them was computed again")
    pd.testing.assert_frame_equal(
        pd.read_parquet(table), pd.read_parquet(project / "reference" / "links.parquet"), check_exact=True
    )
