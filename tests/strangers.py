"""What another user of this machine gets from a cluster: started by root, it becomes one, and tries.

python strangers.py HOST:PORT...      prints a line for each try: where, what, what came of it
"""

from __future__ import annotations

import asyncio
import http.client
import os
import pickle
import socket
import ssl
import subprocess
import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil

__all__ = ["listening", "what_strangers_get"]

# What Dask has for everyone who asks for a page, and the one word that those of workers have left.
PAGES = ("/", "/status", "/sitemap.json", "/health", "/metrics", "/info/main/workers.html", "/json/identity.json")
EMPTY = '{"paths": ["/sitemap.json"]}'
NOBODY = 65534


def listening(*processes: psutil.Process) -> set[str]:
    """``host:port`` of every socket on which processes, and those that they started, listen; from /proc."""
    inodes = {}
    for table in ("tcp", "tcp6"):
        for line in Path("/proc/net", table).read_text().splitlines()[1:]:
            words = line.split()
            if words[3] == "0A":
                inodes[f"socket:[{words[9]}]"] = words[1]
    links = set()
    for process in processes:
        for one in [process, *process.children(recursive=True)]:
            for link in Path(f"/proc/{one.pid}/fd").glob("*"):
                try:
                    links.add(os.readlink(link))
                except OSError:
                    continue
    return {_place(inodes[link]) for link in links & set(inodes)}


def _place(text: str) -> str:
    """Read ``0100007F:1F90``: words of an address, each in the order of this machine's bytes, and the port."""
    address, port = text.split(":")
    raw = b"".join(bytes.fromhex(address[i : i + 8])[::-1] for i in range(0, len(address), 8))
    host = socket.inet_ntop(socket.AF_INET if len(raw) == 4 else socket.AF_INET6, raw)
    return f"{host}:{int(port, 16)}"


def what_strangers_get(places: set[str]) -> dict[str, str]:
    """Have another user try everything at some places; gives what was answered, by place and try: empty if refused."""
    command = [sys.executable, __file__, *sorted(places)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    lines = [line.split("|") for line in done.stdout.splitlines()]
    assert len(lines) == len(places) * (len(PAGES) + 3), done.stdout
    return {f"{place} {what}": "" if said.startswith("refused") else said for place, what, said in lines}


async def _run_code(address: str, arguments: dict[str, Any]) -> str:
    """Have a process of a cluster run code, by Dask's own messages."""
    from distributed.comm import connect

    # A web server would let it wait for ever.
    comm = await asyncio.wait_for(connect(address, timeout=4, **arguments), 5)
    try:
        await comm.write({"op": "identity", "reply": True})
        operation = "run_function" if "Scheduler" in str(await asyncio.wait_for(comm.read(), 10)) else "run"
        await comm.write({"op": operation, "reply": True, "function": pickle.dumps(os.getuid), "wait": True})
        answer = await asyncio.wait_for(comm.read(), 10)
        return "ran code" if answer["status"] == "OK" else str(answer)
    finally:
        comm.abort()


async def _attempts(places: list[str], attempts: dict[str, dict[str, Any]]) -> None:
    tries = [(place, what) for place in places for what in attempts]
    answers = await asyncio.gather(
        *(_run_code(f"{what[:3]}://{place}", attempts[what]) for place, what in tries), return_exceptions=True
    )
    for (place, what), answer in zip(tries, answers, strict=True):
        print(f"{place}|{what}|{answer if isinstance(answer, str) else f'refused {type(answer).__name__}'}")


def _page(place: str, page: str) -> str:
    try:
        with urllib.request.urlopen(f"http://{place}{page}", timeout=5) as answer:
            text = answer.read().decode()
    except (OSError, http.client.HTTPException) as error:
        return f"refused {error!r}"
    return "refused: there is nothing" if text == EMPTY else repr(text)


def main() -> None:
    # All that is imported, while the right to read it is there.

    from scanlink.cluster.security import temporary

    bare = ssl.create_default_context()
    bare.check_hostname, bare.verify_mode = False, ssl.CERT_NONE
    attempts: dict[str, dict[str, Any]] = {
        "tcp": {},
        "tls without credentials": {"ssl_context": bare},
        "tls with those of another cluster": temporary().get_connection_args("client"),
    }
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    asyncio.run(_attempts(sys.argv[1:], attempts))
    # All at a time: what talks Dask lets a browser wait.
    pages = [(place, page) for place in sys.argv[1:] for page in PAGES]
    with ThreadPoolExecutor(len(pages)) as threads:
        for (place, page), answer in zip(pages, threads.map(_page, *zip(*pages, strict=True)), strict=True):
            print(f"{place}|page {page}|{answer}")


if __name__ == "__main__":
    main()
