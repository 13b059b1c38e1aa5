"""Who reaches a cluster: nobody but its user, on no network that it does not need."""

from __future__ import annotations

import logging
import os
import re
import shlex
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import dask
import psutil
import pytest
import yaml
from distributed import Client, LocalCluster
from distributed.utils import json_load_robust
from strangers import NOBODY, listening, what_strangers_get

from scanlink import cluster
from scanlink.cluster import pages
from scanlink.cluster.array import scheduler_script, worker_script
from scanlink.cluster.jobqueue import cluster_class, import_jobqueue, private
from scanlink.cluster.pages import LOOPBACK, private_pages
from scanlink.cluster.profile import load_profile
from scanlink.cluster.security import Files, credentials, from_files
from scanlink.errors import InputError, OptionError, RunError
from scanlink.files import private_folder
from scanlink.run import check_client, client_for
from scanlink.run import local as run_local

as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
linux = pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="no /proc/net: what listens cannot be seen")


def hosts(places: set[str]) -> set[str]:
    return {place.rpartition(":")[0] for place in places}


@linux
@pytest.mark.slow
def test_local__listens_on_loopback_alone():
    before = listening(psutil.Process())
    with cluster.client("local", n_workers=2) as client:
        assert client.submit(sum, [1, 2]).result() == 3
        places = listening(psutil.Process()) - before
        assert client.scheduler.address.removeprefix("tls://") in places
        # Scheduler and its pages; of each worker the nanny, the worker itself and its pages, which are empty.
        assert len(places) >= 2 + 2 * 3
        assert hosts(places) == {"127.0.0.1"}


