"""Which enhancers drive which genes, and which act together, from single-cell multiome data.

The parts, each imported when it is first used, so that ``import scanlink`` stays fast:

- ``io``: files in and out; everything becomes one MuData with ``rna`` and ``atac``
- ``ds``: simulated multiome data with known links
- ``pp``: covariates, feature filters, gene-peak pairs
- ``tl``: the analyses, on MuData
- ``options``: every option, as Python calls, run.yaml and the command line share them
- ``pl``: pictures
- ``report``: one page about a run
- ``stats``: the same statistics on plain arrays
- ``cluster``: a Dask client
- ``settings``: how much is said

and :func:`follow`, which gives the tables of a run as they come.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:  # As type checkers know it, without the import.
    from typing import Any

__version__ = "0.1.0"
__all__ = ["cluster", "ds", "errors", "io", "options", "pl", "pp", "report", "settings", "stats", "tl"]
# Calls that belong to no room, and where they stand.
_CALLS = {"follow": "pipeline.arrivals"}


def __getattr__(name: str) -> Any:
    if name in __all__:
        return import_module(f"{__name__}.{name}")
    if name in _CALLS:
        return getattr(import_module(f"{__name__}.{_CALLS[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, *_CALLS, "__version__"])
