"""Benchmarks do not rot: each runs at its smallest size, or starts where even that takes long or needs other data."""

from __future__ import annotations

import importlib
import runpy
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"
# Arguments that make a benchmark small, and words of what it then prints.
SMALL = {
    "calibration": ("--sets 5 --power-sets 2", "| setting | effect | separated |"),
    "calibration_bootstrap": ("--sets 2 --settings 1", "bootstrap, ladder scent"),
    "driver": ("--workers 1 --seconds 0.05 --rounds 1 --blocks 40 --encrypted-blocks 40", "| tls | 40 |"),
    "epistasis": ("--sets 2 --power-sets 0 --settings 1", "Rejected of 100 pairs"),
    "levels": ("--cells 300 --pairs 20 --levels 1 3", "| 3 | capstone |"),
    "many_points": ("--rows 300", "| volcano |"),
    "permutation": ("--only levels --sets 1", "|"),
    "planning": ("--cells 300 --genes 60 --peaks 400", "| celltype | donor |"),
    "scale_model": ("--pairs 1000", "The driver keeps up with"),
    "screen_power": ("--pairs 1 --without 1 --links 0", "tests of 50,000 cells"),
    "store": ("--cells 300 --genes 6000 --peaks 20000", "in pieces"),
    "tail": ("--plain 50", "|"),
}
SLOW = ("calibration", "planning", "screen_power", "store", "tail")
# Those that need the reference data, an hour, or R.
STARTED = ("accuracy", "datasets", "resampling", "scan", "screen")
# What the others share.
PARTS = (*("big_multiome", "epistasis_coding", "epistasis_sets", "genome", "pairs", "permutation_sets", "tail_pairs"),)


def test_benchmarks__are_all_here():
    assert sorted([*SMALL, *STARTED, *PARTS]) == sorted(path.stem for path in FOLDER.glob("*.py"))


def start(name: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module(name)
    assert Path(str(module.__file__)).parent == FOLDER
    monkeypatch.setattr(sys, "argv", [str(module.__file__), *words.split()])
    # Some start again to have one thread a library.
    for thread in getattr(module, "THREADS", ()):
        monkeypatch.setenv(thread, "1")
    module.main()


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in SMALL]
)
def test_benchmarks__run_at_their_smallest_size(name, monkeypatch, capfd, tmp_path):
    words, printed = SMALL[name]
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    start(name, words, monkeypatch)
    assert printed in capfd.readouterr().out


@pytest.mark.parametrize("name", STARTED)
def test_benchmarks__start(name, monkeypatch, capsys):
    with pytest.raises(SystemExit, match="0"):
        start(name, "--help", monkeypatch)
    assert f"python benchmarks/{name}.py" in capsys.readouterr().out


def test_pictures_of_the_docs__start(monkeypatch, capsys):
    script = FOLDER.parent / "docs" / "pictures.py"
    monkeypatch.setattr(sys, "argv", [str(script), "--help"])
    with pytest.raises(SystemExit, match="0"):
        runpy.run_path(str(script), run_name="__main__")
    assert "python docs/pictures.py" in capsys.readouterr().out


@pytest.mark.parametrize("name", PARTS)
def test_benchmarks__parts_can_be_imported(name):
    assert Path(str(importlib.import_module(name).__file__)).parent == FOLDER