@pytest.fixture
def taken(tmp_path, monkeypatch) -> Iterator[Path]:
    """A temporary folder in which another user has taken the names that Dask would choose."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    folder.chmod(0o1777)
    for name in ("dask-scratch-space", f"dask-scratch-space-{os.getuid()}"):
        (folder / name).mkdir()
        (folder / name).chmod(0o777)
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


def where_others_write(folder: Path, paths: list[str]) -> list[str]:
    """Paths below a folder in whose place others can put something else."""
    below = [path for path in map(Path, paths) if folder in path.parents]
    return [
        str(path) for path in below if any(up.stat().st_mode & 0o022 for up in path.parents if folder in up.parents)
    ]


def places_of_dask(dask_worker=None) -> list[str]:
    return [*sys.path, *([dask_worker.local_directory] if dask_worker else [])]


@pytest.mark.parametrize("name", ["threads", "inproc", "local_directory", "config", "processes"])
def test_scratch__is_where_nobody_else_writes(taken, monkeypatch, name):
    """Dask takes modules and pickles from there."""
    monkeypatch.setattr(run_local, "available_cores", lambda: 2)
    options = {"n_workers": 1, "processes": name == "processes"}
    options |= {"local_directory": str(taken)} if name == "local_directory" else {}
    with ExitStack() as stack:
        if name == "config":
            stack.enter_context(dask.config.set({"temporary-directory": str(taken)}))
        opened = client_for(None, cost=1e6) if name == "threads" else cluster.client("local", **options)
        client = stack.enter_context(opened)
        (worker,) = client.run(places_of_dask).values()
        assert any(taken in Path(place).parents for place in worker)
        assert not where_others_write(taken, [*sys.path, *worker])
    assert not [place for place in sys.path if taken in Path(place).parents]


def test_scratch__whose_name_another_has_taken_is_elsewhere(tmp_path):
    ours = private_folder(tmp_path)
    assert private_folder(tmp_path) == ours
    with pytest.raises(RunError, match=r"cannot be written: Not a directory. Name another .* TMPDIR"):
        private_folder(Path("/dev/null/here"))
    ours.rmdir()
    (tmp_path / "theirs").mkdir()
    ours.symlink_to(tmp_path / "theirs")
    other = private_folder(tmp_path)
    assert other.parent == tmp_path
    assert not other.is_symlink()
    assert stat.S_IMODE(other.stat().st_mode) == 0o700


@linux
def test_threads__listen_nowhere(monkeypatch):
    monkeypatch.setattr(run_local, "available_cores", lambda: 2)
    before = listening(psutil.Process())
    with client_for(None, cost=1e6) as client:
        assert client.submit(sum, [1, 2]).result() == 3
        assert listening(psutil.Process()) == before
    # A client of threads has pages.
    with cluster.client("local", n_workers=1, processes=False) as client:
        assert client.submit(sum, [1, 2]).result() == 3
        assert hosts(listening(psutil.Process()) - before) == {"127.0.0.1"}


@linux
@as_root
@pytest.mark.slow
def test_strangers__get_nothing_of_a_local_cluster():
    before = listening(psutil.Process())
    with cluster.client("local", n_workers=1) as client:
        answers = what_strangers_get(listening(psutil.Process()) - before)
        assert not any(answers.values()), answers
        assert client.submit(sum, [1, 2]).result() == 3
        # With its link, the owner gets the page.
        page = subprocess.run(["python3", "-c", GET, client.dashboard_link], check=True, capture_output=True, text=True)
        assert "<" in page.stdout


GET = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1]).read().decode())"


@linux
@as_root
@pytest.mark.slow
def test_strangers__run_code_where_plain_text_was_asked_for(caplog):
    """What the others refuse is what is possible without."""
    before = listening(psutil.Process())
    with cluster.client("local", n_workers=1, protocol="tcp") as client:
        assert "every user of every host that reaches its ports can run code in your name" in caplog.text
        places = listening(psutil.Process()) - before
        answers = what_strangers_get(places)
        obeyed = {place for place in places if answers[f"{place} tcp"] == "ran code"}
        # Scheduler, nanny and worker.
        assert client.scheduler.address.removeprefix("tcp://") in obeyed
        assert len(obeyed) == 3
        assert not any(said for what, said in answers.items() if not what.endswith(" tcp")), answers


SLURM = {"cores": 1, "memory": "400MiB", "walltime": "00:10:00"}


def write_array(folder: Path, **options: object) -> Path:
    scanlink = {"jobs": 1, "array": {"size": 1, "scheduler": {"walltime": "00:10:00"}}}
    path = folder / "array.yaml"
    path.write_text(yaml.safe_dump({"jobqueue": {"slurm": {**SLURM, **options}}, "scanlink": scanlink}))
    return path


@linux
@as_root
@pytest.mark.slow
@pytest.mark.parametrize("network", [{"interface": "lo"}, {}], ids=["interface", "none"])
def test_strangers__get_nothing_of_an_array(tmp_path, monkeypatch, taken, network):
    """The scripts that are handed to Slurm, run here."""
    monkeypatch.chdir(tmp_path)
    profile = load_profile(write_array(tmp_path, **network))
    with ExitStack() as stack:
        trust = stack.enter_context(credentials("tls", tmp_path / "with blanks"))
        prefix = stack.enter_context(private_pages())
        scheduler = start(stack, tmp_path / "scheduler.sh", scheduler_script(profile, trust, prefix))
        address = json_load_robust(trust.scheduler_file, timeout=60)["address"]
        assert stat.S_IMODE(trust.scheduler_file.stat().st_mode) == 0o600
        worker = start(stack, tmp_path / "worker.sh", worker_script(profile, trust, address))
        client = stack.enter_context(Client(address, security=trust.security, timeout=60))
        client.wait_for_workers(1, timeout=60)
        assert client.submit(sum, [1, 2]).result() == 3
        (seen,) = client.run(places_of_dask).values()
        assert any(taken in Path(place).parents for place in seen)
        assert not where_others_write(taken, [*seen, *client.run_on_scheduler(places_of_dask)])
        places = listening(scheduler, worker)
        # Scheduler, nanny and worker; pages of scheduler and worker.
        assert len(places) == 5
        assert hosts(places) == {"127.0.0.1", address.removeprefix("tls://").rpartition(":")[0]}
        answers = what_strangers_get(places)
        assert not any(answers.values()), answers
        text = Path("scheduler.sh").read_text() + Path("worker.sh").read_text()
        # What everyone sees of a process.
        commands = " ".join(" ".join(one.cmdline()) for one in (scheduler, worker))
        assert prefix in text
        assert prefix not in commands


@pytest.mark.parametrize("theirs", ["nothing", "folder", "link", "file"])
def test_scratch__of_a_job_is_where_nobody_else_writes(tmp_path, monkeypatch, theirs):
    monkeypatch.chdir(tmp_path)
    profile = load_profile(write_array(tmp_path, **{"local-directory": "$HERE/new"}))
    with credentials("tls", tmp_path) as trust:
        script = worker_script(profile, trust, "tls://127.0.0.1:8786")
    (line,) = (line for line in script.splitlines() if line.startswith("SCANLINK_SCRATCH="))
    assert '--local-directory "$SCANLINK_SCRATCH" ' in script
    name = tmp_path / "new" / f"scanlink-{os.getuid()}"
    if theirs != "nothing":
        name.parent.mkdir()
        {"folder": name.mkdir, "link": lambda: name.symlink_to(tmp_path), "file": name.touch}[theirs]()
    if theirs == "folder" and os.getuid() == 0:
        os.chown(name, NOBODY, NOBODY)
    command = ["bash", "-c", f'set -euo pipefail; {line}; echo "$SCANLINK_SCRATCH"']
    done = subprocess.run(
        command, env={**os.environ, "HERE": str(tmp_path)}, capture_output=True, text=True, check=True
    )
    folder = Path(done.stdout.strip())
    assert folder.parent == name.parent
    assert (folder == name) == (theirs == "nothing" or (theirs == "folder" and os.getuid() != 0))
    assert (folder.lstat().st_mode, folder.stat().st_uid) == (stat.S_IFDIR | 0o700, os.getuid())


def test_job_file__is_nobody_elses(tmp_path, monkeypatch):
    """dask-jobqueue removes a file that was its own and writes another of that name, if nobody was faster."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    import_jobqueue()
    job = cluster_class("slurm").job_cls("tls://127.0.0.1:8786", name="worker", **SLURM)
    with job.job_file() as name:
        assert Path(name).read_text() == job.job_script()
        assert stat.S_IMODE(Path(name).stat().st_mode) == 0o600
    assert not Path(name).exists()


