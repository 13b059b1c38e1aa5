"""Dask's own pages about a cluster: on loopback, below an address that only the log of the driver has."""

from __future__ import annotations

import logging
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from typing import Any

__all__ = ["LOOPBACK", "NO_PAGES", "PREFIX", "announce", "gated_scheduler", "private_pages"]

log = logging.getLogger("scanlink")

# Nobody on another host reaches it, and the port is one that is free.
LOOPBACK = "127.0.0.1:0"
# Variable that has the prefix, in the job of a scheduler: what stands in a command is seen by everybody.
PREFIX = "SCANLINK_PAGES"
# Workers have no pages.
NO_PAGES: dict[str, Any] = {"distributed.worker.http.routes": []}


@contextmanager
def private_pages() -> Iterator[str]:
    """Choose where the pages are: a prefix that nobody guesses, by which Dask's links are right while this lasts."""
    import dask

    prefix = secrets.token_hex(16)
    template = str(dask.config.get("distributed.dashboard.link")).replace("{host}", "127.0.0.1")
    link = f"{template.removesuffix('status').rstrip('/')}/{prefix}/status"
    with dask.config.set({"distributed.dashboard.link": link}):
        yield prefix


@cache
def gated_scheduler(prefix: str) -> type[Any]:
    """Make a class of Dask's scheduler that has its pages below a prefix, and answers to nothing else.

    Dask's own prefix is told to everyone who asks for ``/sitemap.json``.
    """
    import distributed
    from tornado.routing import PathMatches, Rule, RuleRouter

    class Scheduler(distributed.Scheduler):
        def __init__(self, *words: Any, **options: Any) -> None:
            super().__init__(*words, **{**options, "http_prefix": prefix})

        def start_http_server(self, *words: Any, **options: Any) -> None:
            super().start_http_server(*words, **options)
            gate = Rule(PathMatches(f"/{prefix}/.*"), self.http_application)
            self.http_server.request_callback = RuleRouter([gate])

    return Scheduler


def announce(client: Any) -> None:
    """Log where the dashboard is, and how it is reached from another host; nothing where there is none."""
    # Without bokeh its page would say no more than that.
    is_there = find_spec("bokeh") is not None and bool(client.dashboard_link)
    client.scanlink_dashboard = _way_to(client) if is_there else None
    if is_there:
        log.info("dashboard: %s", client.scanlink_dashboard)


def _way_to(client: Any) -> str:
    link = str(client.dashboard_link)
    if "://127.0.0.1" not in link:
        # A proxy, such as that of a JupyterHub.
        return link
    port = link.split(":")[2].split("/")[0]
    host = client.run_on_scheduler(socket.gethostname)
    tunnel = f"ssh -L {port}:127.0.0.1:{port} {host}"
    if host == socket.gethostname():
        return f"{link} on this host (from another: {tunnel})"
    return f"{link} after {tunnel}"
