"""Open a Dask client as a profile says, and close what was opened."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scanlink.cluster.defaults import ONE_THREAD
from scanlink.cluster.pages import LOOPBACK, NO_PAGES, announce, gated_scheduler, private_pages
from scanlink.cluster.profile import Profile, load_profile
from scanlink.cluster.schedulers import SCHEDULERS
from scanlink.cluster.security import credentials, from_files, temporary
from scanlink.errors import OptionError, RunError
from scanlink.files import private_folder

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["check", "client", "environment_kept", "problem"]

log = logging.getLogger("scanlink")

# No worker has a second block at hand: the last of them would wait for one worker while others have nothing to do.
_SCHEDULER = {"distributed.scheduler.worker-saturation": 1.0}


@contextmanager
def client(profile: str | Path | Profile = "local", **overrides: Any) -> Iterator[Client | None]:
    """Open a Dask client for the length of a ``with`` block.

    Parameters
    ----------
    profile
        ``"local"``: worker processes on this machine, one thread each; ``"none"``: no Dask, the caller computes in its
        own process; an address such as ``tls://10.0.0.1:8786`` or the path of a scheduler file (.json): a scheduler
        that is running already; a profile (.yaml), or the bare name of one, such as ``"slurm"``; or a
        :class:`~scanlink.cluster.profile.Profile`, to which nothing is added.
    overrides
        Options that replace those of the profile, such as ``n_workers=4``, ``jobs=20`` or ``queue="short"``; for a
        scheduler that is running, ``security``, with the paths ``ca_file``, ``cert`` and ``key``.

    Yields
    ------
    distributed.Client or None
        None for the profile ``"none"``. That of a job queue comes at once, and workers join it as their jobs start; it
        has a callable ``scanlink_problem``: see :func:`problem`.

    Raises
    ------
    OptionError
        If the profile is not known or cannot be used.
    RunError
        If no scheduler answers at the address, the queue's commands are missing, or it refuses the jobs.

    Notes
    -----
    Jobs that end while the block lasts are replaced; all are cancelled at its end.

    A cluster that is started talks TLS, with credentials that are made for it: no other user of these hosts, and nobody
    on the network, can send it anything. ``protocol="tcp"`` leaves that out, and is warned of.

    Examples
    --------
    >>> with client("none") as nothing:
    ...     nothing is None
    True
    """
    complete = profile if isinstance(profile, Profile) else load_profile(profile, **overrides)
    if complete.kind == "none":
        yield None
        return
    import dask
    import distributed  # noqa: F401  (or the end of the block would take its defaults with it)

    from scanlink.run.local import private_scratch, warn_of_plain_text

    open_client = {"local": _open_local, "running": _join_running}.get(complete.kind, _open_queue)
    with ExitStack() as stack:
        stack.enter_context(dask.config.set({**_SCHEDULER, **NO_PAGES, **complete.config}))
        stack.enter_context(private_scratch())
        opened = stack.enter_context(open_client(complete))
        warn_of_plain_text(opened)
        yield opened


def check(profile: str | Path, **overrides: Any) -> None:
    """Refuse a profile that cannot be used, before any work is done; what it starts or reaches is not tried.

    Raises
    ------
    OptionError
        If the profile is not known, or its file cannot be read or used.
    RunError
        If the commands of its queue are not on this host.

    Examples
    --------
    >>> check("local")
    """
    _check_commands(load_profile(profile, **overrides))


def problem(client: Client | None) -> str | None:
    """Say why a client will get no more workers; None while all is well, and for clients that were opened otherwise.

    Examples
    --------
    >>> problem(None) is None
    True
    """
    say = getattr(client, "scanlink_problem", None)
    return None if say is None else say()


def _check_commands(profile: Profile) -> None:
    if profile.kind not in SCHEDULERS:
        return
    program = SCHEDULERS[profile.kind].submit
    if shutil.which(program) is None:
        raise RunError(
            f"{program} is not found on this host, and profile {profile.name} needs it: run on a host that submits "
            f"jobs to {profile.kind}, or choose another profile"
        )


def folder_of_jobs(profile: Profile) -> Path:
    """Find the folder, which the nodes see too, of what a cluster of jobs needs to find its parts."""
    named = None if profile.array is None else profile.array.folder
    named = named or profile.options.get("shared_temp_directory") or profile.options["log_directory"]
    return Path(os.path.expandvars(str(named))).expanduser()


@contextmanager
def _open_queue(profile: Profile) -> Iterator[Client]:
    _check_commands(profile)
    if profile.array is not None:
        from scanlink.cluster.array import array_client

        with array_client(profile, folder_of_jobs(profile)) as client_of_array:
            yield client_of_array
        return
    from distributed import Client

    from scanlink.cluster.jobqueue import JobAdaptive, cluster_class, private, scheduler_options
    from scanlink.cluster.keeper import Keeper

    with ExitStack() as stack:
        trust = stack.enter_context(credentials(profile.protocol, folder_of_jobs(profile)))
        prefix = stack.enter_context(private_pages())
        options = {
            **private(profile.kind, profile.options, trust),
            "scheduler_options": scheduler_options(profile.kind, profile.options),
            "scheduler_cls": gated_scheduler(prefix),
            "security": trust.security,
            "protocol": profile.protocol,
        }
        try:
            cluster = stack.enter_context(cluster_class(profile.kind)(silence_logs="critical", **options))
        except (ValueError, RuntimeError) as error:
            # Such as a network interface that this host has not.
            raise OptionError(f"profile {profile.name}: {error}") from error
        cluster.keeper = keeper = Keeper(cluster, profile)
        cluster.sync(keeper.start)
        if profile.jobs.minimum < profile.jobs.maximum:
            cluster._adaptive = JobAdaptive(cluster, keeper, minimum=profile.jobs.minimum, maximum=profile.jobs.maximum)
        client_of_jobs: Any = stack.enter_context(Client(cluster))
        client_of_jobs.scanlink_problem = lambda: keeper.problem
        announce(client_of_jobs)
        yield client_of_jobs


@contextmanager
def _open_local(profile: Profile) -> Iterator[Client]:
    import dask
    from distributed import Client, LocalCluster, Worker
    from distributed.deploy.cluster import Cluster

    from scanlink.run.local import available_cores, unpaged

    class LastingCluster(LocalCluster):
        def _update_worker_status(self, op: str, msg: Any) -> None:
            # Dask would close the nanny of a worker that does not come back in 15 s, as on a busy machine, and start
            # no other: with the last of them a run would wait for ever.
            Cluster._update_worker_status(self, op, msg)

        async def _start(self) -> None:
            self.scheduler_spec = {**self.scheduler_spec, "cls": gated_scheduler(prefix)}
            await super()._start()

    usual: dict[str, Any] = {
        "n_workers": available_cores(),
        "threads_per_worker": 1,
        "processes": True,
        "dashboard_address": LOOPBACK,
        "silence_logs": logging.CRITICAL,
        "security": temporary() if profile.protocol == "tls" else None,
        "protocol": profile.protocol,
    }
    settings = usual | profile.options
    settings["dashboard_address"] = settings["dashboard_address"] or LOOPBACK
    if settings.get("local_directory"):
        settings["local_directory"] = str(private_folder(Path(settings["local_directory"])))
    if profile.protocol == "inproc":
        settings = {"worker_class": unpaged(Worker), **settings, "host": None}
    elif not settings.get("interface"):
        settings = {"host": "127.0.0.1", **settings}
    environment = {"distributed.nanny.pre-spawn-environ": ONE_THREAD}
    # Starting workers leaves something there. With another number of threads, numba would refuse to compile in a
    # process that has used its threads.
    names = (*ONE_THREAD, "PYTHONHASHSEED")
    with environment_kept(*names), dask.config.set(environment), private_pages() as prefix, ExitStack() as stack:
        with environment_kept(*names):
            try:
                cluster = stack.enter_context(LastingCluster(**settings))
            except (ValueError, RuntimeError) as error:
                raise OptionError(f"profile {profile.name}: {error}") from error
        opened = stack.enter_context(Client(cluster))
        announce(opened)
        yield opened


@contextmanager
def environment_kept(*names: str) -> Iterator[None]:
    """Put variables of this process's environment back at the end of a ``with`` block."""
    before = {name: os.environ.get(name) for name in names}
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _join_running(profile: Profile) -> Iterator[Client]:
    from distributed import Client
    from distributed.security import Security

    address = _address_of(profile)
    security: Any = Security() if profile.security is None else from_files(profile.security)
    if address.startswith("tls://") and not (security.tls_ca_file and security.tls_client_cert):
        raise OptionError(
            f"the Dask scheduler at {address} talks TLS, and the profile {profile.name} has no credentials: say "
            "scheduler-address or scheduler-file in a profile (.yaml), and beside it security: {ca-file: ..., cert: "
            "..., key: ...}"
        )
    try:
        guest = Client(address, security=security, timeout=30)
    except (OSError, ValueError, RuntimeError) as error:
        # A RuntimeError where Dask's own configuration wants encryption, and the address has none.
        raise RunError(
            f"no Dask scheduler answers at {address}: {error}. Check the address, that this host may reach it, and, "
            "if it talks TLS, that the address begins with tls:// and the profile's security names its files"
        ) from error
    with guest:
        yield guest


def _address_of(profile: Profile) -> str:
    """Read the address of a running scheduler, from its file if need be."""
    place = str(profile.address)
    if "://" in place:
        return place
    from distributed.utils import json_load_robust

    try:
        # It may be being written.
        return str(json_load_robust(place, timeout=5)["address"])
    except (TimeoutError, TypeError, KeyError, OSError) as error:
        raise OptionError(
            f"scheduler file {place} has no address: expected what dask scheduler --scheduler-file writes"
        ) from error