def start(stack: ExitStack, path: Path, script: str) -> psutil.Process:
    """Run a job script as Slurm would."""
    path.write_text(script)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "SLURM_ARRAY_JOB_ID": "7"}
    process = stack.enter_context(subprocess.Popen(["bash", path], env=environment, start_new_session=True))
    stack.callback(os.killpg, process.pid, signal.SIGTERM)
    return psutil.Process(process.pid)


def test_credentials__are_for_the_owner_and_go(tmp_path):
    before = os.umask(0)
    try:
        with credentials("tls", tmp_path / "logs") as trust:
            assert stat.S_IMODE(trust.folder.stat().st_mode) == 0o700
            files = sorted(trust.folder.iterdir())
            assert [stat.S_IMODE(file.stat().st_mode) for file in files] == [0o600, 0o600]
            words = shlex.split(" ".join(trust.files.arguments()))
            assert {Path(word) for word in words[1::2]} == set(files)
            # For programs that have the files, as in this process.
            with LocalCluster(n_workers=0, security=from_files(trust.files), dashboard_address=LOOPBACK) as owner:
                client = Client(owner.scheduler_address, security=trust.security)
                client.close()
    finally:
        os.umask(before)
    assert list((tmp_path / "logs").iterdir()) == []


def test_credentials__of_killed_drivers_are_swept(tmp_path):
    with credentials("tls", tmp_path) as live:
        ours, process = live.folder.name.rsplit("-", 2)[0], subprocess.Popen(["true"])
        process.wait()
        for name, days in (("old", 2), ("new", 0)):
            folder = tmp_path / f"{ours}-{process.pid}-{name}"
            folder.mkdir()
            os.utime(folder, (time.time() - 86_400 * days,) * 2)
        os.utime(live.folder, (0, 0))
        with credentials("tls", tmp_path) as other:
            assert {path.name for path in tmp_path.iterdir()} == {live.folder.name, other.folder.name, folder.name}


