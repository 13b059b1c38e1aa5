"""Workers on this machine for calls that bring no client of their own."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scanlink.errors import InputError
from scanlink.files import private_folder

if TYPE_CHECKING:
    from distributed import Client

__all__ = [
    "SMALL_SECONDS",
    "available_cores",
    "check_client",
    "client_for",
    "private_scratch",
    "unpaged",
    "warn_of_plain_text",
]

log = logging.getLogger("scanlink")

# Starting workers and compiling the kernels in them is not worth less work than this.
SMALL_SECONDS = 10.0


def available_cores() -> int:
    """Count the cores that this process may use, which under a scheduler are fewer than the machine has."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


# Addresses of schedulers that were warned of.
_warned: set[str] = set()


def warn_of_plain_text(client: object) -> None:
    """Warn, once, of a client whose cluster obeys everyone who reaches it."""
    address = str(getattr(getattr(client, "scheduler", None), "address", ""))
    if address.startswith(("tcp://", "ws://", "ucx://")) and address not in _warned:
        _warned.add(address)
        log.warning(
            "the Dask cluster at %s talks plain text: every user of every host that reaches its ports can run code in "
            "your name. scanlink.cluster.client opens one that only you can use (docs/cluster.md)",
            address,
        )


def check_client(client: object) -> None:
    """Refuse what is no Dask client with an InputError, and warn of one on plain text, before anything is computed."""
    if client is not None and not hasattr(client, "submit"):
        raise InputError(
            f"client is {client!r}, expected a Dask client: open one with scanlink.cluster.client or distributed.Client"
        )
    warn_of_plain_text(client)


@cache
def unpaged(kind: type[Any]) -> type[Any]:
    """Make a class of Dask's scheduler or worker that opens no port for pages; with ``inproc`` nothing listens."""
    return type(kind.__name__, (kind,), {"start_http_server": lambda *_, **__: None})


@contextmanager
def private_scratch() -> Iterator[None]:
    """Have Dask keep its files where nobody else writes: its processes take modules and pickles from there.

    Its own folder, ``/tmp/dask-scratch-space``, is that of whoever made it first.
    """
    import dask

    parent = Path(dask.config.get("temporary-directory", None) or tempfile.gettempdir())
    with dask.config.set({"temporary-directory": str(private_folder(parent))}):
        yield


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
    from distributed import Client, Scheduler, SpecCluster, Worker

    scheduler = {"cls": unpaged(Scheduler), "options": {"protocol": "inproc://", "dashboard": False}}
    worker = {"cls": unpaged(Worker), "options": {"protocol": "inproc://", "nthreads": cores, "memory_limit": 0}}
    with (
        private_scratch(),
        SpecCluster(workers={0: worker}, scheduler=scheduler, silence_logs=logging.CRITICAL) as cluster,
        Client(cluster) as local_client,
    ):
        yield local_client
