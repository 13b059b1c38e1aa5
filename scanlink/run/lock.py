"""One driver a folder: a lock that holds on network file systems, and that a killed driver does not leave behind."""

from __future__ import annotations

import json
import logging
import os
import socket
import subprocess
import threading
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from scanlink.errors import RunError

__all__ = ["FolderLock", "Owner", "held_by"]

log = logging.getLogger("scanlink")

NAME = ".lock"

# States of Slurm's jobs that have ended.
_ENDED = {"BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL"}
_ENDED |= {"OUT_OF_MEMORY", "PREEMPTED", "TIMEOUT"}


@dataclass(frozen=True)
class Owner:
    """Who holds a lock."""

    host: str
    pid: int
    started: int  # Ticks since the host's start, because process numbers are used again.
    machine: (
        str  # Boot and process namespace of the host: two containers may have the same name and not see each other.
    )
    job: str  # Number and cluster of the Slurm job that the process is part of, such as ``1234@hpc``, or "".
    token: str  # No other lock has it.

    @classmethod
    def me(cls) -> Owner:
        number, cluster = os.environ.get("SLURM_JOB_ID"), os.environ.get("SLURM_CLUSTER_NAME", "")
        job = f"{number}@{cluster}" if number else ""
        return cls(socket.gethostname(), os.getpid(), _started(os.getpid()), _machine(), job, uuid.uuid4().hex)

    def __str__(self) -> str:
        job = f", Slurm job {self.job}" if self.job else ""
        return f"process {self.pid} on {self.host}{job}"


class FolderLock:
    """Keeps other drivers off an existing folder, as a context manager.

    The file appears by a hard link, which one process alone can make, on NFS as well. It is touched every ``beat``
    seconds, for drivers on other hosts to see. An owner on this host is looked up; one in a Slurm job is asked for with
    ``squeue``; any other is watched, and counts as dead after ``patience`` seconds without a touch. No clock of one
    host is compared with that of another. Entering raises RunError if another driver holds the folder.
    """

    def __init__(self, folder: Path, *, beat: float = 10.0, patience: float = 90.0) -> None:
        self.path = folder / NAME
        self._me = Owner.me()
        self._beat, self._patience = beat, patience
        self._stop = threading.Event()
        self._lost: str | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> FolderLock:
        while not self._take():
            current = self._read()
            if current is None:
                continue
            owner, stamp = current
            if owner is not None and owner.token == self._me.token:
                break
            if not self._is_dead(owner, stamp):
                raise RunError(
                    f"the folder {self.path.parent} is in use by {owner or 'another driver'}: wait until it ends, stop "
                    f"it, or name another folder. If you are sure that none is running, delete {self.path}"
                )
            log.warning("the driver before (%s) has ended without a word; its lock is taken over", owner or "unknown")
            self._remove(owner)
        self._thread = threading.Thread(target=self._keep_touching, name="scanlink-lock", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *details: object) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        current = self._read()
        if current is not None and current[0] is not None and current[0].token == self._me.token:
            self.path.unlink(missing_ok=True)

    def problem(self) -> str | None:
        """Say why the folder is not this driver's any more, or None."""
        return self._lost

    def _take(self) -> bool:
        """Try to take the lock; return whether it is ours now."""
        own_file = self.path.with_name(f"{NAME}.{self._me.token}")
        try:
            own_file.write_text(json.dumps(self._me.__dict__))
            try:
                os.link(own_file, self.path)
            except FileExistsError:
                # On NFS the answer to a link that was made can be lost on the way, and the second try finds it there.
                return own_file.stat().st_nlink == 2
            except OSError:
                # No hard links on this file system.
                return self._take_exclusively()
            return True
        except OSError as error:
            raise RunError(
                f"the folder {self.path.parent} cannot be written: {error.strerror or error}. Free some space, change "
                "its rights or name another folder"
            ) from error
        finally:
            own_file.unlink(missing_ok=True)

    def _take_exclusively(self) -> bool:
        """Take the lock where there are no hard links; return whether it is ours now."""
        try:
            handle = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        except FileExistsError:
            return False
        with os.fdopen(handle, "w") as file:
            file.write(json.dumps(self._me.__dict__))
        return True

    def _read(self) -> tuple[Owner | None, int] | None:
        """Read owner and time of the last touch; None if the lock is gone, an owner of None if it cannot be read."""
        try:
            # Opened and not only asked for: that makes NFS fetch what is true now.
            with open(self.path) as file:
                stamp, text = os.fstat(file.fileno()).st_mtime_ns, file.read()
        except FileNotFoundError:
            return None
        try:
            return Owner(**json.loads(text)), stamp
        except (ValueError, TypeError):
            return None, stamp

    def _is_dead(self, owner: Owner | None, stamp: int) -> bool:
        """Tell whether the owner has ended, watching its lock where it cannot be asked."""
        if owner is not None and owner.host == self._me.host and owner.machine == self._me.machine:
            return _started(owner.pid) != owner.started
        if owner is not None and owner.job and _job_has_ended(owner.job):
            return True
        log.warning(
            "the folder is locked by %s: watching for %.0f s whether it lives", owner or "a driver", self._patience
        )
        end = time.monotonic() + self._patience
        while time.monotonic() < end:
            time.sleep(min(1.0, self._beat))
            current = self._read()
            if current is None:
                return True
            if current != (owner, stamp):
                return False
        return True

    def _remove(self, owner: Owner | None) -> None:
        """Remove the lock of a dead owner, and no other's: two may have found it dead at the same time."""
        aside = self.path.with_name(f"{NAME}.{uuid.uuid4().hex}")
        try:
            os.rename(self.path, aside)
        except FileNotFoundError:
            return
        try:
            token = json.loads(aside.read_text()).get("token")
        except ValueError:
            token = None
        if owner is not None and token is not None and token != owner.token:
            # Somebody was faster: this is the new lock, and goes back.
            try:
                os.link(aside, self.path)
            except OSError:
                log.warning("the lock of another driver was moved and could not be put back")
        aside.unlink(missing_ok=True)

    def _keep_touching(self) -> None:
        """Touch the lock again and again, and note when it is not ours any more."""
        while not self._stop.wait(self._beat):
            try:
                current = self._read()
                if current is None or (current[0] is not None and current[0].token != self._me.token):
                    what = "it was deleted" if current is None else f"it is now that of {current[0]}"
                    self._lost = f"the lock {self.path} is not this driver's any more: {what}"
                    return
                os.utime(self.path)
            except OSError as error:
                # For a while out of reach, perhaps; writing parts will tell if it is for good.
                log.warning("the lock cannot be touched: %s", error)