def test_credentials__of_drivers_on_other_hosts_are_left(tmp_path, monkeypatch):
    """A driver may live for days, and what another host is called may begin as this one does."""
    process = subprocess.Popen(["true"])
    process.wait()
    monkeypatch.setattr(socket, "gethostname", lambda: f"node-{process.pid}")
    with credentials("tls", tmp_path) as theirs:
        os.utime(theirs.folder, (time.time() - 5 * 86_400,) * 2)
        monkeypatch.setattr(socket, "gethostname", lambda: "node")
        with credentials("tls", tmp_path):
            assert theirs.files.key.exists()
        os.utime(theirs.folder, (time.time() - 50 * 86_400,) * 2)
        with credentials("tls", tmp_path):
            assert not theirs.folder.exists()


def test_credentials__do_not_depend_on_a_clock(tmp_path):
    from cryptography import x509

    with credentials("tls", tmp_path) as trust:
        certificate = x509.load_pem_x509_certificate(trust.files.cert.read_bytes())
    # A worker's clock may be hours slow.
    assert certificate.not_valid_before_utc.year == 2000
    assert certificate.not_valid_after_utc.year == 2100


def test_credentials__say_who_could_take_their_place(tmp_path, caplog):
    before = os.umask(0o002)
    try:
        with credentials("tls", tmp_path / "logs"):
            assert stat.S_IMODE((tmp_path / "logs").stat().st_mode) == 0o755
    finally:
        os.umask(before)
    (tmp_path / "logs").chmod(0o1777)
    with credentials("tls", tmp_path / "logs"):
        pass
    assert not caplog.records
    (tmp_path / "logs").chmod(0o777)
    with credentials("tls", tmp_path / "logs" / "mine"):
        pass
    assert f"every user may write in {tmp_path / 'logs'}, and put credentials" in caplog.text


def test_credentials__say_where_they_cannot_be(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(OptionError, match=r"credentials cannot be written .* shared-temp-directory"),
        credentials("tls", tmp_path / "file" / "logs"),
    ):
        pass


@pytest.fixture
def secured(tmp_path) -> Iterator[tuple[str, Files]]:
    """A scheduler with certificates of the user's own: its address, and the files."""
    with (
        credentials("tls", tmp_path / "ours") as trust,
        LocalCluster(n_workers=1, processes=False, security=trust.security, dashboard_address=LOOPBACK) as owner,
    ):
        yield owner.scheduler_address, trust.files


def write_existing(folder: Path, address: str, files: Files | None, **changes: object) -> Path:
    path = folder / "existing.yaml"
    table = {} if files is None else {"ca-file": str(files.ca_file), "cert": str(files.cert), "key": str(files.key)}
    table = {key: value for key, value in {**table, **changes}.items() if value is not None}
    key = "scheduler-address" if "://" in address else "scheduler-file"
    path.write_text(yaml.safe_dump({key: address} | ({"security": table} if table else {})))
    return path


def test_security__of_a_scheduler_that_runs(secured, tmp_path):
    address, files = secured
    (tmp_path / "scheduler.json").write_text(f'{{"address": "{address}"}}')
    # Paths are meant from the profile's folder, or beneath it.
    relative = {"key": os.path.relpath(files.key, tmp_path)}
    for place, changes in ((address, {}), (address, relative), ("scheduler.json", relative)):
        with cluster.client(write_existing(tmp_path, place, files, **changes)) as client:
            assert client.submit(sum, [1, 2]).result() == 3
    table = {"ca_file": files.ca_file, "cert": files.cert, "key": files.key}
    with cluster.client(address, security=table) as client:
        assert client.submit(sum, [1, 2]).result() == 3


