"""Where the processes of a cluster listen: on one network of their host, and never on all of them."""

from __future__ import annotations

import shlex
from typing import Any

from scanlink.errors import OptionError

__all__ = ["has_address", "own_address", "refuse_arguments", "refuse_everywhere", "with_own_address"]

_EVERYWHERE = ("", "*", "0.0.0.0", "::", "[::]")
_PAGES = ("--dashboard-address", "dashboard_address")
# By these a worker is told where to listen.
_HOST_OPTIONS = ("--host", "--interface", "--listen-address")
# In a job: the address that this host has on its way to another. Nothing is sent.
_FIND = (
    "import socket as s, sys; from urllib.parse import urlsplit; a = urlsplit(sys.argv[1]); "
    "f, t, _, _, b = s.getaddrinfo(a.hostname, a.port, type=s.SOCK_DGRAM)[0]; c = s.socket(f, t); c.connect(b); "
    "print(c.getsockname()[0])"
)


def refuse_everywhere(options: dict[str, Any], *, where: str) -> None:
    """Refuse options by which a scheduler or worker would listen on all networks of its host; raises OptionError."""
    for key in ("host", "dashboard_address", "worker_dashboard_address"):
        value = options.get(key)
        if value is None:
            continue
        host = str(value).rpartition("://")[2]
        if key != "host":
            host = host.rpartition(":")[0]
        if host in _EVERYWHERE:
            raise OptionError(
                f"{where}.{key}: {value!r} is on every network of the host: name one address, such as "
                + ("127.0.0.1, or leave it out" if key == "host" else f"127.0.0.1:{str(value).rpartition(':')[2]}")
            )


def refuse_arguments(arguments: list[Any], *, where: str) -> None:
    """Refuse options of a worker by which it would listen on all networks of its host; raises OptionError."""
    words = " ".join(map(str, arguments)).replace("=", " ").split()
    for option, key in (("--host", "host"), ("--listen-address", "dashboard_address"), _PAGES):
        if option in words[:-1]:
            refuse_everywhere({key: words[words.index(option) + 1]}, where=f"{where}: {option}")


def own_address() -> str:
    """Find the address by which other hosts reach this one."""
    from distributed.utils import get_ip

    return str(get_ip())


def has_address(arguments: list[Any]) -> bool:
    """Look whether the options of a worker say where it listens."""
    return any(str(word).partition("=")[0] in _HOST_OPTIONS for word in arguments)


def with_own_address(python: str, near: str) -> tuple[str, list[str]]:
    """Have a process of a job listen on the network by which its host reaches the address ``near``.

    Returns a line for the job's script, and words of the process's command.
    """
    line = f"SCANLINK_HOST=$({python} -IS -c {shlex.quote(_FIND)} {shlex.quote(near)}) || exit"
    return line, ["--host", '"$SCANLINK_HOST"']
