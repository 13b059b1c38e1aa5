"""Blocks of work on a Dask client, and the parts that they leave: knows Dask, and no statistics."""

from scanlink.run.blocks import Block, cut
from scanlink.run.driver import RunStats, peak_mib, run_blocks
from scanlink.run.local import SMALL_SECONDS, client_for
from scanlink.run.parts import Parts, replace_file

__all__ = ["SMALL_SECONDS", "Block", "Parts", "RunStats", "client_for", "cut", "peak_mib", "replace_file", "run_blocks"]