def test_security__is_missed_and_wrong(secured, tmp_path):
    address, _ = secured
    with pytest.raises(OptionError, match=r"talks TLS, and the profile .* has no credentials"), cluster.client(address):
        pass
    with pytest.raises(RunError, match="begins with tls://"), cluster.client(address.replace("tls://", "tcp://")):
        pass
    with (
        credentials("tls", tmp_path) as others,
        pytest.raises(RunError, match="no Dask scheduler answers"),
        cluster.client(write_existing(tmp_path, address, others.files)),
    ):
        pass
    with (
        dask.config.set({"distributed.comm.require-encryption": True}),
        pytest.raises(RunError, match="encryption required by Dask configuration"),
        cluster.client("tcp://127.0.0.1:9"),
    ):
        pass


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cert": "nosuch.pem"}, r"security.cert: .*nosuch.pem cannot be read: No such file"),
        ({"ca-file": "."}, r"security.ca-file: .* cannot be read: Is a directory"),
        ({"ca-file": "existing.yaml"}, r"ca-file: .*existing.yaml has no certificate \(PEM\)"),
        ({"cert": "existing.yaml"}, "are not a certificate and its key"),
        ({"key": "existing.yaml"}, "are not a certificate and its key"),
        ({"ca-file": None}, "security.ca-file is missing: give the paths"),
        ({"ca-fil": "x"}, "security has no key 'ca-fil'; did you mean 'ca-file'"),
    ],
)
def test_security__refuses_files(tmp_path, changes, message):
    with credentials("tls", tmp_path) as trust, pytest.raises(OptionError, match=message):
        load_profile(write_existing(tmp_path, "tls://10.0.0.1:8786", trust.files, **changes))


def test_security__says_who_else_reads_the_key(tmp_path, caplog):
    with credentials("tls", tmp_path) as trust:
        trust.files.key.chmod(0o644)
        load_profile(write_existing(tmp_path, "tls://10.0.0.1:8786", trust.files))
    assert "(mode 0644): chmod 600" in caplog.text


QUEUE = 'jobqueue: {{slurm: {{cores: 1, memory: 4GiB, walltime: "04:00:00", {}}}}}\nscanlink: {{jobs: 1}}'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("scheduler-address: tcp://10.0.0.1:8786\nsecurity: {ca-file: a, cert: b}", "a cannot be read"),
        ("local: {}\nsecurity: {ca-file: a}", "security goes with scheduler-address"),
        ("local: {security: true}", "has no key 'security'"),
        ("local: {protocol: udp}", "protocol is 'udp', expected tls or tcp or inproc"),
        ("local: {host: 0.0.0.0}", "host: '0.0.0.0' is on every network of the host: name one address, such as 127"),
        ('local: {dashboard_address: ":8787"}', "is on every network of the host: name one .* 127.0.0.1:8787"),
        (QUEUE.format('scheduler-options: {host: ""}'), "scheduler-options.host: '' is on every network"),
        (QUEUE.format("worker-extra-args: [--host, 0.0.0.0]"), "worker-extra-args.host: '0.0.0.0' is on every network"),
        (
            QUEUE.format("worker-extra-args: ['--dashboard-address=:8787']"),
            "worker-extra-args.dashboard_address: ':8787' is on every",
        ),
        ('local: {host: "0"}', "host: '0' is on every network"),
        ("local: {host: 'tls://0.0.0.0:0'}", "host: 'tls://0.0.0.0:0' is on every network"),
        ("local: {host: '[::]:0'}", "is on every network"),
        ("local: {host: '::ffff:0.0.0.0'}", "is on every network"),
        ("local: {ip: 0.0.0.0}", "ip: '0.0.0.0' is on every network"),
        ("local: {dashboard_address: 8787}", "dashboard_address: 8787 is on every network .* 127.0.0.1:8787"),
        ("local: {scheduler_kwargs: {host: 0.0.0.0}}", "scheduler_kwargs.host: '0.0.0.0' is on every network"),
        ("local: {scheduler_kwargs: {protocol: tcp}}", "scheduler_kwargs.protocol: scheduler and workers talk one"),
        (
            QUEUE.format("scheduler-options: {security: null, protocol: tcp}"),
            "scheduler-options.protocol: .* one level",
        ),
        (QUEUE.format("scheduler-options: [1]"), "scheduler-options: expected a table of keys"),
        (
            QUEUE.format("worker-extra-args: [--host 127.0.0.1, --host 0.0.0.0]"),
            "worker-extra-args.host: '0.0.0.0' is on every",
        ),
        (QUEUE.format("worker-extra-args: ['--host=']"), "worker-extra-args.host: '' is on every"),
        ("jobqueue: {slurm: {protocol: ucx, cores: 1}}", "protocol is 'ucx', expected tls or tcp: tls, which"),
    ],
)
def test_load_profile__refuses_what_opens_a_cluster(tmp_path, text, message):
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(OptionError, match=message):
        load_profile(tmp_path / "mine.yaml")


