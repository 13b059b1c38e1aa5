"""Who may talk to a Dask cluster: who has its credentials. They last as long as the cluster, or are the user's own."""

from __future__ import annotations

import logging
import os
import shlex
import shutil
import ssl
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from scanlink.cluster.profile_files import refuse_unknown
from scanlink.errors import OptionError
from scanlink.files import create_file
from scanlink.processes import alive, machine

if TYPE_CHECKING:
    from distributed.security import Security

__all__ = ["Credentials", "Files", "credentials", "files_of", "from_files", "protocol_of", "temporary"]

log = logging.getLogger("scanlink")

_NAME = "scanlink"
_PRIVATE = ".private-"
# Age at which the folder of a killed driver is removed: one of this machine, and one of which nobody can say whether it
# lives.
_LEFT_SECONDS, _FORGOTTEN_SECONDS = 86_400.0, 30 * 86_400.0
# Their life is that of the files. With dates, a host whose clock is wrong would be shut out.
_FROM, _UNTIL = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Files:
    """Paths of PEM files: certificates that are trusted, and an own certificate with its key."""

    ca_file: Path
    cert: Path
    key: Path

    def arguments(self) -> list[str]:
        """Write the options by which a Dask command finds them, each a word of a shell."""
        words = {"--tls-ca-file": self.ca_file, "--tls-cert": self.cert, "--tls-key": self.key}
        return [word for name, path in words.items() for word in (name, shlex.quote(str(path)))]


@dataclass(frozen=True)
class Credentials:
    """What the processes of a cluster know each other by."""

    folder: Path  # Nobody but the user may enter.
    security: Security | None = None  # For scheduler and client in this process; None for plain text.
    files: Files | None = None  # The same, for jobs.

    @property
    def scheduler_file(self) -> Path:
        """Where a Dask scheduler writes its address."""
        return self.folder / "scheduler.json"


def temporary() -> Security:
    """Make credentials, in memory, that are good for all parts of one cluster and for nothing else."""
    certificate, key = _certificate_and_key()
    return _security(certificate, certificate, key)


@contextmanager
def credentials(protocol: str, parent: Path) -> Iterator[Credentials]:
    """Make the credentials of a cluster of jobs, with a folder below ``parent`` that only this user may enter.

    It is removed at the end. Raises OptionError if it cannot be made.
    """
    try:
        # With a umask for groups, others of the group could put another folder in the place of this one.
        parent.mkdir(0o755, parents=True, exist_ok=True)
        _warn_of_open(parent.resolve())
        _sweep(parent)
        # Its mode is 0700.
        folder = Path(tempfile.mkdtemp(prefix=f"{_PRIVATE}{machine()}-{os.getpid()}-", dir=parent.resolve()))
    except OSError as error:
        raise OptionError(
            f"credentials cannot be written to {parent}: {error.strerror or error}. Name a folder in the profile that "
            "this host and the nodes see: log-directory, or for them alone shared-temp-directory (of an array: folder)"
        ) from error
    try:
        if protocol == "tcp":
            yield Credentials(folder)
            return
        certificate, key = _certificate_and_key()
        files = Files(folder / "certificate.pem", folder / "certificate.pem", folder / "key.pem")
        for path, text in ((files.cert, certificate), (files.key, key)):
            create_file(path, 0o600).write_text(text)
        yield Credentials(folder, _security(certificate, certificate, key), files)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _warn_of_open(folder: Path) -> None:
    for up in (folder, *folder.parents):
        if up.stat().st_mode & 0o1002 == 0o002:
            log.warning(
                "every user may write in %s, and put credentials of their own in the place of a run's: chmod o-w or "
                "chmod +t, or name a shared-temp-directory elsewhere",
                up,
            )


