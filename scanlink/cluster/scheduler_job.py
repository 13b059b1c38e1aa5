"""The Dask scheduler of a job of its own: Dask's command, with private pages; its options are those of dask scheduler.

SCANLINK_PAGES=prefix python -m scanlink.cluster.scheduler_job --scheduler-file FILE ...
"""

from __future__ import annotations

import os
from typing import Any

from scanlink.cluster.pages import PREFIX, gated_scheduler
from scanlink.run.local import private_scratch

__all__ = ["main"]


def main() -> None:
    """Run the command."""
    from distributed.cli import dask_scheduler

    gated = gated_scheduler(os.environ.pop(PREFIX))

    def scheduler(*, host: str, interface: str | None, **options: Any) -> Any:
        # With TLS the command makes up a host, which would contradict the interface.
        return gated(host=None if interface else host, interface=interface, **options)

    dask_scheduler.Scheduler = scheduler  # type: ignore[assignment, misc]
    with private_scratch():
        dask_scheduler.main()


if __name__ == "__main__":
    main()
