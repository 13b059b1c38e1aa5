"""Where the processes of a cluster listen: on one network of their host, and never on all of them."""

from __future__ import annotations

import ipaddress
import shlex
import socket
from contextlib import suppress
from itertools import pairwise
from typing import Any

from scanlink.errors import OptionError

__all__ = [
    "has_address",
    "own_address",
    "refuse_arguments",
    "refuse_everywhere",
    "refuse_for_scheduler",
    "with_own_address",
]

# Options by which a scheduler or worker is told where to listen, and where to have its pages.
_HOSTS = ("host", "ip", "listen_address")
_PAGES = ("dashboard_address", "worker_dashboard_address")
# By these a worker is told where to listen.
_HOST_OPTIONS = ("--host", "--interface", "--listen-address")
# In a job: the address that this host has on its way to another. Nothing is sent.
_FIND = (
    "import socket as s, sys; from urllib.parse import urlsplit; a = urlsplit(sys.argv[1]); "
    "f, t, _, _, b = s.getaddrinfo(a.hostname, a.port, type=s.SOCK_DGRAM)[0]; c = s.socket(f, t); c.connect(b); "
    "n = c.getsockname()[0]; print(f'[{n}]' if ':' in n else n)"
)


def refuse_everywhere(options: dict[str, Any], *, where: str) -> None:
    """Refuse options by which a scheduler or worker would listen on all networks of its host; raises OptionError."""
    for key in (*_HOSTS, *_PAGES):
        value = options.get(key)
        if value is None or not _is_everywhere(_host_of(value, pages=key in _PAGES)):
            continue
        port = str(value).rpartition(":")[2]
        example = f"127.0.0.1:{port if port.isdigit() else 0}" if key in _PAGES else "127.0.0.1, or leave it out"
        raise OptionError(
            f"{where}.{key}: {value!r} is on every network of the host: name one address, such as {example}"
        )


def refuse_for_scheduler(options: dict[str, Any], *, where: str) -> None:
    """Refuse options of a scheduler alone that would open it, or part it from its workers; raises OptionError."""
    for key in ("protocol", "security"):
        if key in options:
            raise OptionError(f"{where}.{key}: scheduler and workers talk one protocol: say protocol one level above")
    refuse_everywhere(options, where=where)


def _host_of(value: object, *, pages: bool) -> str:
    """Take the host of an address; of pages a lone number is a port."""
    text = str(value).rpartition("://")[2]
    if text.startswith("["):
        return text[1:].partition("]")[0]
    if text.count(":") == 1:
        return text.partition(":")[0]
    return "" if pages and text.isdigit() else text


def _is_everywhere(host: str) -> bool:
    """Tell whether a host is all networks, however that is written."""
    if host in ("", "*"):
        return True
    with suppress(OSError):
        # As short as 0.
        return socket.inet_aton(host) == bytes(4)
    with suppress(ValueError):
        address = ipaddress.IPv6Address(host)
        return not int(address) or address.ipv4_mapped == ipaddress.IPv4Address(0)
    return False


def refuse_arguments(arguments: list[Any], *, where: str) -> None:
    """Refuse options of a worker by which it would listen on all networks of its host; raises OptionError."""
    for option, value in pairwise(_words(arguments)):
        key = option.removeprefix("--").replace("-", "_")
        if option.startswith("--") and key in (*_HOSTS, *_PAGES):
            refuse_everywhere({key: value}, where=where)


def _words(arguments: list[Any]) -> list[str]:
    """Take the words of a command apart, and options from their values."""
    words = [word for argument in arguments for word in str(argument).split() or [""]]
    return [part for word in words for part in (word.split("=", 1) if word.startswith("--") else [word])]


def own_address() -> str:
    """Find the address by which other hosts reach this one."""
    from distributed.utils import get_ip

    return str(get_ip())


def has_address(arguments: list[Any]) -> bool:
    """Look whether the options of a worker say where it listens."""
    return any(word in _HOST_OPTIONS for word in _words(arguments))


def with_own_address(python: str, near: str) -> tuple[str, list[str]]:
    """Have a process of a job listen on the network by which its host reaches the address ``near``.

    Returns a line for the job's script, and words of the process's command.
    """
    line = f"SCANLINK_HOST=$({python} -IS -c {shlex.quote(_FIND)} {shlex.quote(near)}) || exit"
    return line, ["--host", '"$SCANLINK_HOST"']