def test_load_profile__takes_one_network(tmp_path):
    text = "local: {host: 'tls://10.0.0.1:0', dashboard_address: localhost, scheduler_kwargs: {host: '[::1]'}}"
    (tmp_path / "mine.yaml").write_text(text)
    assert load_profile(tmp_path / "mine.yaml").options["dashboard_address"] == "localhost"
    options = 'worker-extra-args: ["--host 10.0.0.1"], scheduler-options: {dashboard-address: null, host: 10.0.0.1}'
    (tmp_path / "mine.yaml").write_text(QUEUE.format(options))
    options = load_profile(tmp_path / "mine.yaml").options
    assert options["scheduler_options"] == {"dashboard_address": LOOPBACK, "host": "10.0.0.1"}
    with credentials("tls", tmp_path) as trust:
        # It is said already.
        assert "near" not in private("slurm", options, trust)


@pytest.mark.parametrize("options", [{"interface": "nosuch"}, {"host": "::1"}], ids=str)
def test_client__says_which_profile_cannot_be_started(options):
    with pytest.raises(OptionError, match="profile local: "), cluster.client("local", n_workers=0, **options):
        pass


def test_load_profile__refuses_credentials_for_plain_text(tmp_path):
    with credentials("tls", tmp_path) as trust, pytest.raises(OptionError, match="is not encrypted"):
        load_profile(write_existing(tmp_path, "tcp://10.0.0.1:8786", trust.files))


def test_load_profile__has_tls_unless_plain_text_is_asked_for(tmp_path):
    path = write_array(tmp_path)
    assert load_profile("local").protocol == load_profile(path).protocol == "tls"
    assert load_profile("local", protocol="tcp").protocol == "tcp"
    assert load_profile(path, protocol="tcp").protocol == "tcp"
    assert load_profile(write_array(tmp_path, protocol="tcp")).protocol == "tcp"
    assert load_profile("local", processes=False).protocol == "inproc"


def test_dashboard__is_said_with_the_way_to_it(caplog, monkeypatch):
    # Without bokeh there is none to speak of.
    monkeypatch.setattr(pages, "find_spec", lambda _: object())
    with caplog.at_level(logging.INFO, "scanlink"), cluster.client("local", n_workers=0) as client:
        port = client.cluster.scheduler.http_server.port
        assert re.fullmatch(rf"http://127.0.0.1:{port}/[0-9a-f]{{32}}/status", client.dashboard_link)
        assert (
            f"dashboard: {client.dashboard_link} on this host (from another: ssh -L {port}:127.0.0.1:{port} "
            in caplog.text
        )
        there = SimpleNamespace(dashboard_link=client.dashboard_link, run_on_scheduler=lambda _: "node7")
        pages.announce(there)
        tunnel = f"ssh -L {port}:127.0.0.1:{port} node7"
        assert there.scanlink_dashboard == f"{client.dashboard_link} after {tunnel}"
    # Such as of a JupyterHub.
    link = {"distributed.dashboard.link": "/user/me/proxy/{port}/status"}
    with dask.config.set(link), cluster.client("local", n_workers=0) as client:
        assert re.fullmatch(r"/user/me/proxy/\d+/[0-9a-f]{32}/status", client.dashboard_link)
        assert client.scanlink_dashboard == client.dashboard_link
    with dask.config.set({"distributed.dashboard.link": "/proxy/{port}"}), private_pages() as prefix:
        assert dask.config.get("distributed.dashboard.link") == f"/proxy/{{port}}/{prefix}/status"


def test_check_client__warns_once_of_plain_text(caplog, monkeypatch):
    monkeypatch.setattr(run_local, "_warned", set())
    with LocalCluster(n_workers=0, dashboard_address=LOOPBACK) as owner, Client(owner) as client:
        for _ in range(2):
            check_client(client)
        assert [record.levelno for record in caplog.records if "talks plain text" in record.message] == [
            logging.WARNING
        ]
    caplog.clear()
    with cluster.client("local", n_workers=0) as client:
        check_client(client)
    with cluster.client("local", n_workers=1, processes=False) as client:
        check_client(client)
    with pytest.raises(InputError):
        check_client(3)
    assert "plain text" not in caplog.text