def _sweep(parent: Path) -> None:
    """Remove what killed drivers have left, once a day is over: jobs of theirs have ended by then."""
    for old in parent.glob(f"{_PRIVATE}*-*-*"):
        made_on, number = old.name.removeprefix(_PRIVATE).split("-")[:2]
        here = made_on == machine() and number.isdigit()
        with suppress(OSError):
            age = time.time() - old.stat().st_mtime
            if age > _LEFT_SECONDS and (not alive(int(number)) if here else age > _FORGOTTEN_SECONDS):
                shutil.rmtree(old, ignore_errors=True)


def _certificate_and_key() -> tuple[str, str]:
    """Make a key and a certificate that it has signed itself, as PEM."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, _NAME)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(_NAME)]), critical=False)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_FROM)
        .not_valid_after(_UNTIL)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return certificate.public_bytes(pem).decode(), secret.decode()


def _security(ca_file: str, cert: str, key: str) -> Security:
    """Have one certificate for all roles; paths, or PEM itself."""
    from distributed.security import Security

    roles = {f"tls_{role}_{part}": text for role in _ROLES for part, text in (("cert", cert), ("key", key))}
    return Security(require_encryption=True, tls_ca_file=ca_file, **roles)


_ROLES = ("client", "scheduler", "worker")


def protocol_of(value: object, *, where: str, allowed: tuple[str, ...] = ("tls", "tcp")) -> str:
    """Read a ``protocol:``; OptionError for one that is not known."""
    word = str(value).removesuffix("://")
    if word not in allowed:
        raise OptionError(
            f"{where}: protocol is {value!r}, expected {' or '.join(allowed)}: tls, which needs no more, or tcp, by "
            "which everyone who reaches the ports of this cluster can run code in your name"
        )
    return word


def files_of(table: object, *, folder: Path, where: str) -> Files | None:
    """Read the ``security:`` of a scheduler that runs already: its files, whose paths are meant from ``folder``.

    Raises OptionError if a key is unknown or missing, or a file cannot be used.
    """
    if table is None:
        return None
    if not isinstance(table, Mapping):
        raise OptionError(
            f"{where}: expected {{ca-file: ..., cert: ..., key: ...}}, paths of PEM files; found {table!r}"
        )
    refuse_unknown(table, ("ca-file", "cert", "key"), where=where)
    values = {str(key).replace("_", "-"): value for key, value in table.items()}
    # The key may stand in the file of the certificate.
    values.setdefault("key", values.get("cert"))
    for key in ("ca-file", "cert"):
        if not values.get(key):
            raise OptionError(f"{where}.{key} is missing: give the paths of PEM files, ca-file, cert and key")
    paths = {key: folder / Path(str(values[key])).expanduser() for key in ("ca-file", "cert", "key")}
    for key, path in paths.items():
        _check_file(path, f"{where}.{key}")
    files = Files(paths["ca-file"], paths["cert"], paths["key"])
    _check_pem(files, where)
    return files


def _check_file(path: Path, where: str) -> None:
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise OptionError(
            f"{where}: {path} cannot be read: {error.strerror}. Correct the path, or its rights"
        ) from error


def _check_pem(files: Files, where: str) -> None:
    try:
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=str(files.ca_file))
    except OSError as error:
        raise OptionError(
            f"{where}.ca-file: {files.ca_file} has no certificate (PEM) that can be read: {error}"
        ) from error
    try:
        # Without an answer it would ask for a password at the terminal.
        context.load_cert_chain(str(files.cert), str(files.key), password="")
    except (OSError, ValueError) as error:
        raise OptionError(
            f"{where}: {files.cert} and {files.key} are not a certificate and its key (PEM, no password): {error}"
        ) from error
    mode = files.key.stat().st_mode & 0o777
    if mode & 0o077:
        log.warning("%s.key: others may read %s (mode %04o): chmod 600", where, files.key, mode)


def from_files(files: Files) -> Security:
    """Have Dask use files."""
    return _security(str(files.ca_file), str(files.cert), str(files.key))
