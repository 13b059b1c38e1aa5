"""What a user gets for bad input: one message, an exit code, and nothing half-written.

``python tests/test_bad_input.py > docs/messages.md`` writes the table of all messages.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from bad_cases import CASES as SCANS
from bad_files import ERROR, RUN, Case, Seen, leftovers, observe, project, scratch
from bad_pairs import CASES as PAIRS

from scanlink.store.npy import save_array

CASES = (*SCANS, *PAIRS)
MESSAGES = Path(__file__).parents[1] / "docs" / "messages.md"
COMMAND = [sys.executable, "-c", "from scanlink.cli import main; main()"]

HEAD = """\
# What scanlink says about bad input

Every error is one message after `scanlink: error:`, and ends the command before anything is computed on the bad input;
what an earlier run left in the folder stays. A run with exit code 0 completes: what could not be tested has a status in
`links.parquet`, and what was left out is in the log. Paths are shortened to their names;
`N` stands for the size of a file, `ID` for the fingerprint of a scan.

Made by `python tests/test_bad_input.py > docs/messages.md`, from the cases that the tests run.

| what is wrong | exit code | message |
| --- | --- | --- |
"""


@cache
def seen(case: Case) -> Seen:
    """Each case is run once, for its own test and for the table."""
    with scratch() as folder:
        return observe(case, folder / "project")


def table() -> str:
    """All cases, as Markdown."""
    rows = []
    for case in CASES:
        found = seen(case)
        message = re.sub(r"\d[\d,]* (bytes found|expected\))", r"N \1", found.message)
        message = re.sub(r"scan-[0-9a-f]{12}", "scan-ID", message)
        shown = [f"`{line}`" for line in message.replace("|", "\\|").splitlines()]
        if case.status not in (None, "ok"):
            shown.append(f"status `{case.status}` in links.parquet")
        rows.append(f"| {case.name} | {found.code} | {'<br>'.join(shown)} |\n")
    return HEAD + "".join(rows)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_bad_input__is_answered_with_one_message(case):
    found = seen(case)
    assert found.code == case.code, found.stderr
    assert "Traceback" not in found.stderr
    assert found.faults == []
    assert bool(found.message) == bool(case.message), found.stderr
    assert re.search(case.message, found.message, re.DOTALL), found.message
    assert found.stderr.count(ERROR) == (case.code != 0)
    if case.code:
        # The last thing on the screen, and of one line: there are no lists of complaints in these cases.
        assert found.stderr.rstrip().splitlines()[-1] == ERROR + found.message
    if case.status is not None:
        assert found.statuses.get(case.status, 0) > 0, found.statuses


def test_messages__are_in_the_docs_as_they_are_given():
    assert MESSAGES.read_text() == table(), "python tests/test_bad_input.py > docs/messages.md writes it anew"


def test_cases__have_names_of_their_own():
    assert len({case.name for case in CASES}) == len(CASES) >= 30


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["a truncated .h5mu", "an unknown key", "a cell type that does not exist", "merge with missing slices"]
)
def test_bad_input__is_answered_alike_by_the_installed_command(name, tmp_path):
    case = next(case for case in CASES if case.name == name)
    made = project(tmp_path)
    case.spoil(made)
    done = subprocess.run([*COMMAND, *case.words], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == case.code
    assert re.search(case.message, done.stderr, re.DOTALL)
    assert done.stderr.rstrip().splitlines()[-1].startswith(ERROR)
    assert "Traceback" not in done.stderr
    assert leftovers(tmp_path) == []


def test_wrong_keys__are_all_named_at_once(tmp_path):
    made = project(tmp_path)
    made.options["scan"] |= {"sead": 1, "robust": "HC9"}
    made.write_options()
    code, stderr = made.run(*RUN)
    assert code == 1
    assert re.search(r"scan\.sead: unknown key; did you mean 'seed'\?", stderr)
    assert re.search(r"scan\.robust: .*found 'HC9'", stderr)


def test_open_peak__is_the_one_that_is_collinear(tmp_path):
    case = next(case for case in CASES if case.name == "a peak that is open in every cell")
    made = project(tmp_path)
    case.spoil(made)
    assert made.run(*RUN)[0] == 0
    links = pd.read_parquet(tmp_path / "out" / "links.parquet")
    tested = links[links["n_cells"] >= 10]
    assert set(tested.loc[tested["status"] == "collinear", "peak"]) == {made.mdata["atac"].var_names[0]}
    assert (tested.loc[tested["peak"] == made.mdata["atac"].var_names[0], "status"] == "collinear").all()
    assert links.loc[links["status"] == "collinear", "p_value"].isna().all()


@pytest.fixture
def disk(tmp_path) -> Iterator[Path]:
    """A disk of its own that may be small; mounting needs root."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
    except OSError as error:
        pytest.skip(f"no small disk can be mounted: {error}")
    if done.returncode:
        pytest.skip(f"no small disk can be mounted: {done.stderr.strip()}")
    yield folder
    # Lazily: stores stay mapped in memory as long as this process remembers them.
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def remount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)


