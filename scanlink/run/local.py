"""Workers on this machine for calls that bring no client of their own."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from scanlink.errors import InputError

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["SMALL_SECONDS", "available_cores", "check_client", "client_for"]

# Starting workers and compiling the kernels in them is not worth less work than this.
SMALL_SECONDS = 10.0


def available_cores() -> int:
    """Count the cores that this process may use, which under a scheduler are fewer than the machine has."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


def check_client(client: object) -> None:
    """Refuse what is no Dask client with an InputError, before anything is computed."""
    if client is not None and not hasattr(client, "submit"):
        raise InputError(
            f"client is {client!r}, expected a Dask client: open one with scanlink.cluster.client or distributed.Client"
        )


@contextmanager
def client_for(client: Client | None, *, cost: float) -> Iterator[Client | None]:
    """Yield the caller's client, or a local cluster's that is closed again, or None for small work.

    ``cost`` is the estimated seconds of all the work on one core. The workers are threads of this process, because
    worker processes would import the caller's script once more, which fails where that has no ``if __name__ ==
    "__main__"``. The kernels run without the interpreter lock.
    """
    cores = available_cores()
    if client is not None or cost < SMALL_SECONDS or cores == 1:
        yield client
        return
    from distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=1,
            threads_per_worker=cores,
            processes=False,
            dashboard_address="127.0.0.1:0",
            memory_limit=0,
            silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster) as local_client,
    ):
        yield local_client
