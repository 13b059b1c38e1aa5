"""Signals end a run cleanly, the exit code says how, and the same command goes on."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import scanlink as sl
from scanlink.run.blocks import Block, cut
from scanlink.run.driver import run_blocks
from scanlink.run.parts import Parts
from scanlink.run.stop import Stopped, raise_if_stopped, stop_on_signals

OPTIONS = """\
input: data/multiome.h5mu
genes: data/genes.gtf.gz
scan: {ladder: [[4000, null]], block_genes: 1}
report: false
"""
COMMAND = [sys.executable, "-c", "from scanlink.cli import main; main()", "run"]


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    sl.ds.simulate(n_cells=800, n_genes=60, n_peaks=180, n_links=30, n_interactions=3, seed=2).write(folder / "data")
    (folder / "run.yaml").write_text(OPTIONS)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("cluster", ["none", "local"])
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 75), (signal.SIGUSR1, 75)], ids=lambda n: str(n)
)
def test_run__stopped_by_a_signal(project, tmp_path, cluster, number, code):
    out = tmp_path / "out"
    words = [*COMMAND, str(project / "run.yaml"), "--out", str(out), "--cluster", cluster, "--workers", "1"]
    with open(tmp_path / "err", "w") as err:
        child = subprocess.Popen(words, stdout=err, stderr=err, start_new_session=True)
        try:
            while len(list(out.glob("parts/scan-*/block-*"))) < 3:
                assert child.poll() is None, (tmp_path / "err").read_text()
                time.sleep(0.02)
            child.send_signal(number)
            assert child.wait(timeout=300) == code
        finally:
            # Whatever a failed assertion leaves would be warned of in another test.
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
    errors = (tmp_path / "err").read_text()
    assert re.search(r"scanlink: stopped by SIG.*; the same command goes on", errors)
    assert "Traceback" not in errors
    assert not (out / ".lock").exists()
    assert not (out / "links.parquet").exists()
    left = len(list(out.glob("parts/scan-*/block-*")))
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    match = re.search(r"(\d+) blocks: (\d+) found finished, (\d+) computed", done.stdout)
    assert match is not None
    # A worker may have finished its block while the driver stopped.
    assert left <= int(match[2]) <= left + 1
    assert int(match[1]) == int(match[2]) + int(match[3])


@pytest.mark.parametrize("lost", ["dropped", "another error"])
def test_run_work__a_signal_that_a_block_made_something_else_of_still_stops(tmp_path, lost):
    """Compiled code that calls Python may do so, at a moment that no test can hit."""

    def task(context: None, block: Block) -> pa.Table:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(1)
        except SystemExit as stopped:
            if lost == "another error":
                raise SystemError("returned a result with an exception set") from stopped
        return pa.table({"row": [block.number]})

    blocks = cut(np.arange(4), [np.ones(4)], owners_per_block=1)
    with pytest.raises(Stopped) as stopped, stop_on_signals():
        run_blocks(task, None, blocks, Parts(tmp_path / "parts", "f"))
    assert stopped.value.code == 75
    assert len(list(tmp_path.glob("parts/block-*"))) == (lost == "dropped")
    raise_if_stopped()
