"""A real CRISPR screen on a real Slurm; its driver is killed and started again: the same bytes as without Slurm."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from scans import Scan, command, digest, worker_processes, write_profile

pytestmark = [pytest.mark.slow, pytest.mark.shared]

OPTIONS = """\
input: {data}/sceptreIGVF_gasperini_9704cells_counts.h5mu
pairs: {{path: {data}/sceptreIGVF_pairs_to_test.csv}}
screen:
  formula: "prep_batch + guide_count + offset(log(nUMI))"
  p_value: permutation
  controls: [shuffled]
  n_controls: 60
  block_genes: 3
interactions:
  formula: "prep_batch + guide_count + offset(log(nUMI))"
  min_both: 1
  controls: []
  block_genes: 3
"""


class ScreenScan(Scan):
    """A scan whose parts are those of a screen and of its interactions."""

    def parts(self) -> dict[str, tuple[int, int]]:
        found = {}
        for path in self.out.glob("parts/*/block-*.parquet"):
            about = path.stat()
            found[f"{path.parent.name}/{path.name}"] = (about.st_ino, about.st_mtime_ns)
        return found


def test_run__screen_whose_driver_is_killed(quiet_slurm, shared: Path, tmp_path):
    (tmp_path / "run.yaml").write_text(OPTIONS.format(data=shared / "crispri"))
    here = subprocess.run(command(tmp_path, tmp_path / "here", "none"), capture_output=True, text=True, check=False)
    assert here.returncode == 0, here.stderr
    profile = write_profile(tmp_path / "profile", jobs=3, pause=0.2, memory="1GiB")
    with ScreenScan(tmp_path, tmp_path / "out", profile) as run:
        run.start()
        run.wait_for_parts(6)
        assert run.process is not None
        os.killpg(run.process.pid, signal.SIGKILL)
        run.process.wait()
        # Its jobs find no scheduler any more and end by themselves, or are ended.
        quiet_slurm.cancel_all()
        quiet_slurm.wait_until(lambda: not worker_processes(), "its workers are gone")
        run.start()
        said = run.end()
    counts = re.search(r"(\d+) blocks: (\d+) found finished, (\d+) computed", said)
    assert counts is not None
    assert int(counts[2]) >= 6
    assert int(counts[1]) == int(counts[2]) + int(counts[3])
    for table in ("screen", "interactions", "target_pairs"):
        assert digest(run.out, table) == digest(tmp_path / "here", table)
    now = run.parts()
    assert {name for name, about in run.seen.items() if now.get(name) != about} == set()
    screen = pd.read_parquet(run.out / "screen.parquet")
    positive = screen[screen["kind"] == "positive_control"]
    assert (positive["fdr"] < 0.01).sum() == 10
    assert len(pd.read_parquet(run.out / "interactions.parquet")) == 17
    print(f"{counts[1]} blocks, {counts[2]} found finished after the kill, {counts[3]} computed: the same bytes")
