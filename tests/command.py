"""The command line in processes of its own, without the seconds that each would take to import the same packages.

One process has imported what every command needs, and computed nothing; each command is a copy of it.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

__all__ = ["COMMAND", "Scanlink", "copied_command"]

COMMAND = [sys.executable, "-c", "from scanlink.cli import main; main()"]
Scanlink = Callable[..., "subprocess.CompletedProcess[str]"]
IMPORTED = ("scanlink.cli", "scanlink.pipeline.run", "scanlink.io", "scanlink.pp", "scanlink.stats", "formulaic")
PROGRAM = f"""\
import importlib, json, logging, os, sys
for name in {IMPORTED}:
    importlib.import_module(name)
from scanlink.cli import main
if sys.argv[1:]:
    # Whoever follows finds the kernels compiled that this command needs.
    printed = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_RDWR), 1)
    try:
        main()
    except SystemExit as end:
        assert not end.code
    os.dup2(printed, 1)
    logging.getLogger("scanlink").handlers.clear()
for line in sys.stdin:
    words, *files = json.loads(line)
    copy = os.fork()
    if not copy:
        for number, path in enumerate((os.devnull, *files)):
            os.dup2(os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC), number)
        sys.argv = ["scanlink", *words]
        main()
        sys.exit()
    print(os.waitstatus_to_exitcode(os.waitpid(copy, 0)[1]), flush=True)
"""


@contextmanager
def copied_command(
    folder: Path, limits: Mapping[int, int] | None = None, first: Sequence[object] = ()
) -> Iterator[Scanlink]:
    """A function that runs the command as a user does, and gives what it printed; ``folder`` is for its files.

    ``limits`` are those of ``resource.setrlimit``, for each command; ``first`` is done before all others, and
    leaves them its compiled kernels.
    """
    environment = {**os.environ, "DASK_LOGGING__DISTRIBUTED": "critical"}
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *map(str, first)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as parent:
        for limit, most in (limits or {}).items():
            resource.prlimit(parent.pid, limit, (most, most))
        assert parent.stdin is not None
        assert parent.stdout is not None

        def call(*words: object, check: bool = True) -> subprocess.CompletedProcess[str]:
            texts = [*map(str, words)]
            files = [folder / "stdout", folder / "stderr"]
            parent.stdin.write(json.dumps([texts, *map(str, files)]) + "\n")
            parent.stdin.flush()
            code = int(parent.stdout.readline())
            done = subprocess.CompletedProcess(texts, code, *(path.read_text() for path in files))
            assert not check or code == 0, done.stderr
            return done

        yield call
        parent.stdin.close()