def held_by(folder: Path) -> tuple[str, int] | None:
    """Tell which driver holds a folder, by its token, and when it last touched its lock (ns); None if none does.

    One of this host that has ended holds nothing; whether one of another host lives, only further touches tell.
    """
    lock = FolderLock(folder)
    current = lock._read()
    owner, stamp = (None, 0) if current is None else current
    if owner is None:
        return None
    here = (owner.host, owner.machine) == (lock._me.host, lock._me.machine)
    return None if here and _started(owner.pid) != owner.started else (owner.token, stamp)


def _started(pid: int) -> int:
    """Return the start of a process in ticks since boot; -1 if there is none, or no way to know."""
    with suppress(OSError, ValueError, IndexError):
        # The name, in brackets, may hold spaces.
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    if os.path.isdir("/proc/self"):
        return -1
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return -1
    except PermissionError:
        pass
    return 0


def _machine() -> str:
    """Name the boot and the process namespace of this host, as far as it has them."""
    boot = namespace = ""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    with suppress(OSError):
        namespace = os.readlink("/proc/self/ns/pid")
    return f"{boot} {namespace}"


def _job_has_ended(job: str) -> bool:
    """Tell whether Slurm says so; False where it cannot be asked, or has forgotten the job."""
    number, _, cluster = job.partition("@")
    if cluster != os.environ.get("SLURM_CLUSTER_NAME", ""):
        # The same number is another job there.
        return False
    command = ["squeue", "--noheader", "--states=all", "--jobs", number, "--format", "%T"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    states = answer.stdout.split()
    return answer.returncode == 0 and bool(states) and set(states) <= _ENDED