@pytest.mark.parametrize("share", [0.02, 0.2, 0.5, 0.8, 0.97])
def test_full_disk__is_said_and_the_run_goes_on_when_there_is_space(tmp_path, disk, share):
    """The disk is full while the store, the plan, the parts or the table is written, according to the share."""
    made = project(tmp_path)
    made.options["scan"]["block_genes"] = 1
    made.write_options()
    assert made.run("run", "run.yaml", "--out", "normal")[0] == 0
    needed = sum(-(-path.stat().st_size // 4096) * 4096 for path in (tmp_path / "normal").rglob("*") if path.is_file())
    remount(disk, f"size={max(4096, int(needed * share))}")
    code, stderr = made.run("run", "run.yaml", "--out", str(disk / "out"))
    assert code == 1, stderr
    last = stderr.rstrip().splitlines()[-1]
    assert last.startswith(ERROR)
    assert "No space left on device" in last
    assert "ree some space" in last
    assert "Traceback" not in stderr
    assert not (disk / "out" / "links.parquet").exists()
    assert leftovers(disk) == []
    kept = {path: path.stat().st_mtime_ns for path in disk.glob("out/parts/*/block-*.parquet")}
    remount(disk, "size=200m")
    code, stderr = made.run("run", "run.yaml", "--out", str(disk / "out"))
    assert code == 0, stderr
    assert (disk / "out" / "links.parquet").read_bytes() == (tmp_path / "normal" / "links.parquet").read_bytes()
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert share < 0.8 or kept


def test_save_array__says_that_the_disk_is_full(disk):
    remount(disk, "size=64k")
    with pytest.raises(OSError, match="No space left on device"):
        save_array(disk / "counts.npy", np.zeros(10**6, dtype=np.int32))


def test_read_only_disk__is_said_at_once(tmp_path, disk):
    made = project(tmp_path)
    remount(disk, "ro")
    code, stderr = made.run("run", "run.yaml", "--out", str(disk / "out"))
    assert code == 1
    assert stderr.startswith(f"{ERROR}the run folder {disk / 'out'} cannot be written: Read-only file system. Name")
    assert stderr.count("\n") == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_read_only_folder__is_said_at_once(tmp_path):
    made = project(tmp_path / "project")
    (tmp_path / "closed").mkdir(mode=0o555)
    code, stderr = made.run("run", "run.yaml", "--out", str(tmp_path / "closed" / "out"))
    assert code == 1
    assert re.match(rf"{ERROR}the run folder .* cannot be written: Permission denied. Name another", stderr)


def children(pid: int) -> list[int]:
    """Processes below ``pid``, whatever their depth, that Dask's nannies started as workers."""
    found = []
    # A thread of the driver starts them, so that its main thread has no children.
    lists = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    for child in " ".join(lists).split():
        if "spawn_main" in Path(f"/proc/{child}/cmdline").read_text():
            found.append(int(child))
        found += children(int(child))
    return found


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="workers are found in /proc")
def test_killed_worker__is_replaced_and_changes_nothing(tmp_path):
    made = project(tmp_path)
    made.options["scan"] |= {"block_genes": 1, "ladder": [[800, None]]}
    made.write_options()
    assert made.run("run", "run.yaml", "--out", "normal")[0] == 0
    words = ["run", "run.yaml", "--out", "out", "--cluster", "local", "--workers", "2"]
    with open(tmp_path / "log", "w") as log:
        driver = subprocess.Popen([*COMMAND, *words], cwd=tmp_path, stdout=log, stderr=log)
        deadline = time.monotonic() + 120
        while len(list(tmp_path.glob("out/parts/*/block-*.parquet"))) < 6:
            assert driver.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        workers = children(driver.pid)
        assert len(workers) == 2
        os.kill(workers[0], signal.SIGKILL)
        assert driver.poll() is None, "the run ended before a worker could be killed"
        assert driver.wait(timeout=120) == 0, (tmp_path / "log").read_text()
    assert "Traceback" not in (tmp_path / "log").read_text()
    assert (tmp_path / "out" / "links.parquet").read_bytes() == (tmp_path / "normal" / "links.parquet").read_bytes()
    assert leftovers(tmp_path / "out") == []


if __name__ == "__main__":
    import warnings

    warnings.simplefilter("ignore")
    sys.stdout.write(table())
