"""Blocks of work on a Dask client, and the parts that they leave: knows Dask, and no statistics."""

from scanlink.run.blocks import Block, cut
from scanlink.run.compute import peak_mib
from scanlink.run.driver import run_blocks, run_work
from scanlink.run.local import SMALL_SECONDS, check_client, client_for
from scanlink.run.lock import FolderLock, held_by
from scanlink.run.parts import PartError, Parts
from scanlink.run.plan import Arrays, Plan, write_plan
from scanlink.run.work import RunStats, Work

__all__ = [
    "SMALL_SECONDS",
    "Arrays",
    "Block",
    "FolderLock",
    "PartError",
    "Parts",
    "Plan",
    "RunStats",
    "Work",
    "check_client",
    "client_for",
    "cut",
    "held_by",
    "peak_mib",
    "run_blocks",
    "run_work",
    "write_plan",
]
